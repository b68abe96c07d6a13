package ci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPlanComments: the first run makes the comment, the second updates it in place, far down a long
// conversation, and leaves alone what a stranger wrote under the same marker.
func TestPlanComments(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	seed := []comment{commentBy("mallory", "<!-- agentsync:plan -->\nnothing to see here")}
	for range 130 {
		seed = append(seed, commentBy("ann", "hm"))
	}
	g := r.withGitHub("acme/fleet", seed...)
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
	res := r.run(map[string]string{"command": "plan"})
	if res.failed {
		t.Fatal(res.log)
	}
	wantOutputs(t, res, map[string]string{"exit-code": "0", "has-changes": "true", "create": "1", "update": "0",
		"replace": "0",
		"delete":  "0", "adopt": "0", "move": "0", "kept": "0"})
	wantAll(t, "log", res.log, "mindset/acme/coach", "commented on pull request 7")
	wantAll(t, "summary", res.summary, "### agentsync plan: 1 to create", "mindset/acme/coach")
	for _, file := range []string{"plan.bin", "plan.html", "plan.json", "plan.md", "comment.md"} {
		if _, err := os.Stat(filepath.Join(res.artefact, file)); err != nil {
			t.Error(err)
		}
	}
	if filepath.Join(res.artefact, "plan.json") != res.outputs["report-path"] || res.outputs["plan-path"] == "" {
		t.Errorf("outputs: %v", res.outputs)
	}

	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach", "guide"))
	if res := r.run(map[string]string{"command": "plan"}); res.failed {
		t.Fatal(res.log)
	}
	ours := g.ours()
	all, writes := g.seen()
	if len(ours) != 1 || !slices.Equal(writes, []string{"POST", "PATCH"}) {
		t.Fatalf("comments %v, writes %v", ours, writes)
	}
	wantAll(t, "comment", ours[0].Body, "2 to create", "mindset/acme/guide", "For commit 0123456",
		"/acme/fleet/actions/runs/42")
	if all[0].Body != seed[0].Body {
		t.Error("a stranger's comment was written to")
	}
}

// TestPlanOneComment: an answer that is lost after the effect does not make a second comment, and fleets
// with markers of their own have a comment each.
func TestPlanOneComment(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	g := r.withGitHub("acme/fleet")
	g.set(func() { g.lose = 1 })
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
	for _, marker := range []string{"north", "south", "north"} {
		if res := r.run(map[string]string{"command": "plan", "marker": marker}); res.failed {
			t.Fatal(res.log)
		}
	}
	if ours := g.ours(); len(ours) != 2 {
		t.Errorf("%d comments: %v", len(ours), ours)
	}
}

// TestPlanOtherToken: with the token of an App or of a person there is one comment as well, and where GitHub is told
// the wrong login, the log says the right one.
func TestPlanOtherToken(t *testing.T) {
	t.Parallel()
	for _, login := range []string{"deploy-bot[bot]", "ann"} {
		t.Run(login, func(t *testing.T) {
			r := newRunner(t)
			g := r.withGitHub("acme/fleet")
			g.set(func() { g.login = login })
			write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
			for range 2 {
				if res := r.run(map[string]string{"command": "plan"}); res.failed {
					t.Fatal(res.log)
				}
			}
			if ours := g.ours(); len(ours) != 1 {
				t.Errorf("%d comments", len(ours))
			}
			res := r.run(map[string]string{"command": "plan", "comment-author": "somebody", "marker": "other"})
			wantAll(t, "log", res.log, "set comment-author: "+login)
		})
	}
}

// TestPlanCrashIsNoPlan: no exit code of agentsync is taken for changes, and a flag that asks for 2 changes nothing.
func TestPlanCrashIsNoPlan(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
	res := r.run(map[string]string{"command": "plan", "comment": "false", "extra-args": "--detailed-exitcode"})
	wantOutputs(t, res, map[string]string{"exit-code": "0", "has-changes": "true"})
	r.env["AGENTSYNC_DETAILED_EXITCODE"] = "true"
	if res := r.run(map[string]string{"command": "plan", "comment": "false"}); res.failed {
		t.Error(res.log)
	}
	bin := t.TempDir()
	for code, want := range map[string]string{"2": "agentsync crashed", "134": "ended by signal 6",
		"137": "ended by signal 9"} {
		t.Run(code, func(t *testing.T) {
			write(t, filepath.Join(bin, "agentsync"), "#!/bin/sh\n[ \"$1\" = version ] || exit "+code+"\n")
			if err := os.Chmod(filepath.Join(bin, "agentsync"), 0o755); err != nil {
				t.Fatal(err)
			}
			r.path = bin
			res := r.run(map[string]string{"command": "plan", "comment": "false", "build-from-source": "false"})
			wantAll(t, "log", res.log, want)
			if !res.failed || res.outputs["has-changes"] != "" {
				t.Errorf("outputs %v\n%s", res.outputs, res.log)
			}
		})
	}
}

