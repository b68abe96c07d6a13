//go:build unix

// Not for Windows: it has no SIGSTOP.

package torture

import (
	"bytes"
	bigendian "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/s3"
	"agentsync/internal/state/store/storetest"
)

// office is what the fleets of a team share: a store, an S3 or a PostgreSQL behind a pooler, and a sandbox.
type office struct {
	*rig
	s3   *storetest.S3
	pg   *storetest.Postgres
	pool string // its port
}

func newOffice(t *testing.T, faults ...string) *office {
	t.Helper()
	s := &office{s3: storetest.StartS3(t)}
	s.rig = newRig(t, faults...)
	return s
}

// newDatabaseOffice is newOffice with a PostgreSQL, reached through a pooler in transaction mode.
func newDatabaseOffice(t *testing.T, faults ...string) *office {
	t.Helper()
	s := &office{pg: storetest.StartPostgres(t)}
	s.pool = s.pg.Pool()
	s.rig = newRig(t, faults...)
	return s
}

// team is one fleet whose state is in a bucket, and the checkouts of those who work on it.
type team struct {
	*office
	t    *testing.T
	name string
	gate *gate
	url  string // through the gate, with a lease of 10 seconds
	n    int    // of agents on each platform
}

// newTeam makes a fleet of n agents on each platform, and its shared state.
func (s *office) newTeam(t *testing.T, name string, n int) *team {
	t.Helper()
	tm := &team{office: s, t: t, name: name, n: n}
	if s.pg != nil {
		tm.gate = newDatabaseGate(t, "127.0.0.1:"+s.pool)
		_, port, _ := strings.Cut(tm.gate.addr, ":")
		tm.url = strings.Replace(s.pg.TCPURL(port, name), "#", "&lease=10s#", 1)
	} else {
		tm.gate = newGate(t, s.s3.Addr)
		tm.url = storetest.S3URL(tm.gate.addr, name) + "&lease=10s"
	}
	tm.must(0, tm.checkout(), "state", "init")
	return tm
}

// checkout is a machine of its own, with nothing but the manifests.
func (tm *team) checkout() string {
	tm.t.Helper()
	dir := tm.t.TempDir()
	fleet(tm.t, dir, tm.n, "team")
	path := filepath.Join(dir, "manifests", "fleet.yaml")
	b, err := os.ReadFile(path)
	if err != nil {
		tm.t.Fatal(err)
	}
	text := strings.NewReplacer("appId: app1", "appId: "+tm.name, "appUid: acme", "appUid: "+tm.name).Replace(string(b))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tm.t.Fatal(err)
	}
	return dir
}

// command is agentsync in a checkout.
func (tm *team) command(dir string, args ...string) *exec.Cmd {
	cmd := tm.rig.command(args...)
	// not append: commands are made at once
	cmd.Dir, cmd.Env = dir, slices.Concat(tm.env, []string{"AGENTSYNC_STATE=" + tm.url})
	return cmd
}

func (tm *team) must(want int, dir string, args ...string) string {
	tm.t.Helper()
	code, out := finish(tm.t, tm.command(dir, args...))
	if code != want {
		tm.t.Fatalf("%s: agentsync %s: exit %d, want %d\n%s", tm.name, strings.Join(args, " "), code, want, out)
	}
	return out
}

// teamApply is what each of a team runs: it waits for whoever has the lock.
func teamApply() []string { return applyArgs("--timeout", "2s", "--lock-timeout", "90s") }

// view reads what the store holds, past the gate.
func (tm *team) view() *shared.View {
	tm.t.Helper()
	var place store.Store
	if tm.pg != nil {
		table, err := postgres.Open(tm.pg.URL(tm.name))
		if err != nil {
			tm.t.Fatal(err)
		}
		defer table.Close(tm.t.Context())
		place = table
	} else {
		bucket, err := s3.Open(storetest.S3URL(tm.s3.Addr, tm.name))
		if err != nil {
			tm.t.Fatal(err)
		}
		defer bucket.CloseIdle()
		place = bucket
	}
	view, err := shared.Open(place, shared.Options{}).Read(tm.t.Context())
	if err != nil {
		tm.t.Fatalf("%s: %v", tm.name, err)
	}
	return view
}

// epoch returns how often somebody had the lock, and journalled how many lines the journal has.
func (tm *team) epoch() uint64   { return tm.view().Epoch }
func (tm *team) journalled() int { return bytes.Count(tm.view().Journal, []byte("\n")) }

