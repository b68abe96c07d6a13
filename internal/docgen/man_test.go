package docgen

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/cli"
)

const manDir = "../../docs/man"

// TestGoldenManPages holds docs/man against the commands; AGENTSYNC_GOLDEN=1 writes it.
func TestGoldenManPages(t *testing.T) {
	pages := ManPages(cli.Command())
	renew := os.Getenv("AGENTSYNC_GOLDEN") != ""
	kept, err := filepath.Glob(filepath.Join(manDir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range kept {
		if pages[filepath.Base(path)] != nil {
			continue
		}
		if !renew {
			t.Errorf("%s is the page of no command: run make docs", path)
		} else if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range pages {
		path := filepath.Join(manDir, name)
		if renew {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is behind its command's texts: run make docs and review the diff (%v)", path, err)
		}
	}
}

// TestEveryCommandIsExplained holds each command to a help text and an example.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, cmd := range Commands(cli.Command()) {
		if cmd.Short == "" {
			t.Errorf("%s has no short text", cmd.CommandPath())
		}
		if cmd.Runnable() && cmd.Example == "" && !strings.HasPrefix(cmd.CommandPath(), "agentsync completion") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

// TestNotShipped keeps what makes man pages, and what lints workflows, out of the binary.
func TestNotShipped(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "agentsync").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "agentsync/internal/cli\n") {
		t.Fatalf("no list of the binary's packages:\n%s", out)
	}
	for _, unwanted := range []string{"github.com/spf13/cobra/doc", "md2man", "blackfriday", "actionlint", "agentsync/internal/docgen"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("%s is in the binary", unwanted)
		}
	}
}
