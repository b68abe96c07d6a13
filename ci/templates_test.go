package ci

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestActionIsSafe: no expression stands in a script, every step names its shell, and what is put into
// the environment is explained.
func TestActionIsSafe(t *testing.T) {
	t.Parallel()
	a := readAction(t)
	if len(a.Runs.Steps) == 0 {
		t.Fatal("no steps")
	}
	for _, s := range a.Runs.Steps {
		if strings.Contains(s.Run, "${{") {
			t.Errorf("%s: an expression in a script is code", s.Name)
		}
		if (s.Run == "") == (s.Uses == "") || s.Run != "" && s.Shell != "bash" {
			t.Errorf("%s: %+v", s.Name, s)
		}
		checkPinned(t, s)
	}
	for name, in := range a.Inputs {
		used := false
		for _, s := range a.Runs.Steps {
			used = used || strings.Contains(s.If+strings.Join(values(s.Env, s.With), " "), "inputs."+name)
		}
		if in.Description == "" || !used {
			t.Errorf("input %s: described %t, used %t", name, in.Description != "", used)
		}
	}
}

// checkPinned holds an action of somebody else to a commit: a tag can be moved.
func checkPinned(t *testing.T, s step) {
	t.Helper()
	if s.Uses != "" && !strings.Contains(s.Uses, "/agentsync@") &&
		!regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(s.Uses) {
		t.Errorf("%s is not pinned to a commit", s.Uses)
	}
}

func values(maps ...map[string]string) []string {
	var all []string
	for _, m := range maps {
		for _, v := range m {
			all = append(all, v)
		}
	}
	return all
}

// TestTemplatesFitTheAction: the example workflows use inputs and outputs that the action has.
func TestTemplatesFitTheAction(t *testing.T) {
	t.Parallel()
	a := readAction(t)
	for _, name := range []string{
		"pull-request.yml", "merge.yml", "drift.yml", "environments/pull-request.yml", "environments/merge.yml",
		"environments/drift.yml",
	} {
		text := read(t, filepath.Join("../docs/ci", name))
		var w struct {
			Jobs map[string]struct{ Steps []step }
		}
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Fatal(err)
		}
		uses := 0
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				checkPinned(t, s)
				if strings.Contains(s.Run, "${{") {
					t.Errorf("%s: an expression in a script", name)
				}
				if !strings.Contains(s.Uses, "/agentsync@") {
					continue
				}
				uses++
				for input := range s.With {
					if _, ok := a.Inputs[input]; !ok {
						t.Errorf("%s: the action has no input %s", name, input)
					}
				}
				for _, m := range regexp.MustCompile(`steps\.`+regexp.QuoteMeta(s.ID)+
					`\.outputs\.([\w-]+)`).FindAllStringSubmatch(text, -1) {
					if _, ok := a.Outputs[m[1]]; s.ID != "" && !ok {
						t.Errorf("%s: the action has no output %s", name, m[1])
					}
				}
			}
		}
		if uses == 0 {
			t.Errorf("%s does not use the action", name)
		}
	}
}

// TestOnlyTheApplyHasKeys: of the jobs that run for a merge, the one that applies alone has the platforms' keys.
func TestOnlyTheApplyHasKeys(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pull-request.yml", "merge.yml", "environments/pull-request.yml",
		"environments/merge.yml"} {
		var w struct {
			Env  map[string]string
			Jobs map[string]struct {
				Env   map[string]string
				Steps []step
			}
		}
		if err := yaml.Unmarshal([]byte(read(t, filepath.Join("../docs/ci", name))), &w); err != nil {
			t.Fatal(err)
		}
		for job, j := range w.Jobs {
			all := []map[string]string{w.Env, j.Env}
			for _, s := range j.Steps {
				all = append(all, s.Env)
			}
			has := strings.Contains(strings.Join(values(all...), " "), "_API_KEY")
			if has != (job == "apply") {
				t.Errorf("%s: job %s has keys: %t", name, job, has)
			}
		}
	}
}

