package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/state"
)

// use does everything that a command may do with a state file, and returns the first error.
func use(t *testing.T, path string) error {
	t.Helper()
	f := state.NewFile(path)
	unlock, err := f.Lock(t.Context(), state.Holder{Command: "test"})
	if err != nil {
		return err
	}
	defer unlock()
	snap, err := f.Load(t.Context())
	if err != nil {
		return err
	}
	run, err := f.Begin(t.Context(), snap, 1<<12)
	if err != nil {
		return err
	}
	if err := run.Commit(recorded("a", "a1")); err != nil {
		return err
	}
	if err := run.Close(t.Context()); err != nil {
		return err
	}
	if snap, err = f.Load(t.Context()); err != nil {
		return err
	}
	return f.Edit(t.Context(), snap, func(s *state.State) error {
		s.Agents[addr("b")] = agent.Record{UID: "b1"}
		return nil
	})
}

// TestLinksAreRefused puts a link at each name that agentsync uses: it is refused by name of its target, or replaced,
// and what it leads to is as it was.
func TestLinksAreRefused(t *testing.T) {
	for _, name := range []string{"state.json", "state.json.journal", "state.json.lock", "state.json.tmp",
		"state.json.journal.tmp",
		"errored.state.json"} {
		for how, target := range map[string]string{"a script": "victim.sh", "nothing": "none", "a folder": "folder",
			"itself": name, "a link": "chain"} {
			t.Run(name+" to "+how, func(t *testing.T) {
				dir := t.TempDir()
				victim := filepath.Join(dir, "victim.sh")
				if err := os.WriteFile(victim, []byte("#!/bin/sh\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				for link, target := range map[string]string{name: target, "chain": "victim.sh"} {
					if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
						t.Skip(err)
					}
				}
				if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
					t.Fatal(err)
				}
				err := use(t, filepath.Join(dir, "state.json"))
				if _, rescueErr := state.NewFile(filepath.Join(dir, "state.json")).Rescue(sample()); rescueErr != nil {
					t.Error(rescueErr)
				}
				var format *state.FormatError
				switch refused := errors.As(err, &format); {
				case strings.HasSuffix(name, ".tmp"), strings.HasPrefix(name, "errored"): // no name that is ever opened
					if err != nil {
						t.Error(err)
					}
				case !refused || format.Reason != state.Linked || !strings.Contains(format.Detail, target) ||
					format.Hint == "":
					t.Errorf("got %v (%+v), want a refusal that names %s", err, format, target)
				}
				if b, err := os.ReadFile(victim); err != nil || string(b) != "#!/bin/sh\n" {
					t.Errorf("the link was written through: %q, %v", b, err)
				}
				checkMode(t, victim, 0o755)
				if entries, err := os.ReadDir(filepath.Join(dir, "folder")); err != nil || len(entries) > 0 {
					t.Errorf("in the folder there are %v, %v", entries, err)
				}
				if _, err := os.Lstat(filepath.Join(dir, "none")); err == nil {
					t.Error("what the link led to was made")
				}
			})
		}
	}
}

// TestLinkedFolder: a folder that a repository links to another place is no place for the state; one that a person
// names by its own path is.
func TestLinkedFolder(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("inside", 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"out": outside, "in": "inside", "up": ".."} {
		if err := os.Symlink(target, link); err != nil {
			t.Skip(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join("inside", "deep")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"out/state.json", "./out/state.json", "up/state.json", "in/deep/state.json"} {
		var format *state.FormatError
		if err := use(t, path); !errors.As(err, &format) || format.Reason != state.Linked ||
			!strings.Contains(format.Hint, "--state ") {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("outside there are %v, %v", entries, err)
	}
	for _, path := range []string{"in/state.json", "inside/other.json", filepath.Join(outside, "state.json"),
		filepath.Join(dir, "out", "third.json")} {
		if err := use(t, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestNoRegularFile: what is no file is not waited for, and not read without an end.
func TestNoRegularFile(t *testing.T) {
	var format *state.FormatError
	for _, path := range []string{os.DevNull, "/dev/zero"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if _, err := state.NewFile(path).Load(t.Context()); !errors.As(err, &format) || format.Reason != state.Foreign {
			t.Errorf("%s: %v", path, err)
		}
	}
}
