package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkApplyLatency is an apply whose time is the platform's: the creates, as many at once as may be, and the
// lists, one after the other. The list before is empty, and the one after shows all.
func BenchmarkApplyLatency(b *testing.B) {
	const inFlightPerApp, latency = 32, 50 * time.Millisecond
	for _, agents := range []int{1_000, 2_000, 5_000} {
		dir := conciergeFleet(b, agents)
		lists, whole := 0, time.Hour // how many lists, and how long one takes that shows all
		u := quickest(rounds, func() usage {
			s := serve(b, "--fault", "latency=50ms")
			u := s.apply(b, dir, filepath.Join(b.TempDir(), "state.json"), inFlight(inFlightPerApp))
			lists = s.counts(b).lists
			return u
		}, func() usage {
			s := serve(b, "--fault", "latency=50ms")
			u := s.post(b, agents, inFlightPerApp)
			whole = min(whole, s.readConcierges(b).wall)
			return u
		})
		ideal := time.Duration((agents+inFlightPerApp-1)/inFlightPerApp) * latency
		least := ideal + time.Duration(lists-1)*latency + whole
		found(fmt.Sprintf("`apply` of %d creates, 50 ms latency, 32 in flight", agents),
			"≤ 1.05 × (ceil(n ÷ in flight) × latency + the lists' own round trips, one after the other)",
			"%.3f × (%s; %d lists; a bare client for the creates alone %.3f ×)", ratio(u[0].wall, least), ms(u[0].wall),
			lists, ratio(u[1].wall, ideal))
	}
}

// BenchmarkApplyCost is an apply whose cost is agentsync's own.
func BenchmarkApplyCost(b *testing.B) {
	const agents = 10_000
	dir := fleet(b, agents, 20)
	var written int64
	u := quickest(rounds, func() usage {
		state := filepath.Join(b.TempDir(), "state.json")
		journal := keepJournal(state)
		u := serve(b, "--fault", "latency=5ms").apply(b, dir, state, inFlight(64))
		written = size(b, state) + <-journal
		return u
	}, func() usage { return serve(b, "--fault", "latency=5ms").post(b, agents, 128) })
	found("`apply` of 10,000 creates, 5 ms latency, 64 in flight per app, server in another process",
		"≤ 150 µs of CPU per agent, ≤ 200 MiB, ≤ 3 KiB written per agent",
		"%.0f µs (a bare client %.0f), %.0f MiB, %.2f KiB",
		u[0].cpu.Seconds()*1e6/agents, u[1].cpu.Seconds()*1e6/agents, u[0].memory, float64(written)/agents/1024)
}

// keepJournal keeps a second name of the journal, which is gone after an apply, and sends how long it
// became: what was written, without the zeros of the space that was reserved and not used. It sends 0
// where the journal never showed.
func keepJournal(state string) <-chan int64 {
	length := make(chan int64, 1)
	kept := state + ".kept"
	go func() {
		for errors.Is(os.Link(state+".journal", kept), fs.ErrNotExist) {
			time.Sleep(time.Millisecond)
		}
		for errors.Is(exists(state), fs.ErrNotExist) || exists(state+".journal") == nil {
			time.Sleep(time.Millisecond)
		}
		b, _ := os.ReadFile(kept) // nothing read is nothing written
		length <- int64(len(bytes.TrimRight(b, "\x00")))
	}()
	return length
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

func size(b *testing.B, path string) int64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}

// BenchmarkRecovery is an apply after another one was killed half way through its creates. What had reached the
// platform is carried out; what had not, never left.
func BenchmarkRecovery(b *testing.B) {
	const agents, inFlightPerApp, kills, latency = 200, 10, 3, 50 * time.Millisecond
	dir := conciergeFleet(b, agents)
	worst, of, left := time.Duration(0), time.Duration(1), 0
	for range kills {
		s, state := serve(b, "--fault", "slow=50ms", "--fault", "latency=50ms op=list"), filepath.Join(b.TempDir(),
			"state.json")
		s.killed(b, dir, state, agents/2, inFlight(inFlightPerApp))
		made := s.counts(b)
		u := s.apply(b, dir, state, inFlight(inFlightPerApp))
		c := s.counts(b).minus(made)
		least := time.Duration((c.creates+inFlightPerApp-1)/inFlightPerApp+c.lists) * latency
		if ratio(u.wall, least) > ratio(worst, of) {
			worst, of, left = u.wall, least, c.creates
		}
	}
	found("`apply` after a `kill -9` half way through 200 creates, 50 ms latency, 10 in flight",
		"≤ 3 s + 1.2 × the work that is left",
		"%s, %.2f × (%d creates and the lists), the worst of %d", ms(worst), ratio(worst, of), left, kills)
}

