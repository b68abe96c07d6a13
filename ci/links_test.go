package ci

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinksAreRefused: git stores links, so a pull request chooses where state.json and its like lead. Nothing is read
// or written through one, and nothing that is no state is pushed or kept.
func TestLinksAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"state.json", "state.json.journal", "state.json.lock"} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			server := r.withSandbox()
			bare := r.withRepository(fleet("coach"))
			head := git(t, bare, "rev-parse", "main")
			r.link(".git/config", name)
			config := read(t, filepath.Join(r.dir, ".git/config"))
			res := r.run(map[string]string{"command": "apply"})
			if !res.failed || creates(server) > 0 || git(t, bare, "rev-parse", "main") != head {
				t.Errorf("failed %t, %d creates\n%s", res.failed, creates(server), res.log)
			}
			wantAll(t, "log", res.log, name+" is a symbolic link")
			if read(t, filepath.Join(r.dir, ".git/config")) != config {
				t.Error("the link was written through")
			}
			r.nothingKept(res)
		})
	}
	t.Run("errored.state.json", func(t *testing.T) {
		r := newRunner(t)
		r.withSandbox("status-before=422 op=create nth=2")
		r.withRepository(fleet("coach", "guide"))
		r.link(".git/config", "errored.state.json")
		res := r.run(map[string]string{"command": "apply", "extra-args": "--parallelism=1"})
		wantAll(t, "log", res.log, "errored.state.json is a symbolic link")
		r.nothingKept(res)
	})
	t.Run("working directory", func(t *testing.T) {
		r := newRunner(t)
		elsewhere := t.TempDir()
		write(t, filepath.Join(elsewhere, "manifests/a.yaml"), fleet("coach"))
		r.link(elsewhere, "team")
		res := r.run(map[string]string{"command": "plan", "comment": "false", "working-directory": "team"})
		wantAll(t, "log", res.log, "team is a symbolic link")
	})
	t.Run("no state", func(t *testing.T) {
		r := newRunner(t)
		bare := r.withRepository(fleet("coach"))
		write(t, filepath.Join(r.dir, "state.json"), "[core]\n")
		out, err := r.push()
		if err == nil || git(t, bare, "ls-tree", "--name-only", "main") != "manifests" {
			t.Errorf("%v\n%s", err, out)
		}
		wantAll(t, "log", out, "it is not pushed")
	})
}

func (r *runner) link(target, name string) {
	r.t.Helper()
	if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// nothingKept fails where the artefact has what a link leads to.
func (r *runner) nothingKept(res result) {
	r.t.Helper()
	kept, err := filepath.Glob(filepath.Join(res.artefact, "state/*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range kept {
		if strings.Contains(read(r.t, path), "[core]") {
			r.t.Errorf("the artefact has %s", path)
		}
	}
}

// push runs push-state.sh in the checkout.
func (r *runner) push(env ...string) (string, error) {
	cmd := exec.Command("bash", abs(r.t, "push-state.sh"))
	cmd.Dir = r.dir
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "STATE_BRANCH=main", "RETRY_DELAY=0"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const smallState = `{"version": 1, "serial": 1, "lineage": "abc", "agents": {}}
`

// TestPushKeepsTheClone: a whole clone stays whole.
func TestPushKeepsTheClone(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	bare := r.withRepository(fleet("coach"))
	r.dir = filepath.Join(t.TempDir(), "whole")
	git(t, filepath.Dir(r.dir), "clone", "--quiet", "file://"+bare, r.dir)
	write(t, filepath.Join(r.dir, "state.json"), smallState)
	if out, err := r.push(); err != nil {
		t.Fatal(out)
	}
	if git(t, r.dir, "rev-parse", "--is-shallow-repository") != "false" {
		t.Error("the clone is shallow now")
	}
}

// TestPushFilters: the state passes the filters that .gitattributes names, also where it lies in a folder.
func TestPushFilters(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	bare := r.withRepository(fleet("coach"))
	git(t, r.dir, "config", "filter.seal.clean", "sed s/abc/SEALED/")
	git(t, r.dir, "config", "filter.seal.smudge", "sed s/SEALED/abc/")
	write(t, filepath.Join(r.dir, ".gitattributes"), "fleet/state.json filter=seal\n")
	write(t, filepath.Join(r.dir, "fleet/state.json"), smallState)
	if out, err := r.push("INPUT_STATE=fleet/state.json"); err != nil {
		t.Fatal(out)
	}
	if got := git(t, bare, "show", "main:fleet/state.json"); !strings.Contains(got, "SEALED") {
		t.Errorf("what was pushed is %s", got)
	}
}

// TestPushToken: the token reaches the remote, and stands in no argument of a process.
func TestPushToken(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	bare := r.withRepository(fleet("coach"))
	git(t, bare, "config", "http.receivepack", "true")
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := filepath.Join(strings.TrimSpace(string(core)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		t.Skip("this git has no http-backend")
	}
	serve := &cgi.Handler{Path: backend,
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(bare), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=agentsync"}}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if user, token, _ := req.BasicAuth(); user != "agentsync" || token != "push-token" {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve.ServeHTTP(w, req)
	}))
	defer h.Close()
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	log := filepath.Join(bin, "log")
	write(t, filepath.Join(bin, "git"), "#!/bin/sh\necho \"$@\" >>"+log+"\nexec "+real+" \"$@\"\n")
	if err := os.Chmod(filepath.Join(bin, "git"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "state.json"), smallState)
	out, err := r.push("STATE_TOKEN=push-token", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"),
		"STATE_REMOTE="+strings.Replace(h.URL, "http://", "http://agentsync@", 1)+"/"+filepath.Base(bare))
	if err != nil || git(t, bare, "ls-tree", "--name-only", "main") != "manifests\nstate.json" {
		t.Fatalf("%v\n%s", err, out)
	}
	if args := read(t, log); !strings.Contains(args, "push") || strings.Contains(args, "push-token") {
		t.Errorf("the arguments of git:\n%s", args)
	}
}