// TestPlanReadOnlyToken: in a fork's pull request the comment is left out with a notice; in the
// repository's own it is an error that says what to do.
func TestPlanReadOnlyToken(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{"mallory/fleet": "::notice title=agentsync::the token of this run may " +
		"not write", "acme/fleet": "pull-requests: write"} {
		t.Run(head, func(t *testing.T) {
			r := newRunner(t)
			g := r.withGitHub(head)
			g.set(func() { g.readOnly = true })
			write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
			res := r.run(map[string]string{"command": "plan"})
			wantAll(t, "log", res.log, want)
			wantAll(t, "summary", res.summary, "1 to create")
			if res.failed != (head == "acme/fleet") {
				t.Errorf("from %s: failed is %t\n%s", head, res.failed, res.log)
			}
		})
	}
}

// TestPlanFails: a plan that cannot be made replaces the comment of the last one, and fails the job
// with its own code.
func TestPlanFails(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	g := r.withGitHub("acme/fleet")
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach"))
	r.run(map[string]string{"command": "plan"})
	write(t, filepath.Join(r.dir, "manifests/a.yaml"), fleet("coach", "coach"))
	res := r.run(map[string]string{"command": "plan"})
	if res.steps["Result"] != 4 || res.outputs["exit-code"] != "4" || res.outputs["has-changes"] != "" {
		t.Errorf("steps %v, outputs %v", res.steps, res.outputs)
	}
	wantAll(t, "log", res.log,
		"::error title=agentsync::plan: the manifests, the state file or the arguments are not valid")
	ours := g.ours()
	if len(ours) != 1 {
		t.Fatalf("comments: %v", ours)
	}
	wantAll(t, "comment", ours[0].Body, "<!-- agentsync:plan -->\n### agentsync plan: failed", "manifests/a.yaml")
	if strings.Contains(ours[0].Body, "to create") {
		t.Error("the old plan still stands there")
	}
}

// TestValidateAnnotates: problems are annotations at the files' places in the repository.
func TestValidateAnnotates(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	write(t, filepath.Join(r.dir, "teams/hr/manifests/a.yaml"), fleet("coach", "coach"))
	res := r.run(map[string]string{"command": "validate", "working-directory": "teams/hr"})
	wantAll(t, "log", res.log, "::error file=teams/hr/manifests/a.yaml,line=6,")
	wantAll(t, "summary", res.summary, "agentsync validate")
	wantOutputs(t, res, map[string]string{"exit-code": "4"})
	if !res.failed || res.artefact != "" {
		t.Errorf("failed %t, artefact %q", res.failed, res.artefact)
	}
	write(t, filepath.Join(r.dir, "a,b:c/manifests/a.yaml"), fleet("coach", "coach"))
	res = r.run(map[string]string{"command": "validate", "working-directory": "a,b:c"})
	wantAll(t, "log", res.log, "::error file=a%2Cb%3Ac/manifests/a.yaml,line=6,")
	write(t, filepath.Join(r.dir, "teams/hr/manifests/a.yaml"), fleet("coach"))
	if res := r.run(map[string]string{"command": "validate", "working-directory": "teams/hr"}); res.failed ||
		res.outputs["exit-code"] != "0" {
		t.Error(res.log)
	}
}

// TestInputsAreData: nothing that stands in an input is run or becomes an argument of its own, and
// values that do not fit are refused.
func TestInputsAreData(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	name := "$(touch pwned)`touch pwned`; touch pwned ' \" $HOME"
	write(t, filepath.Join(r.dir, name, "a.yaml"), fleet("coach"))
	res := r.run(map[string]string{"command": "plan", "comment": "false", "paths": "\n" + name + "\n\n",
		"targets": "mindset/*\nmindset/acme/*\r\n"})
	if res.failed || res.outputs["create"] != "1" {
		t.Error(res.log)
	}
	for input, value := range map[string]string{
		"command": "touch pwned", "prune": "yes", "refresh": "1", "marker": "a --> b", "working-directory": "none",
		"extra-args": "--no-such-flag", "build-from-source": "maybe", "state": "a\nb=c",
	} {
		t.Run(input, func(t *testing.T) {
			inputs := map[string]string{"command": "plan", "comment": "false", "paths": name, input: value}
			if res := r.run(inputs); res.failed == (input == "state") || input != "build-from-source" &&
				input != "working-directory" && input != "state" && res.outputs["exit-code"] != "4" {
				t.Errorf("%s %q: outputs %v\n%s", input, value, res.outputs, res.log)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(r.dir, "pwned")); err == nil {
		t.Error("an input was run")
	}
}
