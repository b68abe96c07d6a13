package apply_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/httpx"
	"agentsync/internal/plan"
	"agentsync/internal/platform"
	"agentsync/internal/platform/mindset"
	"agentsync/internal/platform/platformtest"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/schema"
)

const benchAgents = 1000

// noJournal is a ledger that keeps nothing on disk.
type noJournal struct {
	last  atomic.Uint64
	fleet *state.Fleet
}

func (n *noJournal) Intend(state.Intent) (uint64, error) { return n.last.Add(1), nil }
func (n *noJournal) Leaving(uint64) error                { return nil }
func (n *noJournal) Commit(r ...state.Result) error      { return n.fleet.Enter(r) }
func (n *noJournal) Lineage() string                     { return "benchmark" }
func (n *noJournal) Fleet() *state.Fleet                 { return n.fleet }

// slow is a client whose creates take a while.
type slow struct {
	platform.Client
	latency time.Duration
}

func (s slow) Create(ctx context.Context, f agent.Content) (platform.Remote, error) {
	time.Sleep(s.latency)
	return s.Client.Create(ctx, f)
}

// benchRun is one apply of 1,000 creates through client. It returns the time that Run and the fold took.
func benchRun(b *testing.B, client platform.Client, journal bool, parallelism int) time.Duration {
	b.Helper()
	s, err := schema.Load("mindset")
	if err != nil {
		b.Fatal(err)
	}
	var want []agent.Desired
	for i := range benchAgents {
		want = append(want, coach(fmt.Sprintf("tenant-%04d", i), "agentPurpose",
			"Helps the people of this tenant with what they ask."))
	}
	p, err := plan.Build(plan.Input{Desired: want, Apps: map[agent.AppID]bool{mind: true},
		Sealer: secret.Sealer{Key: []byte("benchmark")}, Platforms: map[string]*schema.Platform{"mindset": s}})
	if err != nil {
		b.Fatal(err)
	}
	file := state.NewFile(filepath.Join(b.TempDir(), "state.json"))
	snap, err := file.Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	fleet, err := state.NewFleet(snap.State, nil)
	if err != nil {
		b.Fatal(err)
	}
	var start time.Time
	finish := func() error { return nil }
	engine := apply.New(map[agent.AppID]apply.App{mind: {Client: client, Schema: s}}, want, fleet,
		apply.Options{Parallelism: parallelism})
	rep, err := engine.Apply(b.Context(), apply.Session{
		Plan:   func(apply.Known) (*plan.Plan, error) { return p, nil },
		Review: func(context.Context, *plan.Plan) (bool, error) { return false, nil },
		Begin: func(*plan.Plan) (apply.Ledger, error) {
			start = time.Now()
			if !journal {
				return &noJournal{fleet: fleet}, nil
			}
			run, err := file.Begin(b.Context(), snap, 4<<20)
			if err == nil {
				finish = func() error { return run.Close(b.Context()) }
			}
			return run, err
		},
		End: func() error { return finish() },
	})
	if err != nil || rep.Outcome != apply.OutcomeComplete {
		b.Fatal(err, rep.Outcome)
	}
	return time.Since(start)
}

// BenchmarkJournalCost is what the journal, the fold into the state file included, adds to an apply of
// 1,000 creates at 20 ms latency and 32 in flight: both in one run, so that the ratio does not depend on
// the machine's mood.
func BenchmarkJournalCost(b *testing.B) {
	s, err := schema.Load("mindset")
	if err != nil {
		b.Fatal(err)
	}
	memory := func() platform.Client { return slow{platformtest.NewMemory(s), 20 * time.Millisecond} }
	with, without := time.Hour, time.Hour
	for b.Loop() { // the best of each counts: the rest is what else the machine did
		with = min(with, benchRun(b, memory(), true, 32))
		without = min(without, benchRun(b, memory(), false, 32))
	}
	b.ReportMetric(with.Seconds()*1000, "ms/with")
	b.ReportMetric(without.Seconds()*1000, "ms/without")
	b.ReportMetric(100*(with.Seconds()/without.Seconds()-1), "%cost")
}

// BenchmarkApplyCreates is an apply of 1,000 creates against the sandbox over loopback HTTP with 5 ms
// latency, 10 and 32 in flight.
func BenchmarkApplyCreates(b *testing.B) {
	for _, parallelism := range []int{10, 32} {
		b.Run(fmt.Sprintf("inflight=%d", parallelism), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				client := sandboxClient(b, parallelism)
				b.StartTimer()
				benchRun(b, client, true, parallelism)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchAgents, "µs/agent")
		})
	}
}

func sandboxClient(b *testing.B, concurrency int) platform.Client {
	b.Helper()
	faults, err := sandbox.ParseFaults("latency=5ms op=create")
	if err != nil {
		b.Fatal(err)
	}
	server, err := sandbox.New(sandbox.Options{Faults: faults, PageSize: 500})
	if err != nil {
		b.Fatal(err)
	}
	h := httptest.NewServer(server)
	b.Cleanup(h.Close)
	base, err := url.Parse(h.URL)
	if err != nil {
		b.Fatal(err)
	}
	m, err := mindset.New()
	if err != nil {
		b.Fatal(err)
	}
	hc, err := httpx.NewClient(httpx.Options{Base: base, KeyHeader: m.APIKeyHeader(), Key: secret.Literal("key"),
		Concurrency: concurrency, Pace: httpx.NewPace()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(hc.CloseIdleConnections)
	return m.Client(agent.App{ID: mind}, base, hc)
}
