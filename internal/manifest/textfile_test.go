package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes files, by path and content, below a new folder and makes it the current one.
func write(t *testing.T, pairs ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i < len(pairs); i += 2 {
		if err := os.MkdirAll(filepath.Dir(pairs[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(pairs[i], []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func withPurpose(refs ...string) string {
	var b strings.Builder
	b.WriteString("version: 1\nmindset:\n  appUid: acme\n  agents:\n")
	for i, r := range refs {
		b.WriteString("    - key: k" + string(rune('a'+i)) + "\n      agentName: N" + string(rune('a'+i)) +
			"\n      agentPurpose: " + r + "\n")
	}
	return b.String()
}

func TestTextOfAFile(t *testing.T) {
	write(t, "m/a.yaml", withPurpose("${file:prompts/coach.md}", "${file:../shared/policy.md}",
		"${file:prompts/coach.md}"),
		"m/prompts/coach.md", "\ufeff# Coach\r\n\r\nHelp ${env:X} and ${secret:Y}.\n\n", "shared/policy.md", "Be kind.",
		"m/prompts/README.md", "", "m/prompts/old.md", "")
	fleet, problems := load(t, "m")
	want := "m/prompts/old.md: warning: no manifest refers to this text; write ${file:…} where it belongs, or remove it\n"
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, want := range []string{"# Coach\n\nHelp ${env:X} and ${secret:Y}.\n", "Be kind.",
		"# Coach\n\nHelp ${env:X} and ${secret:Y}.\n"} {
		if diff := cmp.Diff(want, fleet.Agents[i].Fields["agentPurpose"]); diff != "" {
			t.Errorf("agent %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestTextOfAFileThatIsWrong(t *testing.T) {
	write(t, "repo/.git/config", "", "token", "hvs.CAES", "repo/m/p/long.md", strings.Repeat("a", 1001),
		"repo/m/p/bad.md", "one\n\ttwo\x07\n", "repo/m/p/latin.md", "caf\xe9",
		"repo/m/a.yaml", withPurpose("${file:p/none.md}", "${file:p/long.md}", "${file:p/bad.md}", "${file:p/latin.md}",
			"${file:../../token}", "${file:/etc/passwd}",
			"${file:p/link.md}", "${file:p}", "See ${file:p/long.md}", `'${file:p\\long.md}'`))
	links(t, "repo/m/p/link.md", "../../../token")
	_, problems := load(t, "repo/m")
	want := `repo/m/a.yaml:7:21: repo/m/p/none.md cannot be read: ` + syscall.ENOENT.Error() + `
repo/m/a.yaml:10:21: agentPurpose is 1,001 characters long; at most 1,000 are allowed (the text of repo/m/p/long.md)
repo/m/a.yaml:13:21: the text at repo/m/p/bad.md:2:5: the control character U+0007 cannot be in a text; take it out
repo/m/a.yaml:16:21: the text at repo/m/p/latin.md:1:4: the byte 0xe9 is not valid UTF-8; save the file as UTF-8
repo/m/a.yaml:19:21: token is outside of the repository; a text must be inside it
repo/m/a.yaml:22:21: "/etc/passwd" is no path for ${file:…}; write one that is relative to this manifest, with /, like ${file:prompts/coach.md}
repo/m/a.yaml:25:21: repo/m/p/link.md cannot be read: its link leads out of the folder that is read
repo/m/a.yaml:28:21: repo/m/p is not a regular file; name a text file
repo/m/a.yaml:31:21: ${file:p/long.md} must be the whole value: a text comes from the manifest or from a file
repo/m/a.yaml:34:21: "p\\long.md" is no path for ${file:…}; write one that is relative to this manifest, with /, like ${file:prompts/coach.md}
repo/m/p/bad.md:2:5: the control character U+0007 cannot be in a text; take it out (the text is used at repo/m/a.yaml:13:21)
repo/m/p/latin.md:1:4: the byte 0xe9 is not valid UTF-8; save the file as UTF-8 (the text is used at repo/m/a.yaml:16:21)
repo/m/p/long.md:1:1: agentPurpose is 1,001 characters long; at most 1,000 are allowed (the text is used at repo/m/a.yaml:10:21)
`
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