// check holds the guarantee for the team's fleet: one agent for each address, every uid in the state, nothing is open,
// and the plan of a new checkout is empty. Who was killed after all that may still be named as the holder: it is in
// nobody's way.
func (tm *team) check() {
	tm.t.Helper()
	view := tm.view()
	var kept struct {
		Agents map[string]struct{ UID string }
	}
	if err := json.Unmarshal(view.State, &kept); err != nil {
		tm.t.Fatalf("%s: %v", tm.name, err)
	}
	known := map[string]bool{}
	for addr, a := range kept.Agents {
		platform, _, _ := strings.Cut(addr, "/")
		known[platform+" "+a.UID] = true
	}
	count := 0
	for _, a := range tm.live() {
		if a.App != tm.name {
			continue
		}
		count++
		if !known[a.Platform+" "+a.UID] {
			tm.t.Errorf("%s: %s %s (%s) is live and not in the state", tm.name, a.Platform, a.UID, a.Name)
		}
	}
	if count != 2*tm.n || len(kept.Agents) != 2*tm.n || len(view.Journal) > 0 {
		tm.t.Errorf("%s: %d agents live, %d in the state, want %d; journal %.300q", tm.name, count, len(kept.Agents),
			2*tm.n,
			view.Journal)
	}
	tm.must(0, tm.checkout(), "plan", "--prune", "--detailed-exitcode")
}

// gate is the way to a store, on which something happens at one request.
type gate struct {
	addr string

	mu     sync.Mutex // guards what follows
	count  int
	at     int // the request, from 1; 0 for none
	before func(r *http.Request)
	lose   bool // no answer
	after  func(r *http.Request)
}

func newGate(t *testing.T, addr string) *gate {
	t.Helper()
	g := new(gate)
	to := &url.URL{Scheme: "http", Host: addr}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
		// whoever asked is gone
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hit, before, lose, after := g.pass()
		if !hit {
			proxy.ServeHTTP(w, r)
			return
		}
		if before != nil {
			before(r)
		}
		if lose {
			w = discard{http.Header{}}
		}
		proxy.ServeHTTP(w, r)
		if after != nil {
			after(r)
		}
		if lose {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	g.addr = server.Listener.Addr().String()
	return g
}

// pass counts a request, and returns what happens at it.
func (g *gate) pass() (hit bool, before func(*http.Request), lose bool, after func(*http.Request)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	return g.count == g.at, g.before, g.lose, g.after
}

// newDatabaseGate is newGate for PostgreSQL, whose requests end with a message of the kind S.
func newDatabaseGate(t *testing.T, addr string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g := &gate{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // the test ended
			}
			go g.relay(client, addr)
		}
	}()
	return g
}

// relay carries one connection's messages to and fro. An error on either side is its end.
func (g *gate) relay(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	var isLost atomic.Bool
	answered := make(chan bool, 1000)
	go func() {
		defer client.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if err != nil {
				return
			}
			if isLost.Load() {
				answered <- true
			} else if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	for kind := 0; ; kind = 1 { // the first message has no kind
		header := make([]byte, kind+4)
		if _, err := io.ReadFull(client, header); err != nil {
			return
		}
		message := make([]byte, bigendian.BigEndian.Uint32(header[kind:])-4)
		if _, err := io.ReadFull(client, message); err != nil {
			return
		}
		var hit, lose bool
		var before, after func(*http.Request)
		if kind == 1 && header[0] == 'S' {
			hit, before, lose, after = g.pass()
		}
		if hit && before != nil {
			before(nil)
		}
		isLost.Store(hit && lose)
		if _, err := server.Write(append(header, message...)); err != nil {
			return
		}
		if !hit {
			continue
		}
		if lose {
			<-answered
		}
		if after != nil {
			after(nil)
		}
		if lose {
			return
		}
	}
}

// discard is where an answer goes that gets lost.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// arm counts from now on, and lets set say what happens at the n-th request.
func (g *gate) arm(n int, set func(g *gate)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count, g.at, g.before, g.after, g.lose = 0, n, nil, nil, false
	if set != nil {
		set(g)
	}
}

// passed returns how many requests there were since arm.
func (g *gate) passed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// start starts cmd, and lets set arm the gate with its process: no request passes before both are done.
func (tm *team) start(cmd *exec.Cmd, n int, set func(g *gate, p *os.Process)) (done <-chan struct{}) {
	tm.t.Helper()
	tm.gate.mu.Lock()
	defer tm.gate.mu.Unlock()
	if err := cmd.Start(); err != nil {
		tm.t.Fatal(err)
	}
	g := tm.gate
	g.count, g.at, g.before, g.after, g.lose = 0, n, nil, nil, false
	set(g, cmd.Process)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed or not: its exit code says how it ended
		close(ended)
	}()
	return ended
}

// sends returns what sends a signal to a process, which may have ended.
func sends(p *os.Process, s syscall.Signal) func(*http.Request) {
	return func(*http.Request) { _ = p.Signal(s) }
}

// parallel runs cases side by side, as each mostly waits for a lease to end: more of them than there are processors, so
// without t.Parallel. Each gets a number from 1 to n.
func parallel(t *testing.T, n, atOnce int, run func(t *testing.T, i int)) {
	t.Helper()
	var running errgroup.Group
	running.SetLimit(atOnce)
	for i := 1; i <= n; i++ {
		running.Go(func() error {
			t.Run(fmt.Sprint(i), func(t *testing.T) { run(t, i) })
			return nil
		})
	}
	_ = running.Wait() // they tell t
}

// until waits for something that a process does, for a minute.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); {
		if time.Since(start) > time.Minute {
			t.Fatalf("no %s in a minute", what)
		}
		time.Sleep(20 * time.Millisecond) // it happens in another process
	}
}
