package ci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withRepository makes the run's folder a shallow, detached clone, as actions/checkout leaves it, of a
// bare repository with one manifest, and returns the bare one.
func (r *runner) withRepository(manifest string) (bare string) {
	t := r.t
	t.Helper()
	bare, work := filepath.Join(t.TempDir(), "fleet.git"), t.TempDir()
	git(t, work, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	git(t, work, "clone", "--quiet", bare, "seed")
	seed := filepath.Join(work, "seed")
	write(t, filepath.Join(seed, "manifests/a.yaml"), manifest)
	git(t, seed, "add", ".")
	git(t, seed, "commit", "--quiet", "-m", "a fleet")
	git(t, seed, "push", "--quiet", "origin", "HEAD:main")
	r.checkout(bare)
	r.env["GITHUB_REF_NAME"] = "main"
	r.env["GIT_CONFIG_GLOBAL"] = "/dev/null"
	return bare
}

// checkout gives the run a fresh checkout of main.
func (r *runner) checkout(bare string) {
	r.dir = filepath.Join(r.t.TempDir(), "checkout")
	git(r.t, filepath.Dir(r.dir), "clone", "--quiet", "--depth=1", "file://"+bare, r.dir)
	git(r.t, r.dir, "checkout", "--quiet", "--detach")
}

// inState counts the uids in the state on main.
func inState(t *testing.T, bare string) int {
	t.Helper()
	return strings.Count(git(t, bare, "show", "main:state.json"), `"uid":`)
}

// TestApplyCommitsState: the state, and nothing else, is committed on main; a second run commits nothing.
func TestApplyCommitsState(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	server := r.withSandbox()
	bare := r.withRepository(fleet("coach", "guide"))
	write(t, filepath.Join(r.dir, "junk.txt"), "left by another step")
	res := r.run(map[string]string{"command": "apply"})
	if res.failed {
		t.Fatal(res.log)
	}
	wantOutputs(t, res, map[string]string{"exit-code": "0", "has-changes": "true", "create": "2", "delete": "0",
		"failed": "0"})
	wantAll(t, "summary", res.summary, "agentsync apply: complete", "mindset/acme/guide")
	if got := git(t, bare, "show", "--format=%an: %s", "--name-only", "main"); !strings.HasPrefix(got,
		"agentsync: agentsync: state after the apply of ") ||
		!strings.HasSuffix(got, "[skip ci]\n\nstate.json") {
		t.Errorf("the commit: %s", got)
	}
	if n := inState(t, bare); n != 2 || len(server.Agents("", "")) != 2 {
		t.Errorf("%d uids in the state, %d agents live", n, len(server.Agents("", "")))
	}
	head := git(t, bare, "rev-parse", "main")
	r.checkout(bare)
	res = r.run(map[string]string{"command": "apply"})
	if res.failed || git(t, bare, "rev-parse", "main") != head {
		t.Errorf("the second run: %s", res.log)
	}
	wantOutputs(t, res, map[string]string{"has-changes": "false", "create": "0"})
}

// TestApplyRacingPush: a push between the fetch and ours is taken up, and both are on main.
func TestApplyRacingPush(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.withSandbox()
	bare := r.withRepository(fleet("coach"))
	// The hook stands in for the other: it moves main while our push is under way, once.
	write(t, filepath.Join(bare, "hooks/pre-receive"), `#!/bin/sh
set -e
test ! -e raced || exit 0
touch raced
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
export GIT_AUTHOR_NAME=Bob GIT_AUTHOR_EMAIL=bob@example.com GIT_COMMITTER_NAME=Bob GIT_COMMITTER_EMAIL=bob@example.com
blob=$(echo "read me" | git hash-object -w --stdin)
GIT_INDEX_FILE=race.index git read-tree main
GIT_INDEX_FILE=race.index git update-index --add --cacheinfo "100644,$blob,README"
git update-ref refs/heads/main "$(git commit-tree "$(GIT_INDEX_FILE=race.index git write-tree)" -p main -m "a race")"
`)
	if err := os.Chmod(filepath.Join(bare, "hooks/pre-receive"), 0o755); err != nil {
		t.Fatal(err)
	}
	res := r.run(map[string]string{"command": "apply"})
	if res.failed {
		t.Fatal(res.log)
	}
	wantAll(t, "log", res.log, "attempt 1 did not get through")
	if got := git(t, bare, "ls-tree", "--name-only", "main"); got != "README\nmanifests\nstate.json" {
		t.Errorf("main holds %s", got)
	}
	if inState(t, bare) != 1 {
		t.Error("the uid is lost")
	}
}

// TestApplyPartly: what was done is committed though the apply failed in part, the job fails with its
// code, and the report says what is left.
func TestApplyPartly(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.withSandbox("status-before=422 op=create nth=2")
	bare := r.withRepository(fleet("coach", "guide", "nurse"))
	res := r.run(map[string]string{"command": "apply", "extra-args": "--parallelism=1"})
	if res.steps["Result"] != 3 {
		t.Errorf("steps: %v\n%s", res.steps, res.log)
	}
	wantOutputs(t, res, map[string]string{"exit-code": "3", "create": "2", "failed": "1", "has-changes": "true"})
	wantAll(t, "log", res.log, "::error title=agentsync::apply: applied in part")
	wantAll(t, "report", read(t, res.outputs["report-path"]), `"outcome": "partial"`)
	if inState(t, bare) != 2 {
		t.Error("uids are lost")
	}
	if _, err := os.Stat(filepath.Join(res.artefact, "state/state.json")); err != nil {
		t.Error(err)
	}
}

// TestApplyTwice: two applies that ran at once, of different agents, end up in one state.
func TestApplyTwice(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.withSandbox()
	bare := r.withRepository(fleet("coach", "guide", "nurse"))
	if res := r.run(map[string]string{"command": "apply", "targets": "mindset/acme/nurse"}); res.failed {
		t.Fatal(res.log)
	}
	r.checkout(bare)
	slow := r.dir
	r.checkout(bare)
	if res := r.run(map[string]string{"command": "apply", "targets": "mindset/acme/coach"}); res.failed {
		t.Fatal(res.log)
	}
	r.dir = slow // checked out before the other was done
	res := r.run(map[string]string{"command": "apply", "targets": "mindset/acme/guide"})
	if res.failed {
		t.Fatal(res.log)
	}
	wantAll(t, "log", res.log, "::warning title=agentsync::state.json was changed on main while this apply ran")
	if got := git(t, bare, "show", "main:state.json"); inState(t, bare) != 3 {
		t.Errorf("the state:\n%s", got)
	}
}

// TestApplyPushRefused: a state that cannot be pushed fails the job and is in the artefact.
func TestApplyPushRefused(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.withSandbox()
	bare := r.withRepository(fleet("coach"))
	write(t, filepath.Join(bare, "hooks/pre-receive"), "#!/bin/sh\necho protected >&2\nexit 1\n")
	if err := os.Chmod(filepath.Join(bare, "hooks/pre-receive"), 0o755); err != nil {
		t.Fatal(err)
	}
	res := r.run(map[string]string{"command": "apply"})
	if !res.failed || res.outputs["exit-code"] != "0" {
		t.Errorf("failed %t, outputs %v", res.failed, res.outputs)
	}
	wantAll(t, "log", res.log, "::error title=agentsync::state.json could not be pushed to main")
	wantAll(t, "the kept state", read(t, filepath.Join(res.artefact, "state/state.json")), "mindset/acme/coach")
}

// TestApplyReviewedPlan: apply carries out what was reviewed, and refuses it once it is no longer true.
func TestApplyReviewedPlan(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	server := r.withSandbox()
	bare := r.withRepository(fleet("coach"))
	file := filepath.Join(t.TempDir(), "plan.bin")
	planned := r.run(map[string]string{"command": "plan", "comment": "false", "plan-file": file})
	if planned.failed || planned.outputs["plan-path"] != file {
		t.Fatal(planned.log)
	}
	if res := r.run(map[string]string{"command": "apply", "plan-file": file}); res.failed || inState(t, bare) != 1 {
		t.Fatal(res.log)
	}
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach", "guide"))
	if res := r.run(map[string]string{"command": "plan", "comment": "false", "plan-file": file}); res.failed {
		t.Fatal(res.log)
	}
	write(t, filepath.Join(r.dir, "manifests/a.yaml"),
		strings.Replace(fleet("coach", "guide"), "Agent guide", "Another guide", 1))
	res := r.run(map[string]string{"command": "apply", "plan-file": file})
	if res.steps["Result"] != 5 || len(server.Agents("", "")) != 1 {
		t.Errorf("steps %v\n%s", res.steps, res.log)
	}
	wantAll(t, "log", res.log, "the saved plan is no longer true")
}

// TestApplyRefusedKey: the step says that it is the key.
func TestApplyRefusedKey(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	r.withSandbox("status-before=401")
	r.withRepository(fleet("coach"))
	res := r.run(map[string]string{"command": "apply", "commit-state": "false"})
	if res.steps["Result"] != 8 {
		t.Errorf("steps %v\n%s", res.steps, res.log)
	}
	wantAll(t, "log", res.log, "the platform refused the API key")
}