// killed starts an apply and kills it when the server has got so many creates.
func (s *server) killed(b *testing.B, dir, state string, creates int, flags ...string) {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"apply", "--auto-approve", "--quiet", "--state", state, "."},
		flags...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), s.env...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for s.counts(b).creates < creates {
		time.Sleep(time.Millisecond)
	}
	_ = cmd.Process.Kill() // it has as many to send again
	_ = cmd.Wait()         // it was killed
}

// BenchmarkApplyLimited is an apply against a platform that allows 20 requests a second.
func BenchmarkApplyLimited(b *testing.B) {
	const agents, perSecond = 400, 20
	dir := conciergeFleet(b, agents)
	limited := func(what, target string, flags ...string) {
		s := serve(b, append(flags, "--rate-limit", "20/s")...)
		u := s.apply(b, dir, filepath.Join(b.TempDir(), "state.json"))
		c := s.counts(b)
		granted := c.all() - c.throttled
		least := time.Duration(granted) * time.Second / perSecond
		found(what, target, "%.2f × (%s for %d requests), %.1f%% answered 429",
			ratio(u.wall, least), ms(u.wall), granted, 100*float64(c.throttled)/float64(c.all()))
	}
	limited("`apply` of 400 creates, 20 requests a second allowed and announced",
		"≤ 1.15 × the time that the limit allows, ≤ 5% answered 429")
	limited("the same, announced by nothing but 429s", "≤ 1.3 ×, ≤ 10%", "--quiet-limit")
}

// BenchmarkRefresh is a plan that reads what is live, and an apply that has nothing to do.
func BenchmarkRefresh(b *testing.B) {
	dir := fleet(b, 10_000, 20)
	state := filepath.Join(b.TempDir(), "state.json")
	s := serve(b)
	s.apply(b, dir, state, inFlight(64))
	before := s.counts(b)
	u := quickest(rounds,
		// With the endpoints that the state knows: others are a change of the plan.
		func() usage { return agentsync(b, dir, s.env, "plan", "--detailed-exitcode", "--state", state, ".") },
		func() usage {
			return agentsync(b, dir, s.env, "plan", "--refresh", "--detailed-exitcode", "--state", state, ".")
		},
		func() usage { return s.read(b) })
	c := s.counts(b).minus(before)
	found("`plan --refresh` of 10,000 agents", "requests = pages; ≤ 1.5 × offline plan + the lists' own time",
		"%d requests (pages of 1,000 on Mindset, one on CometChat), %.2f × (%s; offline %s, the lists read and dropped %s)",
		c.all()/(2*rounds), ratio(u[1].wall, u[0].wall*3/2+u[2].wall)*1.5, ms(u[1].wall), ms(u[0].wall), ms(u[2].wall))

	before, stateBefore := s.counts(b), snapshot(b, filepath.Dir(state))
	s.apply(b, dir, state)
	c = s.counts(b).minus(before)
	changed := "0 bytes written"
	if snapshot(b, filepath.Dir(state)) != stateBefore {
		changed = "files were written"
	}
	found("no-op `apply` of 10,000 agents", "0 bytes written, at most one list per app", "%s, %d requests", changed,
		c.all())
}

// read reads the same pages as a refresh and drops them.
func (s *server) read(b *testing.B) usage {
	start := time.Now()
	s.readConcierges(b)
	after := ""
	for {
		page := s.get(b, "/api/v1/appuid/acme/agents"+after, "x-api-key")
		at := strings.LastIndex(page, `"createdAt":"`)
		if at < 0 {
			return usage{wall: time.Since(start)}
		}
		last, _, _ := strings.Cut(page[at+len(`"createdAt":"`):], `"`)
		after = "?startAfter=" + last
	}
}

// readConcierges reads the list of CometChat and drops it.
func (s *server) readConcierges(b *testing.B) usage {
	start := time.Now()
	s.get(b, "/cometchat/2754abc/v3/ai-agents/agents", "apikey")
	return usage{wall: time.Since(start)}
}

// get reads a page. The end of a list may be answered 404.
func (s *server) get(b *testing.B, path, header string) string {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set(header, "any")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
		b.Fatal(resp.Status, err)
	}
	return string(body)
}

// post posts as many agents as an apply, and nothing else.
func (s *server) post(b *testing.B, agents, inFlight int) usage {
	b.Helper()
	return measured(b, "post", s.url+"/cometchat/2754abc/v3/ai-agents/agents", fmt.Sprint(agents), fmt.Sprint(inFlight))
}

// snapshot describes all files of a folder: names, sizes, times.
func snapshot(b *testing.B, dir string) string {
	b.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintln(&all, info.Name(), info.Size(), info.ModTime(), info.Mode())
	}
	return all.String()
}
