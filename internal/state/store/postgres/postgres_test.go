package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/storetest"
)

// open returns the table that a URL names, made.
func open(t *testing.T, url string) *postgres.Table {
	t.Helper()
	table, err := postgres.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { table.Close(context.Background()) })
	if err := table.Make(t.Context()); err != nil {
		t.Fatal(err)
	}
	return table
}

// TestPostgres: the contract holds on a server whose default is not to wait for the disk, straight and through a pooler
// in transaction mode that gives each statement another of its two connections. Starting a server is slow, so all share
// one.
func TestPostgres(t *testing.T) {
	server := storetest.StartPostgres(t)
	port := server.Pool()
	t.Run("make at once", func(t *testing.T) { makeAtOnce(t, server) }) // the first: there is no table yet
	t.Run("tries to make", func(t *testing.T) { makeTries(t, server) })
	for name, url := range map[string]func(fleet string) string{
		"straight": server.URL, "pooled": func(fleet string) string { return server.TCPURL(port, fleet) },
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			storetest.Run(t, func(t *testing.T) store.Store {
				n++
				return open(t, url(fmt.Sprint(name, "-", n)))
			})
			t.Run("runs", func(t *testing.T) { runs(t, open(t, url(name+"-runs"))) })
		})
	}
	t.Run("view", func(t *testing.T) { view(t, server) })
	t.Run("durable", func(t *testing.T) { durable(t, server, port) })
	t.Run("killed in commit", func(t *testing.T) { killedInCommit(t, server) })
	t.Run("unfit", func(t *testing.T) { unfit(t, server) }) // the last: it ends as a standby
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
		if err := errors.Join(l.Begin(ctx, nil, []byte("one ")), l.Append(ctx, []byte("two")),
			l.Close(ctx, fmt.Append(nil, "state ", n), false)); err != nil {
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
		t.Run(text, func(t *testing.T) {
			if _, err := postgres.Open(text); err == nil || !strings.Contains(err.Error(), want) ||
				strings.Contains(err.Error(), "secret") {
				t.Error(err)
			}
		})
	}
}
