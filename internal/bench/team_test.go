package bench

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"agentsync/internal/state/shared"
	"agentsync/internal/state/store/s3"
	"agentsync/internal/state/store/storetest"
)

// bucket is an S3 in memory, with time added to each request.
type bucket struct {
	*storetest.S3Handler
	url string
	env []string
}

func newBucket(b *testing.B, delay time.Duration) *bucket {
	b.Helper()
	k := &bucket{S3Handler: new(storetest.S3Handler)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		k.ServeHTTP(w, r)
	}))
	b.Cleanup(server.Close)
	k.url = storetest.S3URL(strings.TrimPrefix(server.URL, "http://"), "prod")
	k.env = []string{"AWS_ACCESS_KEY_ID=" + storetest.FullKey, "AWS_SECRET_ACCESS_KEY=any",
		"AWS_EC2_METADATA_DISABLED=true"}
	agentsync(b, b.TempDir(), k.env, "state", "init", "--state", k.url)
	return k
}

// requests returns how many requests there were since it was asked last: those that write, and all.
func (k *bucket) requests() (writes, all int) {
	writes = k.Requests(http.MethodPut) + k.Requests(http.MethodPost)
	return writes, writes + k.Requests(http.MethodGet)
}

// transfer is how long it takes to read what a plan reads, and to drop it.
func (k *bucket) transfer(b *testing.B) usage {
	b.Helper()
	for _, e := range k.env {
		name, value, _ := strings.Cut(e, "=")
		b.Setenv(name, value)
	}
	place, err := s3.Open(k.url)
	if err != nil {
		b.Fatal(err)
	}
	defer place.CloseIdle()
	start := time.Now()
	if _, err := shared.Open(place, shared.Options{}).Read(b.Context()); err != nil {
		b.Fatal(err)
	}
	return usage{wall: time.Since(start)}
}

// team returns a server that knows the bucket too.
func (k *bucket) team(b *testing.B, flags ...string) *server {
	b.Helper()
	s := serve(b, flags...)
	s.env = append(s.env, k.env...)
	return s
}

// pulled writes the state into a file.
func pulled(b *testing.B, dir string, env []string, url, file string) {
	b.Helper()
	path, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, "state", "pull", "--state", url)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	content, err := cmd.Output()
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkTeamApply is an apply whose state is in a store that answers each request 30 ms late.
func BenchmarkTeamApply(b *testing.B) {
	const agents = 10_000
	dir := conciergeFleet(b, agents)
	var all int
	u := quickest(1, func() usage {
		return serve(b, "--fault", "latency=200ms").apply(b, dir, filepath.Join(b.TempDir(), "state.json"),
			inFlight(64))
	}, func() usage {
		k := newBucket(b, 30*time.Millisecond)
		k.requests()
		u := k.team(b, "--fault", "latency=200ms").apply(b, dir, k.url, inFlight(64))
		_, all = k.requests()
		return u
	})
	found("`apply` of 10,000 creates, 200 ms latency, 64 in flight, state in a bucket that adds 30 ms to each request",
		"≤ 1.05 × the same with a state file, ≤ 1,000 requests to the store",
		"%.3f × (%s; with a file %s), %d requests", ratio(u[1].wall, u[0].wall), ms(u[1].wall), ms(u[0].wall), all)
}

// BenchmarkTeamPlan is a plan and a no-op apply with the state in a bucket, and what a fleet of 50,000 costs there.
func BenchmarkTeamPlan(b *testing.B) {
	for _, c := range []struct {
		agents, files, rounds int
		name                  string
	}{{10_000, 20, rounds, "10,000"}, {50_000, 50, 1, "50,000"}} {
		dir := fleet(b, c.agents, c.files)
		k, file := newBucket(b, 0), filepath.Join(b.TempDir(), "state.json")
		s := k.team(b)
		made := s.apply(b, dir, k.url, inFlight(64))
		agentsync(b, dir, s.env, "plan", "--detailed-exitcode", "--state", k.url, ".")
		pulled(b, dir, s.env, k.url, file)
		u := quickest(c.rounds,
			func() usage { return agentsync(b, dir, s.env, "plan", "--detailed-exitcode", "--state", file, ".") },
			func() usage { return agentsync(b, dir, s.env, "plan", "--detailed-exitcode", "--state", k.url, ".") },
			func() usage { return k.transfer(b) })
		found("`plan` of "+c.name+" agents, state in a bucket", "≤ 1.2 × the same with a state file + the transfer",
			"%.2f × (%s; with a file %s, the transfer %s), %.0f MiB; the state has %.0f MiB",
			ratio(u[1].wall, u[0].wall*6/5+u[2].wall)*1.2, ms(u[1].wall), ms(u[0].wall), ms(u[2].wall),
			u[1].memory, float64(size(b, file))/(1<<20))
		k.requests()
		s.apply(b, dir, k.url, inFlight(64))
		writes, _ := k.requests()
		found("no-op `apply` of "+c.name+" agents, state in a bucket", "nothing written to the store",
			"%d requests that write (the apply that made them: %s, %.0f MiB)", writes, ms(made.wall), made.memory)
	}
}
