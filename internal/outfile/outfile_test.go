package outfile_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"agentsync/internal/outfile"
)

// enter makes a folder with a file of somebody else's beside it, and works in the folder.
func enter(t *testing.T) (outside string) {
	t.Helper()
	base := t.TempDir()
	outside = filepath.Join(base, "script.sh")
	if err := os.WriteFile(outside, []byte("theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"repo", "elsewhere"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(base, "repo"))
	return outside
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Skipf("no links here: %v", err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// left are the names in the working folder.
func left(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestLinkIsReplaced(t *testing.T) {
	outside := enter(t)
	link(t, outside, "plan.bin")
	if err := outfile.Write("plan.bin", 0o600, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat("plan.bin")
	if err != nil || !info.Mode().IsRegular() || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("plan.bin is %v, %v", info.Mode(), err)
	}
	if got := mustRead(t, outside); got != "theirs" {
		t.Errorf("the link was followed: %q", got)
	}
	if got := left(t); got != "plan.bin" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestOlderModeIsNotKept(t *testing.T) {
	enter(t)
	if err := os.WriteFile("plan.html", nil, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := outfile.Write("plan.html", 0o644, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat("plan.html"); err != nil || info.Mode().Perm()&0o111 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestFolderThatLeadsOut(t *testing.T) {
	enter(t)
	link(t, filepath.Join("..", "elsewhere"), "out")
	for name, write := range map[string]func() error{
		"Write":   func() error { return outfile.Write("out/plan.html", 0o644, []byte("ours")) },
		"WriteIn": func() error { return outfile.WriteIn(".", "out/deep/x.yaml", 0o644, []byte("ours")) },
		"Replace": func() error { return outfile.Replace("out/x.yaml", []byte("ours")) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := write(); err == nil {
				t.Error("it was written")
			}
			if entries, err := os.ReadDir("../elsewhere"); err != nil || len(entries) > 0 {
				t.Errorf("elsewhere holds %v, %v", entries, err)
			}
		})
	}
	// Where the user says where it goes, it goes there.
	if err := outfile.Write("../elsewhere/plan.html", 0o644, []byte("ours")); err != nil {
		t.Error(err)
	}
}

func TestReplace(t *testing.T) {
	outside := enter(t)
	link(t, outside, "linked.yaml")
	err := outfile.Replace("linked.yaml", []byte("ours"))
	if err == nil || !strings.Contains(err.Error(), "is a link to "+outside) {
		t.Errorf("a link: %v", err)
	}
	if err := os.WriteFile("own.yaml", []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := outfile.Replace("own.yaml", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat("own.yaml"); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 ||
		mustRead(t, "own.yaml") != "new" {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	enter(t)
	f, err := outfile.Create("report.json", 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	if got := left(t); got != "" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	enter(t)
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"missing/report.json": "write missing/report.json: ",
		"folder":              "write folder: it is a folder",
	} {
		t.Run(path, func(t *testing.T) {
			if _, err := outfile.Create(path, fs.FileMode(0o644)); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Error(err)
			}
		})
	}
}

func TestDeviceIsWrittenTo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/null and /dev/fd")
	}
	enter(t)
	for _, path := range []string{"/dev/null", "/dev/fd/2"} {
		if err := outfile.Write(path, 0o644, nil); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Lstat("/dev/null"); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Fatalf("/dev/null is %v, %v", info.Mode(), err)
	}
}
