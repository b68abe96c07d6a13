package docgen

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"agentsync/internal/cli"
	"agentsync/internal/sandbox"
	"agentsync/internal/state/store/storetest"
)

// TestMain puts agentsync on PATH: this test binary under another name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agentsync": func() {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
		os.Exit(cli.Run(ctx, os.Environ(), streams, os.Args[1:]))
	}})
}

const (
	forgetAll = "agentsync state rm 'cometchat/*' 'mindset/*' && "
	oldKey    = "agentsync state mv mindset/acme/onboarding-coach mindset/acme/coach && "
	empty     = "rm -r manifests state.json && "
	// bucket and database are the places of the examples, for both of which the test has a bucket of its own.
	bucket   = "s3://acme-agents/prod?region=eu-central-1"
	database = "postgres://agentsync@db.acme.example/ops?sslmode=verify-full#fleet=prod"
	inBucket = "export AGENTSYNC_STATE='" + bucket + "' && agentsync state init && agentsync apply && "
)

// scenes are what must have happened before an example makes sense. Every other example follows an apply
// of the repository's own manifests. The longest beginning of the example counts.
var scenes = map[string]string{
	"agentsync apply --plan plan.bin": "agentsync plan --out plan.bin && ",
	"agentsync show plan.bin":         "agentsync plan --out plan.bin && ",
	"agentsync plan --sandbox":        "rm state.json && ",
	"agentsync state mv":              oldKey,
	"agentsync state rm":              oldKey,
	"agentsync state status":          inBucket,
	"agentsync state unlock":          inBucket,
	"agentsync state history":         inBucket,
	"agentsync state rollback":        inBucket,
	"agentsync state push":            "cp state.json errored.state.json && rm state.json && ",
	"agentsync state merge":           "cp state.json errored.state.json && rm state.json && ",
	"agentsync import": forgetAll +
		"sed -i.bak 's/key: concierge/key: other/' manifests/support.yaml && ",
	"agentsync export":                    forgetAll,
	"agentsync export --platform":         forgetAll + empty,
	"agentsync init":                      empty,
	"agentsync export --platform mindset": forgetAll,
}

func sceneOf(example string) string {
	longest := ""
	for prefix := range scenes {
		if strings.HasPrefix(example, prefix) && len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return scenes[longest]
}

// TestExamples runs every example of every command as it stands, in a shell, against the sandbox; each
// must end with 0. What serves until it is told to stop is told so once it says that it listens.
func TestExamples(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("the examples are for a shell, and there is no bash")
	}
	ran := 0
	for _, cmd := range shownCommands(cli.Command()) {
		for line := range strings.Lines(cmd.Example) {
			example := strings.TrimSpace(line)
			if example == "" {
				continue
			}
			ran++
			t.Run(example, func(t *testing.T) {
				w := newWorld(t)
				if strings.HasPrefix(example, "agentsync sandbox") {
					w.serve(example)
					return
				}
				w.run("agentsync apply >/dev/null 2>&1")
				w.run(strings.NewReplacer(bucket, w.bucket, database, w.bucket).Replace(sceneOf(example) + example))
			})
		}
	}
	if ran < 20 {
		t.Errorf("only %d examples: is the list of commands complete?", ran)
	}
}

// world is a folder with the repository's manifests, and a sandbox.
type world struct {
	t      *testing.T
	dir    string
	env    []string
	bucket string // the URL of a place for a shared state
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{UIDs: exampleUIDs()})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		h.Close()
		_ = server.Close()
	})
	store := httptest.NewServer(new(storetest.S3Handler))
	t.Cleanup(store.Close)
	w := &world{t: t, dir: t.TempDir(), bucket: storetest.S3URL(strings.TrimPrefix(store.URL, "http://"), "prod")}
	if err := os.CopyFS(filepath.Join(w.dir, "manifests"), os.DirFS("../../manifests")); err != nil {
		t.Fatal(err)
	}
	w.env = append(os.Environ(), "COMETCHAT_API_KEY=key-c", "MINDSET_API_KEY=key-m",
		"LANGGRAPH_TOKEN=token-of-usual-length",
		"AGENTSYNC_COMETCHAT_ENDPOINT="+h.URL+"/cometchat/{app}/v3", "AGENTSYNC_MINDSET_ENDPOINT="+h.URL,
		"AGENTSYNC_AUTO_APPROVE=true", "AGENTSYNC_PARALLELISM=1", "AGENTSYNC_LISTEN=127.0.0.1:0", "NO_COLOR=1",
		"AWS_ACCESS_KEY_ID="+storetest.FullKey, "AWS_SECRET_ACCESS_KEY=any", "AWS_EC2_METADATA_DISABLED=true")
	return w
}

// exampleUIDs gives the first agent of each platform the uid that the examples name.
func exampleUIDs() func(platform, app string) string {
	var mu sync.Mutex
	made := map[string]int{}
	return func(platform, app string) string {
		mu.Lock()
		defer mu.Unlock()
		made[platform]++
		switch n := made[platform]; {
		case platform == sandbox.Mindset && n == 1:
			return "Ab3dEf6hIj9kLm2nOp5q"
		case platform == sandbox.Mindset:
			return fmt.Sprintf("MINDSETAGENT%08d", n)
		case n == 1:
			return "0b5a7c1e-4f0e-4a58-9c6e-1d2f3a4b5c6d"
		default:
			return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
		}
	}
}

func (w *world) run(script string) {
	w.t.Helper()
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Env = w.dir, w.env
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// serve starts an example, waits until it says where it listens, and stops it.
func (w *world) serve(example string) {
	w.t.Helper()
	// A port of the example's own could be taken on this machine.
	cmd := exec.Command("bash", "-c", "exec "+strings.Replace(example, "127.0.0.1:8080", "127.0.0.1:0", 1))
	cmd.Dir, cmd.Env = w.dir, w.env
	said := &listener{heard: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-said.heard:
	case err := <-ended:
		w.t.Fatalf("it ended: %v\n%s", err, said)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if err := <-ended; err != nil {
		w.t.Errorf("told to stop: %v\n%s", err, said)
	}
}

// listener keeps what a server says, and tells when it has named its address.
type listener struct {
	heard chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if !l.told && strings.Contains(l.text.String(), "http://127.0.0.1:") {
		l.told = true
		close(l.heard)
	}
	return len(p), nil
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
