package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/s3"
	"agentsync/internal/state/store/storetest"
)

// open returns the place that a URL names.
func open(t *testing.T, url string) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.CloseIdle)
	return b
}

func TestVersitygw(t *testing.T) {
	server := storetest.StartS3(t)
	storetest.SetEnv(t, server.Env())
	n := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		n++
		return open(t, server.URL(fmt.Sprint("place-", n)))
	})
}

// TestRuns goes through runs of the protocol: a run, a second one, and a wrong key.
func TestRuns(t *testing.T) {
	server := storetest.StartS3(t)
	storetest.SetEnv(t, server.Env())
	ctx := t.Context()
	place := shared.Open(open(t, server.URL("prod/fleet")), shared.Options{})
	if err := place.Init(ctx, "lineage"); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		l, err := place.Lock(ctx, shared.Holder{Host: "here"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lockNow(ctx, place); !errors.As(err, new(*shared.LockedError)) {
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
	if _, err := shared.Open(open(t, server.URL("prod/fleet")), shared.Options{}).Read(ctx); !errors.Is(err,
		store.ErrDenied) || strings.Contains(err.Error(), "another-secret") {
		t.Errorf("with a wrong key: %v", err)
	}
}

// TestKilledUnderLoad: what a server acknowledged is there after it was killed (kill -9) while others wrote.
func TestKilledUnderLoad(t *testing.T) {
	server := storetest.StartS3(t)
	storetest.SetEnv(t, server.Env())
	storetest.KillUnderLoad(t, server, func() store.Store { return open(t, server.URL("load")) })
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
		t.Run(text, func(t *testing.T) {
			if _, err := s3.Open(text); err == nil || !strings.Contains(err.Error(), want) ||
				strings.Contains(err.Error(), "secret@") {
				t.Error(err)
			}
		})
	}
	b, err := s3.Open("s3://fleet/prod/a/?region=eu-central-1")
	if err != nil || b.Name() != "s3://fleet/prod/a/" {
		t.Errorf("%v, %v", b, err)
	}
}

// TestS3Handler: what scripts use in place of a real server keeps the same contract.
func TestS3Handler(t *testing.T) {
	server := httptest.NewServer(new(storetest.S3Handler))
	defer server.Close()
	storetest.SetEnv(t, []string{"AWS_ACCESS_KEY_ID=" + storetest.FullKey, "AWS_SECRET_ACCESS_KEY=any",
		"AWS_EC2_METADATA_DISABLED=true"})
	n := 0
	storetest.Run(t, func(*testing.T) store.Store {
		n++
		b, err := s3.Open(storetest.S3URL(strings.TrimPrefix(server.URL, "http://"), fmt.Sprint("place-", n)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.CloseIdle)
		return b
	})
}
