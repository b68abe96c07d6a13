package torture

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate is a self-signed certificate of 127.0.0.1 that is valid until end, and the file that a client knows it
// by.
func certificate(t *testing.T, end time.Time) (config *tls.Config, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// webServer answers 404 over TLS, or without it where config is nil, and refuses to be a proxy. It returns its port.
func webServer(t *testing.T, config *tls.Config) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		http.NotFound(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	if s.TLS = config; config != nil {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	return port
}

// databaseServer answers a client of PostgreSQL's that asks for TLS with a handshake, and then says that there is no
// such database. It returns its port.
func databaseServer(t *testing.T, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	serve := func(conn net.Conn) {
		defer conn.Close()
		request := make([]byte, 8)
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		const fault = "SFATAL\x00C3D000\x00Mdatabase \"db\" does not exist\x00\x00"
		_, _ = conn.Write([]byte("S")) // where the client is gone, it says why
		_, _ = tls.Server(conn, config).Write(append([]byte{'E', 0, 0, 0, byte(len(fault) + 4)}, fault...))
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test ended
			}
			go serve(conn)
		}
	}()
	_, port, _ := strings.Cut(l.Addr().String(), ":")
	return port
}

// TestStoreConnections: what a user reads where there is no connection to the store, or none that can be trusted: a
// sentence, the place, and the way on, and exit code 4 within seconds.
func TestStoreConnections(t *testing.T) {
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	valid, authority := certificate(t, time.Now().Add(time.Hour))
	old, oldAuthority := certificate(t, time.Now().Add(-time.Minute))
	web, oldWeb, plain := webServer(t, valid), webServer(t, old), webServer(t, nil)
	database, oldDatabase := databaseServer(t, valid), databaseServer(t, old)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, nobody, _ := strings.Cut(closed.Addr().String(), ":")
	_ = closed.Close()
	s3At := func(endpoint string) string { return "s3://bucket/fleet?path-style=true&endpoint=" + endpoint }
	tableAt := func(host string) string { return "postgres://user@" + host + "/db?sslmode=verify-full" }
	const unreachable = "the store cannot be reached: "
	for _, c := range []struct{ name, state, env, says, hint string }{
		{"S3 with an authority of its own", s3At("https://127.0.0.1:" + web), "",
			unreachable + "its certificate is signed by an authority that this machine does not trust (x509: ",
			"name the file with its certificate in AWS_CA_BUNDLE"},
		{"S3 whose authority is named", s3At("https://127.0.0.1:" + web), "AWS_CA_BUNDLE=" + authority,
			"it answers 404, \"404 page not found\"", "this is not how a store answers"},
		{"S3 whose authority cannot be read", s3At("https://127.0.0.1:" + web), "AWS_CA_BUNDLE=" + authority + ".gone",
			unreachable + "the settings of the AWS tools cannot be used (open ", "AWS_CA_BUNDLE"},
		{"S3 with another name", s3At("https://localhost:" + web), "AWS_CA_BUNDLE=" + authority,
			unreachable + "its certificate is for another name (x509: ", "the name that the certificate has"},
		{"S3 out of date", s3At("https://127.0.0.1:" + oldWeb), "AWS_CA_BUNDLE=" + oldAuthority,
			unreachable + "its certificate is out of date (x509: ", "the clock of this machine"},
		{"S3 without TLS", s3At("https://127.0.0.1:" + plain), "",
			unreachable + "what answers there does not speak TLS", "host and port"},
		{"S3 with TLS, asked without", s3At("http://127.0.0.1:" + web), "",
			"it answers 400, \"Client sent an HTTP request to an HTTPS server.\"", "endpoint, port and path-style"},
		{"S3 where nobody listens", s3At("https://127.0.0.1:" + nobody), "",
			unreachable + "dial tcp 127.0.0.1:" + nobody + ": ", "whether the address is right"},
		{"S3 behind a proxy where nobody listens", s3At("https://s3.example.com"), "HTTPS_PROXY=http://127.0.0.1:" +
			nobody,
			unreachable + "the proxy does not let this machine connect (dial tcp 127.0.0.1:" + nobody, "HTTPS_PROXY"},
		{"S3 behind a proxy that refuses", s3At("https://s3.example.com"), "HTTPS_PROXY=http://127.0.0.1:" + plain,
			unreachable + "the proxy 127.0.0.1:" + plain + " refused to connect to s3.example.com:443: 407",
			"NO_PROXY"},
		{"S3 behind a proxy that is none", s3At("https://s3.example.com"), "HTTPS_PROXY=http://",
			"names no proxy that can be used: write http://HOST:PORT", "set it right"},
		{"PostgreSQL with an authority of its own", tableAt("127.0.0.1:" + database), "",
			unreachable + "its certificate is signed by an authority that this machine does not trust (x509: ",
			"sslrootcert=FILE in the URL, or PGSSLROOTCERT"},
		{"PostgreSQL whose authority is named", tableAt("127.0.0.1:" + database), "PGSSLROOTCERT=" + authority,
			"database \"db\" does not exist: there is no such place", "name the right one"},
		{"PostgreSQL whose authority cannot be read", tableAt("127.0.0.1:" + database),
			"PGSSLROOTCERT=" + authority + ".gone",
			"the URL of the database, or a variable PG…, names a file that cannot be used: open ",
			"agentsync state init --help"},
		{"PostgreSQL with another name", tableAt("localhost:" + database), "PGSSLROOTCERT=" + authority,
			unreachable + "its certificate is for another name (x509: ", "the name that the certificate has"},
		{"PostgreSQL out of date", tableAt("127.0.0.1:" + oldDatabase), "PGSSLROOTCERT=" + oldAuthority,
			unreachable + "its certificate is out of date (x509: ", "the clock of this machine"},
		{"PostgreSQL where nobody listens", tableAt("127.0.0.1:" + nobody), "",
			unreachable + "dial tcp 127.0.0.1:" + nobody + ": ", "whether the address is right"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // some wait for three seconds whether somebody will listen
			cmd := exec.Command(bin, "state", "status", "--state", c.state)
			cmd.Dir = t.TempDir()
			cmd.Env = slices.Concat(environment("http://127.0.0.1:1"), []string{c.env})
			code, out := finish(t, cmd)
			problem, hint, _ := strings.Cut(out, "agentsync: hint: ")
			if code != 4 || !strings.Contains(problem, c.says) || !strings.Contains(hint, c.hint) ||
				strings.Count(problem, "\n") != 1 {
				t.Errorf("exit %d\n%s\nwant %q, hint %q", code, out, c.says, c.hint)
			}
			place, _, _ := strings.Cut(strings.Replace(c.state, "user@", "", 1), "?")
			if strings.HasPrefix(c.says, unreachable) && !strings.Contains(problem, place) {
				t.Errorf("it does not say where: %s", problem)
			}
		})
	}
}
