package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store"
	"agentsync/internal/state/store/postgres"
	"agentsync/internal/state/store/storetest"
)

// ask runs a statement beside the store, as a database's owner does, and returns its first column.
func ask(t *testing.T, server *storetest.Postgres, sql string) (column []string) {
	t.Helper()
	link, _, _ := strings.Cut(server.URL("x"), "#")
	conn, err := pgconn.Connect(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	result := conn.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
	if result.Err != nil {
		t.Fatalf("%s: %v", sql, result.Err)
	}
	for _, row := range result.Rows {
		column = append(column, string(row[0]))
	}
	return column
}

// await asks until there is an answer.
func await(t *testing.T, server *storetest.Postgres, sql string) []string {
	t.Helper()
	for start := time.Now(); time.Since(start) < time.Minute; {
		if column := ask(t, server, sql); len(column) > 0 {
			return column
		}
	}
	t.Fatalf("%s: no row in a minute", sql)
	return nil
}

// killedInCommit: a backend that is killed while its commit is under way gives no answer. The same create, made again
// while that commit hangs and after a restart, agrees with what happened to the first.
func killedInCommit(t *testing.T, server *storetest.Postgres) {
	table := open(t, server.URL("hard"))
	ctx := t.Context()
	server.Kill()
	server.Start("synchronous_standby_names=nobody") // now a commit waits for a standby that does not come
	type outcome struct{ err error }
	first, again := make(chan outcome, 1), make(chan outcome, 1)
	create := func(out chan outcome) {
		_, err := open(t, server.URL("hard")).Create(ctx, "journal/1", []byte("segment"))
		out <- outcome{err}
	}
	go create(first)
	pid := await(t, server, "select pid from pg_stat_activity where wait_event = 'SyncRep'")[0]
	go create(again)
	// for the transaction of the first
	await(t, server, "select pid from pg_stat_activity where wait_event_type = 'Lock'")
	ask(t, server, "select pg_terminate_backend("+pid+")")
	if o := <-first; o.err == nil || errors.Is(o.err, store.ErrExists) || errors.Is(o.err, store.ErrDenied) {
		t.Errorf("the one that was killed: %v", o.err)
	}
	server.Kill()
	server.Start()
	if o := <-again; o.err == nil { // refused, or its own commit hung as well: it is not told that it was the one
		t.Error("the same again made it a second time")
	}
	// The connections of before are dead: one request says so, the next one has a new one.
	for {
		o, err := table.Get(ctx, "journal/1")
		if err == nil && string(o.Content) != "segment" || errors.Is(err, store.ErrAbsent) {
			t.Fatalf("after a restart: %q, %v", o.Content, err)
		}
		if err == nil {
			break
		}
	}
	if _, err := table.Create(ctx, "journal/1", []byte("segment")); !errors.Is(err, store.ErrExists) {
		t.Errorf("once more: %v", err)
	}
}

// durable: each write waits for the disk although the database's default does not, also through a pooler, and leaves
// the session's setting as it was; what was acknowledged is there after the server was killed under load.
func durable(t *testing.T, server *storetest.Postgres, port string) {
	if got := ask(t, server, "show synchronous_commit"); got[0] != "off" {
		t.Fatalf("the default is %s", got[0])
	}
	// A trigger sees the setting that a write's commit will have.
	open(t, server.URL("hard"))
	for _, sql := range []string{
		"create table seen (setting text)",
		"create function see() returns trigger language plpgsql as $$ begin insert into seen values " +
			"(current_setting('synchronous_commit')); return new; end $$",
		"create trigger see before insert or update on agentsync_object for each row execute function see()",
	} {
		ask(t, server, sql)
	}
	for _, url := range []string{server.URL("hard"), server.TCPURL(port, "hard-pooled")} {
		table := open(t, url)
		tag, err := table.Create(t.Context(), "durable", []byte("1"))
		if err == nil {
			_, err = table.Replace(t.Context(), "durable", []byte("2"), tag)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	defer ask(t, server, "drop function see() cascade")
	if got := ask(t, server, "select setting from seen"); fmt.Sprint(got) != "[on on on on]" {
		t.Errorf("the writes were committed with %v", got)
	}
	storetest.KillUnderLoad(t, server, func() store.Store { return open(t, server.URL("load")) })
}

// unfit: a standby and a server that does not wait for its disk are refused, by name of what they do.
func unfit(t *testing.T, server *storetest.Postgres) {
	table := open(t, server.URL("hard"))
	probe := func(want string) {
		t.Helper()
		table.Close(t.Context()) // of the server before
		table = open(t, server.URL("hard"))
		var unfit *store.UnfitError
		if err := store.Probe(t.Context(), table); !errors.As(err, &unfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
		if keys, err := table.List(t.Context(), store.ProbePrefix); err != nil || len(keys) > 0 {
			t.Errorf("something was written: %v, %v", keys, err)
		}
	}
	server.Kill()
	server.Start("fsync=off")
	probe("fsync is off")
	server.Standby()
	probe("standby")
	if _, err := table.Create(t.Context(), "x", []byte("x")); !errors.Is(err, store.ErrDenied) {
		t.Errorf("a write to a standby: %v", err)
	}
}

// makeAtOnce: fifty that make the table at once all succeed; a user without the right to make one needs none where it
// is.
func makeAtOnce(t *testing.T, server *storetest.Postgres) {
	errs := make([]error, 50)
	var making sync.WaitGroup
	for i := range errs {
		making.Go(func() {
			table, err := postgres.Open(server.URL("hard"))
			if err != nil {
				errs[i] = err
				return
			}
			defer table.Close(context.WithoutCancel(t.Context()))
			errs[i] = table.Make(t.Context())
		})
	}
	making.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	for _, sql := range []string{"create role reader login", "grant select on agentsync_object to reader"} {
		ask(t, server, sql)
	}
	reader, err := postgres.Open(strings.Replace(server.URL("hard"), "agentsync@", "reader@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(t.Context())
	if err := reader.Make(t.Context()); err != nil {
		t.Errorf("where it is made: %v", err)
	}
	if _, err := reader.Get(t.Context(), "head.json"); !errors.Is(err, store.ErrAbsent) {
		t.Errorf("reading: %v", err)
	}
	if _, err := reader.Create(t.Context(), "head.json", []byte("x")); !errors.Is(err, store.ErrDenied) {
		t.Errorf("writing: %v", err)
	}
}

// makeTries: somebody else's DDL fails Make's own nine times in a row, and it makes the table at the tenth try; where
// that fails as well, it says why.
func makeTries(t *testing.T, server *storetest.Postgres) {
	// A transaction that fails does not set a sequence back.
	ask(t, server, `do $do$ begin
		create sequence tries minvalue -100;
		create function disturb() returns event_trigger language plpgsql as
			$$ begin if nextval('tries') < 0 then raise 'disturbed'; end if; end $$;
		create event trigger disturbs on ddl_command_start when tag in ('CREATE TABLE') execute function disturb();
	end $do$`)
	defer ask(t, server, "drop event trigger disturbs")
	for failures, tries := range map[int]int{8: 9, 9: 10, 10: 10} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			before := -1 - failures
			ask(t, server, fmt.Sprintf("do $$ begin drop view agentsync_state; drop table agentsync_object; "+
				"perform setval('tries', %d); end $$", before))
			table, err := postgres.Open(server.URL("tries"))
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close(t.Context())
			err = table.Make(t.Context())
			if (err == nil) != (failures < 10) || err != nil && !strings.Contains(err.Error(), "disturbed") {
				t.Error(err)
			}
			if got := ask(t, server, "select last_value from tries")[0]; got != fmt.Sprint(before+tries) {
				t.Errorf("tried until %s, want %d times from %d", got, tries, before)
			}
			open(t, server.URL("tries")) // by now nothing is disturbed
		})
	}
}

// view: the view shows each fleet's current state as JSON, also before there is one.
func view(t *testing.T, server *storetest.Postgres) {
	for _, fleet := range []string{"old", "new"} {
		place := shared.Open(open(t, server.URL(fleet)), shared.Options{})
		if err := place.Init(t.Context(), "lineage"); err != nil {
			t.Fatal(err)
		}
		if fleet == "new" {
			continue
		}
		for n := range 2 {
			l, err := place.Lock(t.Context(), shared.Holder{Host: "here"})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(t.Context(), fmt.Appendf(nil, `{"n": %d}`, n), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows := ask(t, server,
		"select row_to_json(agentsync_state) from agentsync_state where fleet in ('old', 'new') order by fleet")
	var got []struct {
		Fleet  string
		Serial int
		State  *struct{ N int }
	}
	if err := json.Unmarshal([]byte("["+strings.Join(rows, ",")+"]"), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].State != nil || got[1].Serial != 2 || got[1].State == nil || got[1].State.N != 1 {
		t.Errorf("the view shows %s", rows)
	}
}

// TestTimeLimit: a server that accepts and says nothing ends a request when its time is over, and not later.
func TestTimeLimit(t *testing.T) {
	addr := storetest.Silent(t)
	_, port, _ := strings.Cut(addr, ":")
	table, err := postgres.Open("postgres://agentsync@127.0.0.1:" + port + "/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = table.Get(ctx, "head.json")
	// The deadline of the connection may come a moment before that of the context: both are the same time.
	if err == nil || ctx.Err() == nil && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
}
