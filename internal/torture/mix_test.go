package torture

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/cli"
	"agentsync/internal/exit"
	"agentsync/internal/sandbox"
)

// rules are the faults of the sandbox, each for requests by chance. A list that lies does so once in a
// script: one that lies for longer than the grace period is what docs/guarantees.md excludes.
var rules = []string{
	"drop-before", "drop-after", "status-before=500", "status-before=502 body=html", "status-before=503 body=empty",
	"status-after=500", "status-after=502 body=html", "status-after=504 body=empty", "status-after=409",
	"throttle=1s", "throttle retry-as=none", "unavailable=1s", "cut-body", "garbage", "html", "empty", "hang=900ms",
	"hang-before=900ms",
	"redirect=307", "redirect=308", "late=150ms", "lag=250ms op=create", "lag-lists=1 op=create",
	"latency=5ms jitter=4ms",
	"rewrite=tags:sort", "rewrite=tools:sort", "rewrite=tags:reverse", "mask-headers",
}

var lies = []string{"short-list=2", "short-list", "empty-list", "repeat-page"}

// sideBySide calls do for 0 to n-1, several at a time: the cases wait much more than they work.
func sideBySide(n int, do func(i int)) {
	var g errgroup.Group
	g.SetLimit(10)
	for i := range n {
		g.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = g.Wait() // what is wrong is in the tests
}

// script draws a script.
func script(rng *rand.Rand) []string {
	var lines []string
	for _, i := range rng.Perm(len(rules))[:2+rng.IntN(4)] {
		line := rules[i]
		if strings.HasPrefix(line, "late") {
			line += " op=create"
		}
		if !strings.HasPrefix(line, "rewrite") && !strings.HasPrefix(line, "mask") &&
			!strings.HasPrefix(line, "latency") {
			line += fmt.Sprintf(" p=%.2f seed=%d", 0.05+0.2*rng.Float64(), rng.Uint32())
			if strings.HasPrefix(line, "throttle") || strings.HasPrefix(line, "unavailable") ||
				strings.HasPrefix(line, "hang") {
				line += " times=2" // each costs a second
			}
		}
		lines = append(lines, line)
	}
	if rng.IntN(3) == 0 {
		lines = append(lines, fmt.Sprintf("%s op=list nth=%d", lies[rng.IntN(len(lies))], 1+rng.IntN(4)))
	}
	return lines
}

// TestTortureMix runs the whole tool in this process, over HTTP, against mixes of the sandbox's faults:
// create, change, create more, each until it is through, then once without faults.
func TestTortureMix(t *testing.T) {
	n := times(3, 60)
	sideBySide(n, func(i int) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			runs := 0
			server, h := serve(t)
			dir := t.TempDir()
			for phase, text := range []string{"one", "two", "two"}[:times(2, 3)] {
				agents := 5 + 3*(phase/2)
				fleet(t, dir, agents, text)
				lines := script(rng)
				setFaults(t, server, lines)
				runs += untilDone(t, dir, h.URL, lines)
				setFaults(t, server, nil)
				if code, out := tool(t, dir, h.URL, mixArgs(dir)...); code != 0 {
					t.Fatalf("exit %d without faults, after %q\n%s", code, lines, out)
				}
				checkAgents(t, dir, agents, liveIn(server))
				if code, out := tool(t, dir, h.URL, "plan", "--prune", "--detailed-exitcode", "--state",
					filepath.Join(dir, "state.json"), filepath.Join(dir, "manifests")); code != 0 {
					t.Fatalf("plan: exit %d after %q\n%s", code, lines, out)
				}
			}
			t.Logf("%d runs with faults", runs)
		})
	})
	t.Logf("%d mixes of faults on both platforms", n*times(2, 3))
}

func serve(t *testing.T) (*sandbox.Server, *httptest.Server) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{PageSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		_ = server.Close() // lets go of what hangs
		h.CloseClientConnections()
		h.Close()
	})
	return server, h
}

func setFaults(t *testing.T, server *sandbox.Server, lines []string) {
	t.Helper()
	faults, err := sandbox.ParseFaults(lines...)
	if err != nil {
		t.Fatal(err)
	}
	server.SetFaults(faults)
}

func liveIn(server *sandbox.Server) (agents []live) {
	for _, a := range server.Agents("", "") {
		agents = append(agents, live{Platform: a.Platform, App: a.App, UID: a.UID, Name: a.Name})
	}
	return agents
}

func mixArgs(dir string) []string {
	return []string{"apply", "--auto-approve", "--prune", "--settle-timeout", "500ms", "--timeout", "700ms",
		"--parallelism", "4",
		"--state", filepath.Join(dir, "state.json"), filepath.Join(dir, "manifests")}
}

// untilDone applies until it is through, a few times at the most, and returns how often. Under faults a
// run may fail, but only in ways that say so.
func untilDone(t *testing.T, dir, url string, lines []string) (runs int) {
	t.Helper()
	for runs = 1; runs <= 3; runs++ {
		code, out := tool(t, dir, url, mixArgs(dir)...)
		if code == exit.OK {
			return runs
		}
		if !slices.Contains([]int{exit.Failed, exit.Partial}, code) {
			t.Fatalf("exit %d with %q\n%s", code, lines, out)
		}
	}
	return runs - 1
}

// tool runs the whole tool in this process.
func tool(t *testing.T, dir, url string, args ...string) (code int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	code = cli.Run(ctx, environment(url), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, args)
	return code, out.String()
}

// TestOnePostMeansOnePost counts the requests that reach the platform where everything invites some
// layer to send them again: an answer that is lost on a connection that was used before, and redirects.
func TestOnePostMeansOnePost(t *testing.T) {
	cases := []struct {
		rule  string
		posts int
	}{
		{"drop-after op=create every=2", 12}, // the other half finds its agent by listing
		{"status-after=503 op=create", 12},
		{"cut-body op=create", 12},
		{"redirect=307 op=create times=1", 13}, // one was not carried out, and is sent again after the grace period
		{"redirect=308 op=create times=1", 13},
		{"drop-before op=create times=1", 13},
	}
	sideBySide(len(cases), func(i int) {
		rule, posts := cases[i].rule, cases[i].posts
		t.Run(rule, func(t *testing.T) {
			server, h := serve(t)
			dir := t.TempDir()
			fleet(t, dir, 6, "one")
			setFaults(t, server, []string{rule})
			if code, out := tool(t, dir, h.URL, mixArgs(dir)...); code != 0 {
				t.Fatalf("exit %d\n%s", code, out)
			}
			checkAgents(t, dir, 6, liveIn(server))
			got := 0
			for _, ops := range server.Counts().Requests {
				got += ops["create"]
			}
			if got != posts {
				t.Errorf("%d POSTs reached the platform, want %d", got, posts)
			}
		})
	})
}
