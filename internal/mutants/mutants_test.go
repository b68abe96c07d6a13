package mutants

import (
	"cmp"
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

// switchFile is what makes a room's faults switchable. The place of a fault is reached where mutated is called with its
// number: the file that AGENTSYNC_MUTANTS_REACHED names has a byte for each that is, however the process ends.
const switchFile = `package %s

import (
	"os"
	"strconv"
	"syscall"
)

var (
	mutantOn, _ = strconv.Atoi(os.Getenv("AGENTSYNC_MUTANT"))
	reached     = openReached()
)

func openReached() []byte {
	f, err := os.OpenFile(os.Getenv("AGENTSYNC_MUTANTS_REACHED"), os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return b
}

func mutated(n int) bool {
	if reached != nil {
		reached[n] = 1
	}
	return n == mutantOn
}
`

// TestMutants tries AGENTSYNC_MUTANTS_SAMPLE faults, 100 unless it says otherwise, in the rooms that AGENTSYNC_MUTANTS
// names, drawn by AGENTSYNC_MUTANTS_SEED. It fails where fewer than 85% of those that can be noticed are;
// testdata/equivalent.txt has those that cannot.
func TestMutants(t *testing.T) {
	if os.Getenv("AGENTSYNC_MUTANTS") == "" {
		t.Skip("AGENTSYNC_MUTANTS is not set")
	}
	number := func(variable string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
			return n
		}
		return otherwise
	}
	size, seed := number("AGENTSYNC_MUTANTS_SAMPLE", 100), number("AGENTSYNC_MUTANTS_SEED", 34)
	harmless := equivalent(t)
	for _, room := range strings.Fields(os.Getenv("AGENTSYNC_MUTANTS")) {
		t.Run(room, func(t *testing.T) {
			if rooms[room] == nil {
				t.Fatalf("no room is called %q", room)
			}
			r := prepare(t, room)
			r.explore(t)
			all := slices.DeleteFunc(r.mutants, func(m mutant) bool { return harmless[room+"/"+m.key()] })
			sample := rand.New(rand.NewPCG(10, uint64(seed))).Perm(len(all))
			killed, tried := 0, min(size, len(all))
			for _, i := range sample[:tried] {
				if tests, green := r.run(all[i].number); green {
					t.Logf("survived %d tests: %s/%s", tests, room, all[i])
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
	tests          []single // the quickest first
}

// single is one test: how long it takes, and which faults it reaches.
type single struct {
	name    string
	took    time.Duration
	reached []byte
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
		out, err := exec.Command("go", "test", "-vet=off", "-c", "-overlay", filepath.Join(temp, "overlay.json"), "-o",
			bin,
			"../"+pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b := built{binary: bin, folder: filepath.Join("..", pkg), args: []string{"-test.failfast"}}
		if help, _ := exec.Command(bin, "-help").CombinedOutput(); strings.Contains(string(help), "rapid.checks") {
			b.args = append(b.args, "-rapid.checks=20", "-rapid.nofailfile") // enough to see what they are for
		}
		r.tests = append(r.tests, b)
	}
	return r
}

// explore runs each test alone, without a fault, and notes what it reaches.
func (r *prepared) explore(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "reached")
	for k := range r.tests {
		b := &r.tests[k]
		out, err := exec.Command(b.binary, "-test.list", ".").Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") {
				continue
			}
			s := single{name: name}
			if err := os.WriteFile(file, make([]byte, len(r.mutants)+1), 0o600); err != nil {
				t.Fatal(err)
			}
			for try := 1; ; try++ { // of a few a busy machine makes too much
				start := time.Now()
				out, ok := b.run([]single{s}, "AGENTSYNC_MUTANTS_REACHED="+file)
				if s.took = time.Since(start); ok {
					break
				}
				if try == 3 {
					t.Fatalf("%s is not green without a fault:\n%s", name, out)
				}
			}
			if s.reached, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
			b.tests = append(b.tests, s)
		}
		slices.SortFunc(b.tests, func(x, y single) int { return cmp.Compare(x.took, y.took) })
	}
}

// quick is how long the tests together take that are run first. They notice most faults.
const quick = 3 * time.Second

// run runs the tests that reach a fault, with it, and reports how many there are and whether all of them are green.
func (r *prepared) run(number int) (tests int, green bool) {
	for _, b := range r.tests {
		var first, later []single
		took := time.Duration(0)
		for _, s := range b.tests {
			if s.reached[number] == 0 {
				continue
			}
			if took += s.took; took < quick {
				first = append(first, s)
			} else {
				later = append(later, s)
			}
		}
		tests += len(first) + len(later)
		for _, some := range [][]single{first, later} {
			if _, ok := b.run(some, "AGENTSYNC_MUTANT="+strconv.Itoa(number)); !ok {
				return tests, false
			}
		}
	}
	return tests, true
}

// run runs some tests, and reports whether all of them are green. Tests that a fault makes hang are not.
func (b built) run(tests []single, env string) (output []byte, green bool) {
	if len(tests) == 0 {
		return nil, true
	}
	names, limit := make([]string, len(tests)), 20*time.Second
	for i, s := range tests {
		names[i] = s.name
		limit += 5 * s.took
		if s.took == 0 {
			limit += 5 * time.Minute // nobody knows yet
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+10*time.Second)
	defer cancel()
	args := append([]string{"-test.run=^(" + strings.Join(names, "|") + ")$", "-test.timeout=" + limit.String()},
		b.args...)
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Dir, cmd.Env = b.folder, append(os.Environ(), env)
	output, err := cmd.CombinedOutput()
	return output, err == nil
}
