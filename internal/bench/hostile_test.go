package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hostile are manifests that would cost the machine rather than a sentence, if they were let.
var hostile = []struct {
	name  string
	write func(w *bufio.Writer)
	want  string // what stands in the answer
}{
	{"100 MB of agents", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\n"+cometchat)
		for i := range 290_000 {
			fmt.Fprintf(w, concierge, i)
		}
	}, "larger than 32 MiB"},
	{"a million keys", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-keys:\n")
		for i := range 1_100_000 {
			fmt.Fprintf(w, "  k%d: 1\n", i)
		}
	}, "more than 1,000,000 values"},
	{"a million keys on one line", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-keys: {")
		for i := range 1_100_000 {
			fmt.Fprintf(w, "k%d: 1, ", i)
		}
		fmt.Fprint(w, "}\n")
	}, "more than 1,000,000 values"},
	{"seven million comments", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\n"+strings.Repeat("# c\n", 7_000_000))
	}, "more than 1,000,000 values"},
	{"deep lists", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-deep: "+strings.Repeat("[", 500_000)+strings.Repeat("]", 500_000)+"\n")
	}, "nested far too deep"},
	{"deep maps", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-deep: "+strings.Repeat("{a: ", 500_000)+"1"+strings.Repeat("}", 500_000)+"\n")
	}, "nested far too deep"},
	{"deep dashes", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-deep:\n  "+strings.Repeat("- ", 500_000)+"a\n")
	}, "nested far too deep"},
	{"a name of 30 MB", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - {key: a, agentName: \""+
			strings.Repeat("a", 30<<20)+"\"}\n")
	}, "this text is longer than 1 MiB"},
	{"aliases of aliases", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-bomb:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n")
		for i := range 12 {
			fmt.Fprintf(w, "  - &a%d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10),
				", "))
		}
		fmt.Fprint(w, "mindset:\n  appUid: acme\n  agents:\n    - {key: a, agentName: a, tags: *a12}\n")
	}, "more than 1,000,000 values"},
	{"100,000 aliases of 64 KiB", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nx-text: &t "+strings.Repeat("a", 64<<10)+
			"\ncometchat:\n  appId: a\n  region: us\n  agents:\n    - key: a\n      metaData: {list: [")
		fmt.Fprint(w, strings.Repeat("*t, ", 100_000)+"*t]}\n")
	}, "hold more than 64 MiB"},
	{"a variable 50,000 times", func(w *bufio.Writer) {
		fmt.Fprint(w,
			"version: 1\ncometchat:\n  appId: a\n  region: us\n  agents:\n    - key: a\n      metaData: {list: [")
		fmt.Fprint(w, strings.Repeat("\"${env:AGENTSYNC_BENCH_BIG}\", ", 50_000)+"x]}\n")
	}, "hold more than 64 MiB"},
	{"a variable 50,000 times in one text", func(w *bufio.Writer) {
		fmt.Fprint(w, "version: 1\nmindset:\n  appUid: acme\n  agents:\n    - {key: a, agentPurpose: \""+
			strings.Repeat("${env:AGENTSYNC_BENCH_BIG}", 50_000)+"\"}\n")
	}, "longer than 1 MiB"},
}

// hostileMemory is the most memory, in MiB, that a refusal may cost: a file of 32 MiB is read as a whole, and
// a text of it stands in memory several times.
const hostileMemory = 320

// TestHostileManifestsCostASentence feeds the real binary. That it ends in time the tests' own limit
// sees to; memory is counted.
func TestHostileManifestsCostASentence(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeFile(filepath.Join(dir, "hostile.yaml"), h.write); err != nil {
				t.Fatal(err)
			}
			got := validate(t, path, dir)
			if got.Code != 4 || !strings.Contains(got.Out, h.want) || len(got.Out) > 4096 {
				t.Errorf("exit %d, %d bytes: %.500s\nwant %q", got.Code, len(got.Out), got.Out, h.want)
			}
			t.Logf("%.0f MiB", got.Memory)
			if got.Memory > hostileMemory {
				t.Errorf("%.0f MiB of memory", got.Memory)
			}
			_ = os.RemoveAll(dir) // the next one needs the room
		})
	}
}

// hostileVariable makes the test binary a small process that runs agentsync; it holds the program and the
// folder to validate, one a line. On Linux a process begins with the peak of the one that started it, and the tests
// have a large one.
const hostileVariable = "AGENTSYNC_BENCH_HOSTILE"

// validated is what became of a validation.
type validated struct {
	Code   int
	Out    string
	Memory float64 // the most that it had at once, in MiB
}

// validateOnly is the small process.
func validateOnly(command string) error {
	path, dir, _ := strings.Cut(command, "\n")
	cmd := exec.Command(path, "validate", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AGENTSYNC_BENCH_BIG="+strings.Repeat("a", 100<<10))
	out, _ := cmd.CombinedOutput() // the exit code says it
	return json.NewEncoder(os.Stdout).Encode(validated{cmd.ProcessState.ExitCode(), string(out),
		peak(cmd.ProcessState)})
}

func validate(t *testing.T, path, dir string) (v validated) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), hostileVariable+"="+path+"\n"+dir)
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}
