// Package postgres is a store.Store in one table of PostgreSQL. Every method is a single statement, so it works through
// a pooler in transaction mode, and each write is durable whatever the database's default.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"agentsync/internal/state/store"
	"agentsync/internal/state/store/connect"
)

// DDL makes the table, and a view of each fleet's current state for people, for a database where the state's own user
// may not. That user needs select, insert, update and delete on the table; who only plans needs select.
const DDL = `create table if not exists agentsync_object (
  fleet text not null,
  key text not null,
  tag text not null,
  content bytea not null,
  at timestamptz not null default clock_timestamp(),
  primary key (fleet, key)
);
create or replace view agentsync_state as
  select head.fleet, (head.content ->> 'serial')::bigint as serial, head.content -> 'holder' as holder, head.at as changed,
    convert_from(state.content, 'UTF8')::json as state
  from (select fleet, at, convert_from(content, 'UTF8')::json as content from agentsync_object where key = 'head.json') as head
  left join agentsync_object as state on state.fleet = head.fleet and state.key = head.content ->> 'state';
`

// Table is one fleet's rows. It is safe for concurrent use: requests take turns on a few connections.
type Table struct {
	name   string
	fleet  string
	config *pgconn.Config
	free   chan *pgconn.PgConn // connections, nil for one that is to be made
}

// connections is how many there are at most.
const connections = 8

// Open returns the table that a URL names: postgres://user@host/db?sslmode=verify-full#fleet=prod. Nothing is asked
// yet; the password comes from PGPASSWORD or a .pgpass file, never from the URL.
func Open(text string) (*Table, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("write postgres://user@host/db?sslmode=verify-full#fleet=NAME")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return nil, errors.New("no password stands in a URL: set PGPASSWORD, or keep it in a .pgpass file")
	}
	fleet, found := strings.CutPrefix(u.Fragment, "fleet=")
	if u.Fragment != "" && !found || fleet == "" && found {
		return nil, errors.New("after # stands fleet=NAME, and nothing else")
	}
	u.Fragment = ""
	host := u.Hostname()
	ip := net.ParseIP(host)
	isLocal := host == "" || host == "localhost" || ip.IsLoopback() || strings.HasPrefix(u.Query().Get("host"), "/")
	if !isLocal && u.Query().Get("sslmode") != "verify-full" {
		return nil, errors.New("the URL needs sslmode=verify-full: otherwise others on the way can read and change the state")
	}
	config, err := pgconn.ParseConfig(u.String())
	if file, ok := errors.AsType[*fs.PathError](err); ok { // of certificates and keys, in the URL or the environment
		return nil, fmt.Errorf("the URL of the database, or a variable PG…, names a file that cannot be used: %w", file)
	}
	if err != nil {
		return nil, errors.New("the URL of the database, or a variable PG…, cannot be used: see its sslmode, sslrootcert and port")
	}
	delete(config.RuntimeParams, "options") // a pooler refuses it
	if fleet == "" {
		fleet = "default"
	}
	t := &Table{name: fmt.Sprintf("postgres://%s/%s#fleet=%s", u.Host, config.Database, fleet), fleet: fleet,
		config: config, free: make(chan *pgconn.PgConn, connections)}
	for range connections {
		t.free <- nil
	}
	return t, nil
}

// Name returns the database and the fleet.
func (t *Table) Name() string { return t.name }

// Close closes the connections that nobody uses. A later request makes a new one.
func (t *Table) Close(ctx context.Context) {
	for range connections {
		select {
		case conn := <-t.free:
			if conn != nil {
				_ = conn.Close(ctx)
			}
			t.free <- nil
		default:
		}
	}
}

// runStatement runs one statement, once. A connection on which anything went wrong is not used again.
func (t *Table) runStatement(ctx context.Context, sql string, args ...[]byte) ([][][]byte, error) {
	var conn *pgconn.PgConn
	select {
	case conn = <-t.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var err error
	if conn == nil || conn.IsClosed() {
		if conn, err = pgconn.ConnectConfig(ctx, t.config); err != nil {
			t.free <- nil
			return nil, explainFailure(err)
		}
	}
	formats := make([]int16, len(args)) // text, but for contents
	for i := range args {
		if i == contentArg {
			formats[i] = 1
		}
	}
	result := conn.ExecParams(ctx, sql, args, nil, formats, []int16{1}).Read()
	if result.Err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		t.free <- nil
		return nil, explainFailure(result.Err)
	}
	t.free <- conn
	return result.Rows, nil
}

// contentArg is which argument of a statement holds bytes; the others are texts.
const contentArg = 2

// explainFailure says what PostgreSQL said, or why it said nothing. Whoever asked says where.
func explainFailure(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case "28P01", "28000", "42501", "25006": // wrong password, no such role, no privilege, read-only
			return fmt.Errorf("%s: %w", pg.Message, store.ErrDenied)
		case "3D000": // no such database
			return fmt.Errorf("%s: %w", pg.Message, store.ErrNoPlace)
		case "42P01": // no table yet, so nothing is in it
			return fmt.Errorf("%s: %w", pg.Message, store.ErrAbsent)
		}
		return &store.AnswerError{Detail: fmt.Sprintf("%s (%s)", pg.Message, pg.Code)}
	}
	if failed, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = failed.Unwrap() // without the user's name
	}
	return connect.Explain(err, "sslrootcert=FILE in the URL, or PGSSLROOTCERT")
}

