package ci

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"gopkg.in/yaml.v3"

	"agentsync/internal/cli"
)

// TestMain puts agentsync on PATH: this test binary under another name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agentsync": func() {
		streams := cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
		os.Exit(cli.Run(context(), os.Environ(), streams, os.Args[1:]))
	}})
}

// action is action.yml, as far as a runner reads it.
type action struct {
	Inputs  map[string]struct{ Default, Description string }
	Outputs map[string]struct{ Value, Description string }
	Runs    struct{ Steps []step }
}

type step struct {
	ID, Name, If, Uses, Run, Shell string
	Env, With                      map[string]string
}

func readAction(t *testing.T) action {
	t.Helper()
	b, err := os.ReadFile("../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var a action
	if err := yaml.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// runner runs the action as GitHub's does: each step with its environment, outputs handed on, steps
// skipped after a failure unless their condition says otherwise.
type runner struct {
	t         *testing.T
	dir       string            // the checkout
	env       map[string]string // beside what a runner always sets
	event     string
	github    map[string]string // the github context
	cancelled bool
	path      string // before the usual PATH
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	for _, tool := range []string{"bash", "jq", "curl", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the scripts need %s, which this machine has not", tool)
		}
	}
	return &runner{t: t, dir: t.TempDir(), env: map[string]string{}, event: `{}`,
		github: map[string]string{"token": "test-token"}}
}

// result is what a run of the action left.
type result struct {
	failed   bool
	outputs  map[string]string
	log      string
	summary  string
	artefact string // the folder that was uploaded, or empty
	steps    map[string]int
}

// run runs the action with inputs.
func (r *runner) run(inputs map[string]string) result {
	r.t.Helper()
	a := readAction(r.t)
	scope := map[string]string{}
	for name, in := range a.Inputs {
		scope["inputs."+name] = in.Default
	}
	for name, value := range inputs {
		if _, ok := a.Inputs[name]; !ok {
			r.t.Fatalf("the action has no input %s", name)
		}
		scope["inputs."+name] = value
	}
	for name, value := range r.github {
		scope["github."+name] = value
	}
	for name, value := range scope { // the one default that is an expression
		scope[name] = r.expand(value, scope, false)
	}
	res := result{steps: map[string]int{}}
	files := r.t.TempDir()
	summary := filepath.Join(files, "summary")
	path := r.path + string(os.PathListSeparator) + os.Getenv("PATH")
	for _, s := range a.Runs.Steps {
		if !r.holds(s.If, scope, res.failed) {
			continue
		}
		if s.Uses != "" {
			res.artefact = r.expand(s.With["path"], scope, res.failed)
			continue
		}
		out, more := filepath.Join(files, "output"), filepath.Join(files, "path")
		write(r.t, out, "")
		write(r.t, more, "")
		write(r.t, filepath.Join(files, "event.json"), r.event)
		cmd := exec.Command(s.Shell, "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", s.Run)
		cmd.Dir = r.dir
		cmd.Env = []string{
			"PATH=" + path, "HOME=" + files, "GITHUB_ACTIONS=true", "GITHUB_ACTION_PATH=" + abs(r.t, ".."),
			"GITHUB_OUTPUT=" + out, "GITHUB_PATH=" + more, "GITHUB_STEP_SUMMARY=" + summary,
			"GITHUB_EVENT_PATH=" + filepath.Join(files, "event.json"), "GITHUB_REPOSITORY=acme/fleet",
			"GITHUB_RUN_ID=42", "RUNNER_TEMP=" + files, "RETRY_DELAY=0", "NO_COLOR=1", "GORACE=" + os.Getenv("GORACE"),
		}
		for name, value := range r.env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		for name, value := range s.Env {
			cmd.Env = append(cmd.Env, name+"="+r.expand(value, scope, res.failed))
		}
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		err := cmd.Run()
		res.log += log.String()
		res.failed = res.failed || err != nil
		res.steps[s.Name] = cmd.ProcessState.ExitCode()
		for line := range strings.Lines(read(r.t, out)) {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
				scope["steps."+s.ID+".outputs."+name] = value
			}
		}
		if dir := strings.TrimSpace(read(r.t, more)); dir != "" {
			path = dir + string(os.PathListSeparator) + path
		}
	}
	res.summary = read(r.t, summary)
	res.outputs = map[string]string{}
	for name, o := range a.Outputs {
		res.outputs[name] = r.expand(o.Value, scope, res.failed)
	}
	return res
}

var expression = regexp.MustCompile(`\$\{\{(.*?)\}\}`)

// expand replaces the expressions in a text.
func (r *runner) expand(text string, scope map[string]string, failed bool) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		return r.eval(strings.TrimSpace(e[3:len(e)-2]), scope, failed)
	})
}

// holds reports whether a step runs.
func (r *runner) holds(condition string, scope map[string]string, failed bool) bool {
	if condition == "" {
		return !failed && !r.cancelled
	}
	v := r.expand(condition, scope, failed)
	return v != "" && v != "false"
}

// eval knows what action.yml uses: ||, &&, ==, !=, !, texts, references and the status functions.
func (r *runner) eval(e string, scope map[string]string, failed bool) string {
	e = strings.TrimSpace(e)
	truth := func(s string) bool { return s != "" && s != "false" }
	for _, op := range []string{"||", "&&"} {
		if a, b, ok := strings.Cut(e, op); ok {
			left := r.eval(a, scope, failed)
			if truth(left) == (op == "||") {
				return left
			}
			return r.eval(b, scope, failed)
		}
	}
	for _, op := range []string{"==", "!="} {
		if a, b, ok := strings.Cut(e, op); ok {
			return fmt.Sprint((r.eval(a, scope, failed) == r.eval(b, scope, failed)) == (op == "=="))
		}
	}
	switch {
	case e == "always()":
		return "true"
	case e == "failure()":
		return fmt.Sprint(failed)
	case e == "cancelled()":
		return fmt.Sprint(r.cancelled)
	case strings.HasPrefix(e, "!"):
		return fmt.Sprint(!truth(r.eval(e[1:], scope, failed)))
	case strings.HasPrefix(e, "'"):
		return strings.Trim(e, "'")
	case regexp.MustCompile(`^(inputs|github|steps)\.[\w.-]+$`).MatchString(e):
		return scope[e] // what is not there is empty, as at GitHub
	}
	r.t.Fatalf("an expression that the test's runner does not know: %s", e)
	return ""
}
