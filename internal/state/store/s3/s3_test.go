package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/s3"
	"agentsync/internal/state/store/storetest"
)

// startServer starts versitygw on a folder of the test's, and returns a way to name a place in it. Without the program the
// test is skipped; with CI=true that is a failure.
func startServer(t *testing.T) func(prefix string) *s3.Bucket {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("versitygw is needed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
		}
		t.Skip("versitygw is not there: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "fleet"), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--port", addr, "--quiet", "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test-key", "ROOT_SECRET_KEY=test-secret-of-usual-length")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for start := time.Now(); ; { // until it answers
		response, err := http.Get("http://" + addr + "/")
		if err == nil {
			_ = response.Body.Close()
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "test-key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test-secret-of-usual-length")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return func(prefix string) *s3.Bucket {
		b, err := s3.Open(fmt.Sprintf("s3://fleet/%s?region=us-east-1&path-style=true&endpoint=http://%s", prefix, addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.CloseIdle)
		return b
	}
}

func TestVersitygw(t *testing.T) {
	open := startServer(t)
	n := 0
	storetest.Run(t, func(*testing.T) store.Store {
		n++
		return open(fmt.Sprint("place-", n))
	})
}

// TestRuns goes through runs of the protocol: a run, a second one, and a wrong key.
func TestRuns(t *testing.T) {
	open := startServer(t)
	ctx := t.Context()
	place := shared.Open(open("prod/fleet"), shared.Options{})
	if err := place.Init(ctx, "lineage"); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		l, err := place.Lock(ctx, shared.Holder{Host: "here"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockNow(ctx, place); !errors.As(err, new(*shared.HeldError)) {
			t.Errorf("while it is held: %v", err)
		}
		err = errors.Join(l.Begin(ctx, nil, []byte("one ")), l.Append(ctx, []byte("two")), l.Check())
		if v, readErr := place.Read(ctx); readErr != nil || string(v.Journal) != "one two" {
			t.Errorf("%+v, %v", v, readErr)
		}
		if err := errors.Join(err, l.Close(ctx, fmt.Append(nil, "state ", n), false)); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := place.Read(ctx); err != nil || string(v.State) != "state 2" || v.Serial != 3 {
		t.Errorf("%+v, %v", v, err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another-secret-of-usual-length")
	if _, err := shared.Open(open("prod/fleet"), shared.Options{}).Read(ctx); !errors.Is(err, store.ErrDenied) || strings.Contains(err.Error(), "another-secret") {
		t.Errorf("with a wrong key: %v", err)
	}
}

func lockNow(ctx context.Context, p *shared.Place) (*shared.Lease, error) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return p.Lock(ctx, shared.Holder{})
}

func TestOpenRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"s3://key:secret@fleet/x": "no key stands in a URL",
		"s3:///x":                 "write s3://",
		"https://fleet/x":         "write s3://",
		"s3://fleet/x?regoin=eu":  "regoin",
		"s3://fleet?endpoint=http://store.example.com":  "needs https",
		"s3://fleet?endpoint=https://a:b@store.example": "without a path or a key",
		"s3://fleet?path-style=perhaps":                 "true or false",
	} {
		if _, err := s3.Open(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", text, err)
		}
	}
	b, err := s3.Open("s3://fleet/prod/a/?region=eu-central-1")
	if err != nil || b.Name() != "s3://fleet/prod/a/" {
		t.Errorf("%v, %v", b, err)
	}
}
