package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rooms are those whose tests are measured, each with the packages whose tests are to notice its faults.
var rooms = map[string][]string{
	"apply":    {"apply"},
	"state":    {"state"},
	"plan":     {"plan"},
	"platform": {"platform", "platform/cometchat", "platform/mindset"},
}

// switchFile is what makes a room's faults switchable.
const switchFile = `package %s

import (
	"os"
	"strconv"
)

var mutantOn, _ = strconv.Atoi(os.Getenv("AGENTSYNC_MUTANT"))

func mutated(n int) bool { return n == mutantOn }
`

// TestMutants tries AGENTSYNC_MUTANTS_SAMPLE faults, 100 unless it says otherwise, in the rooms that AGENTSYNC_MUTANTS
// names. It fails where fewer than 85% of those that can be noticed are; testdata/equivalent.txt has those that cannot.
func TestMutants(t *testing.T) {
	if os.Getenv("AGENTSYNC_MUTANTS") == "" {
		t.Skip("AGENTSYNC_MUTANTS is not set")
	}
	size := 100
	if n, err := strconv.Atoi(os.Getenv("AGENTSYNC_MUTANTS_SAMPLE")); err == nil {
		size = n
	}
	harmless := equivalent(t)
	for _, room := range strings.Fields(os.Getenv("AGENTSYNC_MUTANTS")) {
		t.Run(room, func(t *testing.T) {
			if rooms[room] == nil {
				t.Fatalf("no room is called %q", room)
			}
			r := prepare(t, room)
			if out, ok := r.run(0); !ok {
				t.Fatalf("the tests are not green without a fault:\n%s", out)
			}
			all := slices.DeleteFunc(r.mutants, func(m mutant) bool { return harmless[room+"/"+m.key()] })
			sample := rand.New(rand.NewPCG(10, 34)).Perm(len(all))
			killed, tried := 0, min(size, len(all))
			for _, i := range sample[:tried] {
				if _, green := r.run(all[i].number); green {
					t.Logf("survived: %s/%s", room, all[i])
					continue
				}
				killed++
			}
			t.Logf("%s: %d of %d faults noticed (%d%%), of %d", room, killed, tried, 100*killed/max(1, tried), len(all))
			if 100*killed < 85*tried {
				t.Errorf("fewer than 85%% are noticed")
			}
		})
	}
}

// equivalent reads the faults that change nothing that anybody could see.
func equivalent(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("testdata/equivalent.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			known[line] = true
		}
	}
	return known
}

// prepared is a room whose tests are built with every fault, each switched off.
type prepared struct {
	tests   []built
	mutants []mutant
}

// built are the tests of one package.
type built struct {
	binary, folder string
	args           []string
}

func prepare(t *testing.T, room string) *prepared {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", room))
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Name    string
		GoFiles []string
	}
	out, err := exec.Command("go", "list", "-json=Name,GoFiles", folder).Output()
	if err == nil {
		err = json.Unmarshal(out, &listed)
	}
	if err != nil {
		t.Fatal(err)
	}
	temp, r := t.TempDir(), &prepared{}
	replaced := map[string]string{}
	put := func(name, text string) {
		replaced[filepath.Join(folder, name)] = filepath.Join(temp, name)
		if err := os.WriteFile(filepath.Join(temp, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range listed.GoFiles {
		src, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		text, mutants, err := rewrite(name, string(src), 1+len(r.mutants))
		if err != nil {
			t.Fatal(err)
		}
		put(name, text)
		r.mutants = append(r.mutants, mutants...)
	}
	put("mutated.go", fmt.Sprintf(switchFile, listed.Name))
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err == nil {
		err = os.WriteFile(filepath.Join(temp, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range rooms[room] {
		bin := filepath.Join(temp, strings.ReplaceAll(pkg, "/", "-")+".test")
		out, err := exec.Command("go", "test", "-vet=off", "-c", "-overlay", filepath.Join(temp, "overlay.json"), "-o", bin, "../"+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b := built{bin, filepath.Join("..", pkg), []string{"-test.failfast", "-test.timeout=" + limit.String()}}
		if help, _ := exec.Command(bin, "-help").CombinedOutput(); strings.Contains(string(help), "rapid.checks") {
			b.args = append(b.args, "-rapid.checks=20", "-rapid.nofailfile") // enough to see what they are for
		}
		r.tests = append(r.tests, b)
	}
	return r
}

// limit is how long the tests of one package may take with a fault: one that makes them hang is noticed.
const limit = 2 * time.Minute

// run runs the room's tests with one fault, none where number is 0, and reports whether all of them are green.
func (r *prepared) run(number int) (output []byte, green bool) {
	for _, b := range r.tests {
		ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
		cmd := exec.CommandContext(ctx, b.binary, b.args...)
		cmd.Dir, cmd.Env = b.folder, append(os.Environ(), "AGENTSYNC_MUTANT="+strconv.Itoa(number))
		output, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			return output, false
		}
	}
	return nil, true
}
