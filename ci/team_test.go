package ci

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/state/store/storetest"
)

// withBucket gives the runs a bucket, and returns the URL of a state in it.
func (r *runner) withBucket() (url string) {
	bucket := httptest.NewServer(new(storetest.S3Handler))
	r.t.Cleanup(bucket.Close)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": storetest.FullKey,
		"AWS_SECRET_ACCESS_KEY": "secret-of-the-run", "AWS_EC2_METADATA_DISABLED": "true"} {
		r.env[name] = value
	}
	return storetest.S3URL(strings.TrimPrefix(bucket.URL, "http://"), "prod")
}

// TestSharedState: with the state in a bucket, named by the input, a variable or agentsync.yaml, each run has a
// checkout of its own, nothing is committed, plans see what applies did, and the state is an artefact for those who
// want it.
func TestSharedState(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	server := r.withSandbox()
	bare := r.withRepository(fleet("coach", "guide"))
	url := r.withBucket()
	cmd := exec.Command("agentsync", "state", "init", "--state", url)
	cmd.Env = os.Environ()
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	before := git(t, bare, "rev-parse", "main")
	res := r.run(map[string]string{"command": "apply", "state": url, "state-artifact": "true"})
	if res.failed {
		t.Fatal(res.log)
	}
	wantAll(t, "log", res.log, "the state is in a shared place: nothing to commit")
	if got := git(t, bare, "rev-parse", "main"); got != before {
		t.Errorf("something was committed: %s", got)
	}
	if n := strings.Count(read(t, filepath.Join(res.artefact, "state.json")), `"uid":`); n != 2 ||
		len(server.Agents("", "")) != 2 {
		t.Errorf("%d uids in the artefact, %d agents live", n, len(server.Agents("", "")))
	}
	for _, name := range []string{"state.json", "state.json.lock"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			t.Errorf("the checkout has %s", name)
		}
	}
	for name, set := range map[string]func() map[string]string{
		"the input": func() map[string]string { return map[string]string{"state": url} },
		"a variable": func() map[string]string {
			r.env["AGENTSYNC_STATE"] = url
			return map[string]string{}
		},
		"the file": func() map[string]string {
			delete(r.env, "AGENTSYNC_STATE")
			write(t, filepath.Join(r.dir, "agentsync.yaml"), "version: 1\nstate: \""+url+"\" # a bucket\n")
			return map[string]string{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r.checkout(bare)
			inputs := set()
			inputs["command"] = "plan"
			if res := r.run(inputs); res.failed || res.outputs["has-changes"] != "false" {
				t.Errorf("a plan, by %s: %v\n%s", name, res.outputs, res.log)
			}
			inputs["command"], inputs["state-artifact"] = "apply", "public"
			res := r.run(inputs)
			if text := read(t, filepath.Join(res.artefact, "public.json")); res.failed ||
				!strings.Contains(text, `"lineage": "public"`) {
				t.Errorf("an apply, by %s: %s\n%s", name, text, res.log)
			}
			delete(r.env, "AGENTSYNC_STATE")
		})
	}
}
