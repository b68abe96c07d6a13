package shared_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// spin checks the protocol's model with what the preprocessor is told, and returns what its verifier printed.
func spin(t *testing.T, defines ...string) string {
	t.Helper()
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed: apt-get install %[1]s", tool)
			}
			t.Skipf("%s is not there: apt-get install %[1]s", tool)
		}
	}
	model, err := filepath.Abs("testdata/protocol.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var out []byte
	for _, args := range [][]string{
		append(append([]string{"spin"}, defines...), "-a", model),
		{"gcc", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=8000", "-o", "pan", "pan.c"},
		{"./pan", "-m1000000"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err = cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return string(out)
}

var (
	verdict = regexp.MustCompile(`errors: \d+`)
	whole   = regexp.MustCompile(`(?m)^Full statespace search`)
	partly  = regexp.MustCompile(`(?i)search not completed|out of memory|max search depth too small`)
	states  = regexp.MustCompile(`\d+ states, stored`)
)

// TestTortureModel: spin finds nothing wrong with the protocol, whatever is lost, late or stands still; and with each
// of its rules broken it finds the append that is lost, so the model can tell.
func TestTortureModel(t *testing.T) {
	if os.Getenv("AGENTSYNC_TORTURE") == "" {
		t.Skip("AGENTSYNC_TORTURE is not set")
	}
	for name, defines := range map[string][]string{
		"two machines":   {"-DWRITERS=2", "-DLOST=1", "-DLATE=1"},
		"three machines": {"-DWRITERS=3", "-DLOST=1", "-DLATE=0"},
	} {
		t.Run(name, func(t *testing.T) {
			out := spin(t, defines...)
			if verdict.FindString(out) != "errors: 0" || !whole.MatchString(out) || partly.MatchString(out) {
				t.Errorf("%s", out)
			}
			t.Log(states.FindString(out))
		})
	}
	for _, mutant := range []string{"DELETE_FENCE", "NO_FENCE", "CLEAN_FIRST", "TRUST_EXISTS", "FOLLOW_HEAD"} {
		t.Run(mutant, func(t *testing.T) {
			if out := spin(t, "-DWRITERS=2", "-DLOST=1", "-DLATE=1", "-D"+
				mutant); verdict.FindString(out) != "errors: 1" {
				t.Errorf("the model cannot tell: %s", out)
			}
		})
	}
}
