package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// server is a sandbox in a process of its own.
type server struct {
	url string
	env []string // what leads agentsync there
}

// serve starts a sandbox; it ends with the benchmark.
func serve(b *testing.B, flags ...string) *server {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"sandbox", "--listen", "127.0.0.1:0", "--page-size", "1000"},
		flags...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	return &server{url: url, env: []string{
		"AGENTSYNC_COMETCHAT_ENDPOINT=" + url + "/cometchat/{app}/v3", "COMETCHAT_API_KEY=any",
		"AGENTSYNC_MINDSET_ENDPOINT=" + url, "MINDSET_API_KEY=any",
	}}
}

// counts are the requests that a server had.
type counts struct {
	lists, creates, others, throttled int
}

func (s *server) counts(b *testing.B) counts {
	b.Helper()
	resp, err := http.Get(s.url + "/_sandbox/requests")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Counts struct {
			Requests  map[string]map[string]int
			Throttled map[string]int
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		b.Fatal(err)
	}
	var c counts
	for _, ops := range answer.Counts.Requests {
		for op, n := range ops {
			switch op {
			case "list":
				c.lists += n
			case "create":
				c.creates += n
			default:
				c.others += n
			}
		}
	}
	for _, n := range answer.Counts.Throttled {
		c.throttled += n
	}
	return c
}

func (c counts) all() int { return c.lists + c.creates + c.others }

func (c counts) minus(d counts) counts {
	return counts{c.lists - d.lists, c.creates - d.creates, c.others - d.others, c.throttled - d.throttled}
}

// apply applies the fleet in dir to a server; the state is new.
func (s *server) apply(b *testing.B, dir, state string, flags ...string) usage {
	b.Helper()
	return agentsync(b, dir, s.env,
		append([]string{"apply", "--auto-approve", "--quiet", "--state", state, "."}, flags...)...)
}

// applied returns the state of a fleet that was applied.
func applied(b *testing.B, dir string) string {
	b.Helper()
	state := filepath.Join(b.TempDir(), "state.json")
	serve(b).apply(b, dir, state, "--parallelism", "64")
	// The plans that are measured name the platforms' own addresses: what the state says of where the server of this
	// apply was would be a change.
	content, err := os.ReadFile(state)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(state, recordedApps.ReplaceAll(content, nil), 0o600); err != nil {
		b.Fatal(err)
	}
	return state
}

var recordedApps = regexp.MustCompile(`(?s)  "apps": \{.*?\n  \},\n`)

// inFlight is the flag for n requests at once per app.
func inFlight(n int) string { return fmt.Sprintf("--parallelism=%d", n) }
