package state

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"agentsync/internal/agent"
)

// fleet returns a state of n agents of about 800 bytes each.
func fleet(n int) *State {
	s := &State{Serial: 7, Lineage: "0123456789abcdef0123456789abcdef", Agents: make(map[agent.Address]agent.Record, n)}
	prompt := strings.Repeat("Help the customer kindly. ", 12)
	for i := range n {
		doc := agent.Doc(fmt.Sprintf(`{"agentName":"Agent %d","agentPurpose":%q,"live":true,"tags":["hr","onboarding"]}`, i,
			prompt))
		a := agent.Address{Platform: "mindset", App: "acme", Key: fmt.Sprintf("tenant-%05d", i)}
		s.Agents[a] = agent.Record{UID: fmt.Sprintf("uid-%08d", i), Applied: doc, Observed: doc}
	}
	return s
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			content, err := fleet(n).Encode()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode("state.json", content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := fleet(n)
			b.ReportAllocs()
			for b.Loop() {
				content, err := s.Encode()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(content)))
			}
		})
	}
}

// countingFS counts what a run asks of the disk.
type countingFS struct {
	FS
	syncs, bytes *atomic.Int64
}

type countingHandle struct {
	Handle
	fs countingFS
}

func (c countingFS) Open(name string) (Handle, error) {
	h, err := c.FS.Open(name)
	return countingHandle{h, c}, err
}

func (c countingFS) CreateTemp(path string) (string, Handle, error) {
	name, h, err := c.FS.CreateTemp(path)
	return name, countingHandle{h, c}, err
}

func (h countingHandle) Sync() error {
	h.fs.syncs.Add(1)
	return h.Handle.Sync()
}

func (h countingHandle) WriteAt(b []byte, offset int64) (int, error) {
	h.fs.bytes.Add(int64(len(b)))
	return h.Handle.WriteAt(b, offset)
}

// BenchmarkGroupCommit makes agents from 32 goroutines, an intent and a result each, as an apply
// does without the requests between. It says how many fsyncs and bytes 1000 agents cost.
func BenchmarkGroupCommit(b *testing.B) {
	counting := countingFS{osFS{}, new(atomic.Int64), new(atomic.Int64)}
	f := NewFile(filepath.Join(b.TempDir(), "state.json"), WithFS(counting))
	snap, err := f.Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	run, err := f.Begin(b.Context(), snap, int64(b.N)*2048)
	if err != nil {
		b.Fatal(err)
	}
	fields := fleet(1).Agents[agent.Address{Platform: "mindset", App: "acme", Key: "tenant-00000"}].Applied
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				a := agent.Address{Platform: "mindset", App: "acme", Key: fmt.Sprint("k", i)}
				id, err := run.Intend(Intent{Address: a, Action: "create", Fields: fields})
				if err == nil {
					err = run.Commit(Result{Intent: id, Address: a,
						Record: agent.Record{UID: fmt.Sprint("uid-", i), Applied: fields, Observed: fields}})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(counting.syncs.Load())*1000/float64(b.N), "fsyncs/1000")
	b.ReportMetric(float64(counting.bytes.Load())/float64(b.N), "bytes/agent")
	if err := run.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