// Get returns an object.
func (t *Table) Get(ctx context.Context, key string) (store.Object, error) {
	rows, err := t.runStatement(ctx, `select content, convert_to(tag, 'UTF8'),
	  convert_to((extract(epoch from clock_timestamp() - at) * 1000)::bigint::text, 'UTF8')
	  from agentsync_object where fleet = $1 and key = $2`, []byte(t.fleet), []byte(key))
	if err != nil {
		return store.Object{}, err
	}
	if len(rows) == 0 {
		return store.Object{}, store.ErrAbsent
	}
	age, err := strconv.ParseInt(string(rows[0][2]), 10, 64)
	return store.Object{Content: rows[0][0], Tag: store.Tag(rows[0][1]), Age: time.Duration(age) * time.Millisecond},
		err
}

// durable makes a write's commit wait for the disk, whatever the database's default: it is part of the statement, so
// that it needs no session.
const durable = `with durable as (select set_config('synchronous_commit', 'on', true)) `

// Create puts an object where none is.
func (t *Table) Create(ctx context.Context, key string, b []byte) (store.Tag, error) {
	return t.writeRow(ctx, store.ErrExists, durable+`insert into agentsync_object (fleet, key, content, tag)
	  select $1, $2, $3, gen_random_uuid()::text from durable on conflict do nothing returning convert_to(tag, 'UTF8')`,
		[]byte(t.fleet), []byte(key), notNull(b))
}

// Replace puts an object in the place of the one that has the tag.
func (t *Table) Replace(ctx context.Context, key string, b []byte, old store.Tag) (store.Tag, error) {
	return t.writeRow(ctx, store.ErrChanged, durable+
		`update agentsync_object set content = $3, tag = gen_random_uuid()::text, at = clock_timestamp()
	  from durable where fleet = $1 and key = $2 and tag = $4 returning convert_to(agentsync_object.tag, 'UTF8')`,
		[]byte(t.fleet), []byte(key), notNull(b), []byte(old))
}

// notNull is never nil, which would be null.
func notNull(b []byte) []byte { return append([]byte{}, b...) }

func (t *Table) writeRow(ctx context.Context, refused error, sql string, args ...[]byte) (store.Tag, error) {
	rows, err := t.runStatement(ctx, sql, args...)
	switch {
	case err != nil:
		return "", err
	case len(rows) == 0:
		return "", refused
	}
	return store.Tag(rows[0][0]), nil
}

// List returns the keys that begin with prefix.
func (t *Table) List(ctx context.Context, prefix string) ([]string, error) {
	rows, err := t.runStatement(ctx,
		`select convert_to(key, 'UTF8') from agentsync_object where fleet = $1 and starts_with(key, $2) order by key collate "C"`,
		[]byte(t.fleet), []byte(prefix))
	if errors.Is(err, store.ErrAbsent) {
		return nil, nil
	}
	keys := make([]string, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, string(row[0]))
	}
	return keys, err
}

// Delete removes objects. A key holds no comma or brace, so that they go as one array.
func (t *Table) Delete(ctx context.Context, keys ...string) error {
	_, err := t.runStatement(ctx,
		`delete from agentsync_object where fleet = $1 and key = any(string_to_array($2, ','))`,
		[]byte(t.fleet), []byte(strings.Join(keys, ",")))
	return err
}

// makeTries bounds how often Make looks again after somebody else's DDL at the same moment made its own fail.
const makeTries = 10

// Make makes the table and the view where the table is not there yet. Where it is, the user needs no right to make one.
func (t *Table) Make(ctx context.Context) error {
	for try := 1; ; try++ {
		rows, err := t.runStatement(ctx,
			`select convert_to(coalesce(to_regclass('agentsync_object')::text, ''), 'UTF8')`)
		if err == nil && len(rows[0][0]) > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("make the table in %s: %w", t.name, err)
		}
		// One statement, so that nobody finds the table without the view. Two at once can fail in each other's way, in
		// spite of "if not exists": then one of them was made.
		if _, err = t.runStatement(ctx, "do $agentsync$ begin "+DDL+" end $agentsync$"); err == nil {
			return nil
		}
		if errors.Is(err, store.ErrDenied) || try == makeTries || ctx.Err() != nil {
			return fmt.Errorf("make the table in %s: %w", t.name, err)
		}
	}
}

// Durable returns what keeps the server from holding on to what it acknowledged, an *store.UnfitError: it follows
// another one, or it does not wait for its disk.
func (t *Table) Durable(ctx context.Context) error {
	rows, err := t.runStatement(ctx,
		`select convert_to(pg_is_in_recovery()::text, 'UTF8'), convert_to(current_setting('fsync'), 'UTF8')`)
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", t.name, err)
	case string(rows[0][0]) != "false":
		return &store.UnfitError{Place: t.name,
			Detail: "it is a standby, which only follows another server: name the primary (target_session_attrs=primary)"}
	case string(rows[0][1]) != "on":
		return &store.UnfitError{Place: t.name,
			Detail: "its setting fsync is off, so a power cut can lose what it acknowledged"}
	}
	return nil
}
