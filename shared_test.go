package main

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"agentsync/internal/state"
	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/storetest"
)

// TestServers runs testdata/servers against each real server that there is; with CI=true each has to be there.
func TestServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (url, readOnly func(place string) string, env []string){
		"versitygw": func(t *testing.T) (url, readOnly func(string) string, env []string) {
			s := storetest.StartS3(t)
			return s.URL, s.ReadOnly().URL, s.Env()
		},
		"PostgreSQL": func(t *testing.T) (url, readOnly func(string) string, env []string) {
			p := storetest.StartPostgres(t)
			return p.URL, p.Reader(), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			url, readOnly, env := start(t)
			params := scriptParams("testdata/servers")
			params.Setup = func(e *testscript.Env) error {
				place := filepath.Base(e.WorkDir)
				e.Vars = append(e.Vars, env...)
				e.Setenv("URL", url(place))
				e.Setenv("URL2", url(place+"-other"))
				e.Setenv("READURL", readOnly(place))
				return setupScript(e)
			}
			testscript.Run(t, params)
		})
	}
}

// The commands of the scripts that keep a state in a bucket.

// buckets holds the S3 of each script that has one.
var buckets sync.Map

func bucketOf(ts *testscript.TestScript) *storetest.S3Handler {
	b, ok := buckets.Load(ts)
	if !ok {
		ts.Fatalf("start a bucket first")
	}
	return b.(*storetest.S3Handler)
}

// startBucket starts an S3 in memory, and sets URL to a place in it, URL2 to another, and the credentials.
func startBucket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: bucket")
	}
	handler := new(storetest.S3Handler)
	server := httptest.NewServer(handler)
	ts.Defer(func() {
		server.CloseClientConnections()
		server.Close()
	})
	buckets.Store(ts, handler)
	addr := strings.TrimPrefix(server.URL, "http://")
	ts.Setenv("URL", storetest.S3URL(addr, "")) // its keys are those of the handler
	ts.Setenv("URL2", storetest.S3URL(addr, "other"))
	ts.Setenv("AWS_ACCESS_KEY_ID", storetest.FullKey)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-script")
	ts.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// bucketIs makes the bucket answer requests of a method with a status, or as usual again:
//
//	bucketis PUT 503
//	bucketis PUT 0
//
// or compares how many requests of a method there were since it was asked last: bucketis PUT = 0.
func bucketIs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bucketis METHOD STATUS | METHOD = COUNT")
	}
	b := bucketOf(ts)
	n, err := strconv.Atoi(args[len(args)-1])
	ts.Check(err)
	if len(args) == 2 {
		b.Refuse(args[0], n)
		return
	}
	if got := b.Requests(args[0]); got != n {
		ts.Fatalf("%d requests of %s, want %d", got, args[0], n)
	}
}

// object takes out an object of the bucket, or writes it: object rm KEY, object get KEY FILE, object put KEY FILE. A
// KEY that ends with * stands for the first that begins so.
func object(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: object rm|get|put KEY [FILE]")
	}
	b, ctx := bucketOf(ts), context.Background()
	key := args[1]
	if prefix, some := strings.CutSuffix(key, "*"); some {
		keys, err := b.List(ctx, prefix)
		ts.Check(err)
		if len(keys) == 0 {
			ts.Fatalf("nothing begins with %s", prefix)
		}
		key = keys[0]
	}
	switch args[0] {
	case "rm":
		b.Put(key, nil)
	case "get":
		o, err := b.Get(ctx, key)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), o.Content, 0o600))
	case "put":
		b.Put(key, []byte(ts.ReadFile(args[2])))
	}
}

// holdShared takes the lock of the state at $URL as another machine would that was last heard of so many seconds ago
// and then died: holdshared 25.
func holdShared(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: holdshared SECONDS")
	}
	ago, err := strconv.Atoi(args[0])
	ts.Check(err)
	b, ctx := bucketOf(ts), context.Background()
	b.SetClock(-time.Duration(ago) * time.Second)
	defer b.SetClock(0)
	died := new(atomic.Bool)
	defer died.Store(true) // it does not renew its lease
	place := shared.Open(store.Faulty{Store: &b.Memory, Next: func(string, string) store.Fault {
		if died.Load() {
			return store.Fault{Err: store.ErrLost}
		}
		return store.Fault{}
	}}, shared.Options{})
	holder := state.Holder{PID: 4711, Host: "build-7", User: "ann", Command: "apply",
		Started: time.Date(2026, 1, 2, 10, 4, 5, 0, time.UTC), RunURL: "https://ci.example.com/runs/12"}
	_, err = state.NewShared(place).Lock(ctx, holder)
	ts.Check(err)
}
