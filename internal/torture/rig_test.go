package torture

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"agentsync/internal/state"
	"agentsync/internal/state/store/storetest"
)

// long reports whether the long versions were asked for.
func long() bool { return os.Getenv("AGENTSYNC_TORTURE") != "" }

// times returns how many cases to run.
func times(quick, torture int) int {
	if long() {
		return torture
	}
	return quick
}

// built is the folder that the binary is built in.
var built string

// builtBinary is the variable that names agentsync where another process has built it.
const builtBinary = "TORTURE_BINARY"

// binary builds agentsync as it is published, once, and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(builtBinary); path != "" {
		return path, nil
	}
	path := filepath.Join(built, "agentsync")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build agentsync: %w\n%s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "torture"); err == nil {
		err = os.Chmod(built, 0o755) // another user runs it, too
	}
	for _, variable := range new(storetest.S3).Env() { // of the S3 of each test, and of no other
		name, value, _ := strings.Cut(variable, "=")
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(built) // it is in the folder for temporary files
	os.Exit(code)
}

// rig is a folder with manifests and state, and a sandbox in another process.
type rig struct {
	t   *testing.T
	bin string
	dir string
	url string
	env []string
	// patience is how long a command may take, 0 for two minutes.
	patience time.Duration
}

var listening = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// newRig starts the sandbox with the fault rules.
func newRig(t *testing.T, faults ...string) *rig {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, bin: bin, dir: t.TempDir()}
	args := []string{"sandbox", "--listen", "127.0.0.1:0"}
	for _, f := range faults {
		args = append(args, "--fault", f)
	}
	cmd := exec.Command(bin, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	scan := bufio.NewScanner(out)
	for r.url == "" && scan.Scan() {
		r.url = listening.FindString(scan.Text())
	}
	if r.url == "" {
		t.Fatal("the sandbox does not say where it listens")
	}
	r.env = environment(r.url)
	return r
}

// environment points agentsync at a sandbox.
func environment(url string) []string {
	return append(os.Environ(), "NO_COLOR=1",
		"COMETCHAT_API_KEY=test", "MINDSET_API_KEY=test",
		"AGENTSYNC_COMETCHAT_ENDPOINT="+url+"/cometchat/{app}/v3", "AGENTSYNC_MINDSET_ENDPOINT="+url)
}

// fleet writes manifests of n agents on each platform; text makes them different from other fleets.
// Every third agent has the name of the one before it.
func fleet(t *testing.T, dir string, n int, text string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\ncometchat:\n  appId: app1\n  region: eu\n  agents:\n")
	for i := range n {
		fmt.Fprintf(&b,
			"    - {key: c%03d, name: Concierge %d, icon: 'https://cdn.example.com/b.png', integrateWith: mastra, "+
				"integrationType: agent,\n"+
				"       integrationMeta: {baseUrl: 'https://a.example.com', agentId: c%d}, tools: [search, calendar], metaData: "+
				"{greetingMessage: '%s'}}\n", i, named(i), named(i), text)
	}
	b.WriteString("mindset:\n  appUid: acme\n  agents:\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {key: m%03d, agentName: Coach %d, agentPurpose: 'Help with %s.', tags: [b, a]}\n", i,
			named(i), text)
	}
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "fleet.yaml"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func named(i int) int { return i - max(0, i%3-1) }

// command is agentsync in the rig's folder.
func (r *rig) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(r.patience, 2*time.Minute))
	r.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, r.bin, args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// apply is the command that most cases run. The grace period is short, as the sandbox's faults are.
func applyArgs(more ...string) []string {
	return append([]string{"apply", "--auto-approve", "--prune", "--settle-timeout", "300ms", "--timeout", "5s"},
		more...)
}

// run runs agentsync to its end and returns its exit code and what it wrote.
func (r *rig) run(args ...string) (code int, output string) {
	r.t.Helper()
	return finish(r.t, r.command(args...))
}

func finish(t *testing.T, cmd *exec.Cmd) (code int, output string) {
	t.Helper()
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}

// must runs agentsync and expects an exit code.
func (r *rig) must(want int, args ...string) string {
	r.t.Helper()
	code, out := r.run(args...)
	if code != want {
		r.t.Fatalf("agentsync %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// get reads a page of the sandbox's control.
func (r *rig) get(path string, v any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		r.t.Fatal(err)
	}
}

// faults replaces the sandbox's script.
func (r *rig) faults(rules ...string) {
	r.t.Helper()
	resp, err := http.Post(r.url+"/_sandbox/faults", "text/plain", strings.NewReader(strings.Join(rules, "\n")))
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		r.t.Fatalf("faults: %s", b)
	}
}

// live is an agent as the sandbox's own count has it.
type live struct {
	Platform, App, UID, Name string
}

func (r *rig) live() []live {
	r.t.Helper()
	var answer struct{ Agents []live }
	r.get("/_sandbox/agents", &answer)
	return answer.Agents
}

// creates returns how many POSTs of agents reached the sandbox.
func (r *rig) creates() int {
	r.t.Helper()
	var answer struct {
		Counts struct{ Requests map[string]map[string]int }
	}
	r.get("/_sandbox/requests", &answer)
	n := 0
	for _, ops := range answer.Counts.Requests {
		n += ops["create"]
	}
	return n
}

// check holds the guarantee: n agents on each platform, their names as often as they are wanted, each
// uid in the state, no journal, and nothing left to do.
func (r *rig) check(n int) {
	r.t.Helper()
	checkAgents(r.t, r.dir, n, r.live())
	if code, out := r.run("plan", "--prune", "--detailed-exitcode"); code != 0 {
		r.t.Fatalf("plan after apply: exit %d\n%s", code, out)
	}
}

func checkAgents(t *testing.T, dir string, n int, agents []live) {
	t.Helper()
	snap, err := state.NewFile(filepath.Join(dir, "state.json")).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if snap.Pending || len(snap.Open) > 0 {
		t.Errorf("the journal holds %d open intents, pending %v", len(snap.Open), snap.Pending)
	}
	known, count := map[string]bool{}, map[string]int{}
	for a, rec := range snap.State.Agents {
		known[a.Platform+" "+rec.UID] = true
		if len(rec.Obsolete) > 0 {
			t.Errorf("%s has obsolete agents %v", a, rec.Obsolete)
		}
	}
	for i := range n {
		count["cometchat Concierge "+strconv.Itoa(named(i))]++
		count["mindset Coach "+strconv.Itoa(named(i))]++
	}
	for _, a := range agents {
		if !known[a.Platform+" "+a.UID] {
			t.Errorf("%s %s (%s) is live and not in the state", a.Platform, a.UID, a.Name)
		}
		count[a.Platform+" "+a.Name]--
	}
	for name, missing := range count {
		if missing != 0 {
			t.Errorf("%s: %d agents too few", name, missing)
		}
	}
	if len(snap.State.Agents) != 2*n || len(agents) != 2*n {
		t.Errorf("%d agents in the state, %d live, want %d", len(snap.State.Agents), len(agents), 2*n)
	}
	if t.Failed() {
		b, _ := os.ReadFile(filepath.Join(dir, "state.json.journal"))
		t.Fatalf("journal: %s", cmp.Or(string(bytes.Trim(b, "\x00")), "none"))
	}
}