// TestGitLabTemplate: each line of each job is a script that bash can read, and the scripts it names are there.
func TestGitLabTemplate(t *testing.T) {
	t.Parallel()
	var jobs map[string]struct {
		Script       []string `yaml:"script"`
		BeforeScript []string `yaml:"before_script"`
	}
	text := read(t, "../docs/ci/gitlab.yml")
	if err := yaml.Unmarshal([]byte(text), &jobs); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for name, job := range jobs {
		for _, line := range append(job.BeforeScript, job.Script...) {
			lines++
			if out, err := exec.Command("bash", "-n", "-c", line).CombinedOutput(); err != nil {
				t.Errorf("%s: %s\n%s", name, line, out)
			}
		}
	}
	scripts := regexp.MustCompile(`\$tools/agentsync/(ci/[\w-]+\.sh)`).FindAllStringSubmatch(text, -1)
	if lines < 8 || len(scripts) < 3 {
		t.Fatalf("%d lines, %d scripts", lines, len(scripts))
	}
	for _, s := range scripts {
		if _, err := os.Stat(filepath.Join("..", s[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestGitLabNote: the first run makes the note, the second updates it; a stranger's is left alone.
func TestGitLabNote(t *testing.T) {
	t.Parallel()
	newRunner(t) // for the tools
	type note struct {
		ID     int64            `json:"id"`
		Body   string           `json:"body"`
		Author map[string]int64 `json:"author"`
	}
	var mu sync.Mutex // guards notes
	notes := []note{{ID: 1, Body: "<!-- agentsync:plan -->\nmine", Author: map[string]int64{"id": 6}}}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if req.Header.Get("Private-Token") != "test-token" {
			t.Errorf("token %q", req.Header.Get("Private-Token"))
		}
		var in struct{ Body string }
		_ = json.NewDecoder(req.Body).Decode(&in) // a GET has none
		switch req.Method + " " + req.URL.Path {
		case "GET /user":
			_, _ = w.Write([]byte(`{"id": 5}`))
		case "GET /projects/3/merge_requests/7/notes":
			_ = json.NewEncoder(w).Encode(notes)
		case "POST /projects/3/merge_requests/7/notes":
			notes = append(notes, note{ID: 2, Body: in.Body, Author: map[string]int64{"id": 5}})
			w.WriteHeader(http.StatusCreated)
		case "PUT /projects/3/merge_requests/7/notes/2":
			notes[1].Body = in.Body
		default:
			t.Errorf("unknown call: %s %s", req.Method, req.URL)
		}
	}))
	defer h.Close()
	comment := filepath.Join(t.TempDir(), "comment.md")
	post := func(args ...string) []note {
		t.Helper()
		cmd := exec.Command("bash", append([]string{"gitlab-note.sh"}, args...)...)
		cmd.Env = append(os.Environ(), "GITLAB_TOKEN=test-token", "CI_API_V4_URL="+h.URL, "CI_PROJECT_ID=3",
			"CI_MERGE_REQUEST_IID=7", "CI_COMMIT_SHORT_SHA=0123456", "CI_JOB_URL=https://ci.example.com/1",
			"RETRY_DELAY=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(notes)
	}
	write(t, comment, "<!-- agentsync:plan -->\n1 to create\n")
	got := post(comment)
	if len(got) != 2 || !strings.HasPrefix(got[1].Body, "<!-- agentsync:plan -->\n1 to create") {
		t.Fatalf("notes: %v", got)
	}
	got = post()
	if len(got) != 2 || got[0].Body != "<!-- agentsync:plan -->\nmine" {
		t.Fatalf("notes: %v", got)
	}
	wantAll(t, "note", got[1].Body, "plan: failed", "For commit 0123456")
}

// TestEnvironmentSteps runs the scripts that stand in the workflows for environments: of an environment's file its apps
// and its state go into the job and nothing else, and a reviewed plan is carried out unless it is empty or a fresh look
// is asked for.
func TestEnvironmentSteps(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{}
	for _, name := range []string{"pull-request.yml", "merge.yml", "drift.yml"} {
		var w struct {
			Jobs map[string]struct{ Steps []step }
		}
		if err := yaml.Unmarshal([]byte(read(t, filepath.Join("../docs/ci/environments", name))), &w); err != nil {
			t.Fatal(err)
		}
		for _, job := range w.Jobs {
			for _, s := range job.Steps {
				if old, ok := scripts[s.Name]; s.Run != "" && ok && old != s.Run {
					t.Errorf("%s: %q is not the same everywhere", name, s.Name)
				}
				scripts[s.Name] = s.Run
			}
		}
	}
	run := func(script, into string, env ...string) string {
		t.Helper()
		dir := t.TempDir()
		write(t, filepath.Join(dir, "environments/prod.env"),
			"# a comment\nMINDSET_APP=acme-prod\nAGENTSYNC_STATE=state/prod.json\n"+
				"BASH_ENV=evil.sh\nAGENTSYNC_STATE=../other.json\nX_APP=$(id)\n"+
				"AGENTSYNC_MINDSET_ENDPOINT=https://evil.example\n")
		for _, plan := range []string{"empty", "full"} {
			changes := map[string]string{"empty": `[{"action": "kept"}]`,
				"full": `[{"action": "kept"}, {"action": "create"}]`}[plan]
			write(t, filepath.Join(dir, plan, "reviewed/plan.json"), `{"changes": `+changes+`}`)
		}
		file := filepath.Join(dir, "out")
		cmd := exec.Command("bash", "-eo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(env, into+"="+file, "ENVIRONMENT=prod")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return read(t, file)
	}
	if got := run(scripts["The environment's apps and state"],
		"GITHUB_ENV"); got != "MINDSET_APP=acme-prod\nAGENTSYNC_STATE=state/prod.json\n" {
		t.Errorf("the job's environment gets %q", got)
	}
	for _, c := range []struct{ plan, refresh, want string }{
		{"full", "false", "file=full/reviewed/plan.bin\n"}, {"full", "", "file=full/reviewed/plan.bin\n"},
		{"full", "true", "file=\n"}, {"empty", "false", "file=\n"},
	} {
		t.Run(c.plan+" plan, refresh "+c.refresh, func(t *testing.T) {
			if got := run(scripts["The plan that was reviewed"], "GITHUB_OUTPUT", "RUNNER_TEMP="+c.plan,
				"REFRESH="+c.refresh); got != c.want {
				t.Errorf("%s plan, refresh %q: %q, want %q", c.plan, c.refresh, got, c.want)
			}
		})
	}
}
