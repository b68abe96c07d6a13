package storetest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// needProgram skips a test for which a program is missing; with CI=true that is a failure.
func needProgram(t testing.TB, program, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is needed: %s", program, install)
	}
	t.Skipf("%s is not there: %s", program, install)
}

// S3 is a versitygw of a test's own, with one bucket named fleet.
type S3 struct {
	// Addr is its host and port.
	Addr string
	// Dir holds the objects as files: Dir/fleet/KEY.
	Dir string

	t   testing.TB
	cmd *exec.Cmd
}

// StartS3 starts one; it ends with the test. Without the program the test is skipped, or fails with CI=true.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	s := &S3{Addr: freeAddr(t), Dir: t.TempDir(), t: t}
	if err := os.Mkdir(filepath.Join(s.Dir, "fleet"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts it again after Kill, on the same objects and address. options are more of the program's own, such as
// --readonly.
func (s *S3) Start(options ...string) {
	s.t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		needProgram(s.t, "versitygw", "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	}
	s.cmd = exec.Command(program, append(append([]string{"--port", s.Addr, "--quiet"}, options...), "posix", s.Dir)...)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=test-key", "ROOT_SECRET_KEY=test-secret-of-usual-length")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	waitForServer(s.t, "tcp", s.Addr)
}

// ReadOnly starts another one on the same objects, which refuses every write. It ends with the test.
func (s *S3) ReadOnly() *S3 {
	s.t.Helper()
	r := &S3{Addr: freeAddr(s.t), Dir: s.Dir, t: s.t}
	r.Start("--readonly")
	s.t.Cleanup(r.Kill)
	return r
}

// Kill ends it as kill -9 does.
func (s *S3) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
}

// Env are the variables that let a process use it.
func (s *S3) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=test-key", "AWS_SECRET_ACCESS_KEY=test-secret-of-usual-length",
		"AWS_EC2_METADATA_DISABLED=true"}
}

// URL names a place in it, of this process too where t is given its variables by SetEnv.
func (s *S3) URL(prefix string) string { return S3URL(s.Addr, prefix) }

// S3URL names a place in a server like S3 that is reached at another address.
func S3URL(addr, prefix string) string {
	return fmt.Sprintf("s3://fleet/%s?region=us-east-1&path-style=true&endpoint=http://%s", prefix, addr)
}

// SetEnv sets variables for this process until the test ends.
func SetEnv(t *testing.T, env []string) {
	t.Helper()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// Postgres is a PostgreSQL of a test's own, with synchronous_commit off as the database's default. It listens on a
// socket in its folder, and at Port of 127.0.0.1.
type Postgres struct {
	// Dir holds the socket, of port 5432, and the data.
	Dir string
	// Port is that of 127.0.0.1.
	Port string

	t    testing.TB
	data string
}

// StartPostgres starts one; it ends with the test. Without the programs the test is skipped, or fails with CI=true.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	initdb := serverTool("initdb")
	if initdb == "" || serverTool("pg_ctl") == "" {
		needProgram(t, "PostgreSQL", "apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("/tmp", "pg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &Postgres{Dir: dir, t: t, data: filepath.Join(dir, "data")}
	_, p.Port, _ = net.SplitHostPort(freeAddr(t))
	if os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	p.run(initdb, "--no-sync", "--auth=trust", "--username=agentsync", "--encoding=UTF8", "--pgdata="+p.data)
	p.Start()
	t.Cleanup(p.Kill)
	return p
}

// Start starts it again after Kill, on the same data. options are more of the server's settings, each NAME=VALUE.
func (p *Postgres) Start(options ...string) {
	p.t.Helper()
	settings := "-c listen_addresses=127.0.0.1 -c port=" + p.Port + " -c unix_socket_directories=" + p.Dir +
		" -c synchronous_commit=off"
	for _, o := range options {
		settings += " -c " + o
	}
	p.run(serverTool("pg_ctl"), "--pgdata="+p.data, "--wait", "--log="+filepath.Join(p.Dir, "log"), "--options="+
		settings, "start")
}

// Kill ends it at once, as a machine does that loses its power, but for the disk.
func (p *Postgres) Kill() {
	// It may be down already.
	_ = asServer(serverTool("pg_ctl"), "--pgdata="+p.data, "--mode=immediate", "--wait", "stop").Run()
}

// Standby makes of it a server in recovery, which takes no writes.
func (p *Postgres) Standby() {
	p.t.Helper()
	p.Kill()
	p.run("touch", filepath.Join(p.data, "standby.signal"))
	p.Start("hot_standby=on")
}

// URL names a fleet in it, over the socket.
func (p *Postgres) URL(fleet string) string {
	return "postgres://agentsync@/postgres?port=" + p.Port + "&host=" + url.QueryEscape(p.Dir) + "#fleet=" + fleet
}

// Reader makes a role that may read what the other makes from now on, and nothing else, and returns what names a fleet
// for it.
func (p *Postgres) Reader() (url func(fleet string) string) {
	p.t.Helper()
	p.run(serverTool("psql"), "--quiet", "--host="+p.Dir, "--port="+p.Port, "--username=agentsync", "--dbname=postgres",
		"--command=create role reader login", "--command=alter default privileges grant select on tables to reader")
	return func(fleet string) string { return strings.Replace(p.URL(fleet), "agentsync@", "reader@", 1) }
}

// TCPURL names a fleet in a server like p that is reached at another port of 127.0.0.1.
func (p *Postgres) TCPURL(port, fleet string) string {
	return "postgres://agentsync@127.0.0.1:" + port + "/postgres?sslmode=disable#fleet=" + fleet
}

// Pool starts a pgbouncer in transaction mode with two connections in front of it, and returns its port. It ends with
// the test.
func (p *Postgres) Pool() (port string) {
	p.t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !isFile(program) {
			needProgram(p.t, "pgbouncer", "apt-get install pgbouncer")
		}
	}
	addr := freeAddr(p.t)
	_, port, _ = net.SplitHostPort(addr)
	config := filepath.Join(p.Dir, "pgbouncer.ini")
	text := "[databases]\npostgres = host=" + p.Dir + " port=" + p.Port +
		" dbname=postgres user=agentsync\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = " + port +
		"\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nserver_reset_query = DISCARD ALL\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	cmd := asServer(program, "--quiet", config)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	waitForServer(p.t, "tcp", addr)
	return port
}

// asServer is a command that runs as the user of the server, which refuses to be root.
func asServer(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	if os.Geteuid() == 0 {
		cmd = exec.Command("setpriv", append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", name},
			args...)...)
	}
	cmd.Dir = os.TempDir()
	return cmd
}

func (p *Postgres) run(name string, args ...string) {
	p.t.Helper()
	if out, err := asServer(name, args...).CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(p.Dir, "log"))
		p.t.Fatalf("%s: %v: %s%s", filepath.Base(name), err, out, log)
	}
}

// serverTool returns the path of a program of PostgreSQL's server, which Debian does not put into PATH; "" for none.
func serverTool(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// freeAddr returns an address of this machine at which nobody listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// waitForServer waits until somebody listens.
func waitForServer(t testing.TB, network, addr string) {
	t.Helper()
	err := errors.New("not tried")
	for start := time.Now(); err != nil && time.Since(start) < time.Minute; time.Sleep(20 * time.Millisecond) {
		var conn net.Conn
		if conn, err = net.Dial(network, addr); err == nil {
			err = conn.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Silent listens until the test ends, takes connections, and never says a word. It returns its address.
func Silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the kernel takes them, and nobody reads
}
