package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/storetest"
)

// tool returns the path of a program of PostgreSQL's server, which Debian does not put into PATH.
func tool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// startServer starts a PostgreSQL of the test's own, on a socket in its folder and with synchronous_commit off, and returns
// a way to name a fleet in it. Without the programs the test is skipped; with CI=true that is a failure.
func startServer(t *testing.T) func(fleet string) *postgres.Table {
	t.Helper()
	initdb, pgctl := tool("initdb"), tool("pg_ctl")
	if initdb == "" || pgctl == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("PostgreSQL is needed: apt-get install postgresql")
		}
		t.Skip("PostgreSQL is not there: apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("/tmp", "pg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := func(name string, args ...string) *exec.Cmd { // the server refuses to run as root
		if os.Geteuid() == 0 {
			return exec.Command("setpriv", append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", name}, args...)...)
		}
		return exec.Command(name, args...)
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run := func(cmd *exec.Cmd) {
		t.Helper()
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run(as(initdb, "--no-sync", "--auth=trust", "--username=agentsync", "--encoding=UTF8", "--pgdata="+data))
	run(as(pgctl, "--pgdata="+data, "--wait", "--log="+filepath.Join(dir, "log"),
		"--options=-c listen_addresses='' -c unix_socket_directories="+dir+" -c synchronous_commit=off", "start"))
	t.Cleanup(func() { run(as(pgctl, "--pgdata="+data, "--mode=immediate", "--wait", "stop")) })
	return func(fleet string) *postgres.Table {
		table, err := postgres.Open("postgres://agentsync@/postgres?host=" + url.QueryEscape(dir) + "#fleet=" + fleet)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Make(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { table.Close(context.Background()) })
		return table
	}
}

func TestPostgres(t *testing.T) {
	open := startServer(t)
	n := 0
	storetest.Run(t, func(*testing.T) store.Store {
		n++
		return open(fmt.Sprint("fleet-", n))
	})
	t.Run("runs", func(t *testing.T) { runs(t, open("runs")) })
}

// runs goes through runs of the protocol.
func runs(t *testing.T, table *postgres.Table) {
	ctx := t.Context()
	place := shared.Open(table, shared.Options{})
	if err := place.Init(ctx, "lineage"); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		l, err := place.Lock(ctx, shared.Holder{Host: "here"})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Begin(ctx, nil, []byte("one ")), l.Append(ctx, []byte("two")), l.Close(ctx, fmt.Append(nil, "state ", n), false)); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := place.Read(ctx); err != nil || string(v.State) != "state 2" || v.Serial != 3 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://ann:secret@localhost/db":              "no password stands in a URL",
		"postgres://ann@localhost/db?password=secret":     "no password stands in a URL",
		"postgres://ann@db.example.com/db":                "sslmode=verify-full",
		"postgres://ann@db.example.com/db?sslmode=prefer": "sslmode=verify-full",
		"postgres://ann@localhost/db#prod":                "fleet=NAME",
		"mysql://ann@localhost/db":                        "write postgres://",
	} {
		if _, err := postgres.Open(text); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
