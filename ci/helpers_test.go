package ci

import (
	stdcontext "context"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"agentsync/internal/sandbox"
)

// context is what main gives to cli.Run: it ends with the first signal.
func context() stdcontext.Context {
	ctx, _ := signal.NotifyContext(stdcontext.Background(), os.Interrupt, syscall.SIGTERM)
	return ctx
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// read returns a file's text, empty where there is none.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// git runs git in dir and returns what it wrote.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// withSandbox points the run at a sandbox with faults.
func (r *runner) withSandbox(rules ...string) *sandbox.Server {
	r.t.Helper()
	faults, err := sandbox.ParseFaults(rules...)
	if err != nil {
		r.t.Fatal(err)
	}
	server, err := sandbox.New(sandbox.Options{Faults: faults})
	if err != nil {
		r.t.Fatal(err)
	}
	h := httptest.NewServer(server)
	r.t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		_ = server.Close()
	})
	r.env["COMETCHAT_API_KEY"], r.env["MINDSET_API_KEY"] = "key-c", "key-m"
	r.env["AGENTSYNC_COMETCHAT_ENDPOINT"] = h.URL + "/cometchat/{app}/v3"
	r.env["AGENTSYNC_MINDSET_ENDPOINT"] = h.URL
	return server
}

// fleet is a manifest with an agent for each key.
func fleet(keys ...string) string {
	s := "version: 1\nmindset:\n  appUid: acme\n  agents:\n"
	for _, key := range keys {
		s += "    - {key: " + key + ", agentName: Agent " + key + "}\n"
	}
	return s
}

// wantAll fails for each of parts that text does not hold.
func wantAll(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not hold %q:\n%s", what, part, text)
		}
	}
}

// wantOutputs compares some outputs.
func wantOutputs(t *testing.T, res result, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if res.outputs[name] != value {
			t.Errorf("output %s is %q, want %q\n%s", name, res.outputs[name], value, res.log)
		}
	}
}

func setFaults(t *testing.T, server *sandbox.Server, rules ...string) {
	t.Helper()
	faults, err := sandbox.ParseFaults(rules...)
	if err != nil {
		t.Fatal(err)
	}
	server.SetFaults(faults)
}

// creates counts the creates that the sandbox has had.
func creates(server *sandbox.Server) int {
	n := 0
	for _, ops := range server.Counts().Requests {
		n += ops["create"]
	}
	return n
}
