package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkApplyLatency is an apply whose time is the platform's.
func BenchmarkApplyLatency(b *testing.B) {
	const agents, inFlightPerApp, latency = 2_000, 32, 50 * time.Millisecond
	dir := conciergeFleet(b, agents)
	u := quickest(rounds, func() usage {
		return serve(b, "--fault", "latency=50ms").apply(b, dir, filepath.Join(b.TempDir(), "state.json"), inFlight(inFlightPerApp))
	}, func() usage { return serve(b, "--fault", "latency=50ms").post(b, agents, inFlightPerApp) })
	least := (agents + inFlightPerApp - 1) / inFlightPerApp * latency
	found("`apply` of 2,000 creates, 50 ms latency, 32 in flight, lists before and after included", "≤ 1.10 × ceil(n ÷ in flight) × latency",
		"%.2f × (%s; a bare client %.2f ×)", ratio(u[0].wall, least), ms(u[0].wall), ratio(u[1].wall, least))
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
	found("`apply` of 10,000 creates, 5 ms latency, 64 in flight per app, server in another process", "≤ 150 µs of CPU per agent, ≤ 200 MiB, ≤ 3 KiB written per agent",
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
	limited("`apply` of 400 creates, 20 requests a second allowed and announced", "≤ 1.15 × the time that the limit allows, ≤ 5% answered 429")
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
		func() usage { return agentsync(b, dir, nil, "plan", "--detailed-exitcode", "--state", state, ".") },
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
	found("no-op `apply` of 10,000 agents", "0 bytes written, at most one list per app", "%s, %d requests", changed, c.all())
}

// read reads the same pages as a refresh and drops them.
func (s *server) read(b *testing.B) usage {
	start := time.Now()
	get := func(url, header string) string {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
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
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status, err)
		}
		return string(body)
	}
	get(s.url+"/cometchat/2754abc/v3/ai-agents/agents", "apikey")
	after := ""
	for {
		page := get(s.url+"/api/v1/appuid/acme/agents"+after, "x-api-key")
		at := strings.LastIndex(page, `"createdAt":"`)
		if at < 0 {
			return usage{wall: time.Since(start)}
		}
		last, _, _ := strings.Cut(page[at+len(`"createdAt":"`):], `"`)
		after = "?startAfter=" + last
	}
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
