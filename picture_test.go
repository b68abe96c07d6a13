package main

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/cli"
	"agentsync/internal/exit"
)

// TestGoldenPicture draws docs/terminal.svg, the picture of the README, from a real run; AGENTSYNC_GOLDEN=1 writes it.
func TestGoldenPicture(t *testing.T) {
	const path = "docs/terminal.svg"
	before, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "manifests"), os.DirFS("manifests")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	environ := []string{"HOME=" + dir, "CLICOLOR_FORCE=1", "LANGGRAPH_TOKEN=demo-token-of-usual-length"}
	shown := func(args ...string) string {
		var out bytes.Buffer
		// Problems and progress belong to the picture as well.
		code := cli.Run(t.Context(), environ, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, args)
		if code != exit.OK {
			t.Fatalf("agentsync %v ended with %d:\n%s", args, code, &out)
		}
		return "$ agentsync " + strings.Join(args, " ") + "\n" + out.String() + "\n"
	}
	shown("apply", "--sandbox", "--auto-approve")
	manifest, err := os.ReadFile("manifests/people.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const old, changed = "one question at a time", "at their own pace"
	if !strings.Contains(string(manifest), old) {
		t.Fatalf("manifests/people.yaml has no %q", old)
	}
	manifest = []byte(strings.Replace(string(manifest), old, changed, 1))
	if err := os.WriteFile("manifests/people.yaml", manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	planned, applied := shown("plan",
		"--sandbox"), strings.Split(strings.TrimSpace(shown("apply", "--sandbox", "--auto-approve")), "\n")
	applied = []string{applied[0], "…", applied[len(applied)-1], "\n"} // it shows the plan once more
	picture := drawTerminal(someUID.ReplaceAllString(planned, "uid U34OMUJJPLLZQVEMOED7") +
		strings.Join(applied, "\n") +
		shown("plan", "--sandbox"))
	if os.Getenv("AGENTSYNC_GOLDEN") != "" {
		if err := os.WriteFile(filepath.Join(root, path), []byte(picture), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(picture, string(before)); diff != "" {
		t.Errorf("%s shows something else than the tool; 'make golden' draws it anew (-want +got):\n%s", path, diff)
	}
}

// someUID is what the sandbox made up.
var someUID = regexp.MustCompile(`uid [0-9A-Z]{20}`)

const (
	lineHeight = 20  // pixels
	charWidth  = 8.4 // pixels, of a monospaced letter of 14 pixels
)

// terminalStyle has a colour for each of the terminal's, in light and in dark.
const terminalStyle = `
rect { fill: #ffffff; stroke: #d0d7de }
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #1f2328; white-space: pre }
.c1 { font-weight: bold } .c7 { text-decoration: underline } .c2 { fill: #59636e } .c31 { fill: #cf222e } .c32 { fill: #116329 } .c33 { fill: #7d4e00 } .c36 { fill: #0550ae }
@media (prefers-color-scheme: dark) {
rect { fill: #0d1117; stroke: #3d444d }
text { fill: #f0f6fc }
.c2 { fill: #9198a1 } .c31 { fill: #ff7b72 } .c32 { fill: #56d364 } .c33 { fill: #e3b341 } .c36 { fill: #79c0ff }
}
`

var colourCode = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// drawTerminal returns an SVG of what a terminal shows.
func drawTerminal(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	longest := 0
	for _, line := range lines {
		longest = max(longest, len([]rune(colourCode.ReplaceAllString(line, ""))))
	}
	width, height := int(float64(longest)*charWidth)+32, len(lines)*lineHeight+24
	var b strings.Builder
	fmt.Fprintf(&b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n<style>%s</style>\n",
		width, height, width, height, terminalStyle)
	fmt.Fprintf(&b, "<rect x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", width-1, height-1)
	for i, line := range lines {
		if line != "" {
			fmt.Fprintf(&b, "<text x=\"16\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", 26+
				i*lineHeight, drawLine(line))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// drawLine returns a line with each coloured part in an element of that colour's class.
func drawLine(line string) string {
	if strings.HasPrefix(line, "$ ") {
		return `<tspan class="c1">` + html.EscapeString(line) + `</tspan>`
	}
	var b strings.Builder
	class := ""
	write := func(text string) {
		switch {
		case text == "":
		case class == "":
			b.WriteString(html.EscapeString(text))
		default:
			fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, class, html.EscapeString(text))
		}
	}
	at := 0
	for _, m := range colourCode.FindAllStringSubmatchIndex(line, -1) {
		write(line[at:m[0]])
		at, class = m[1], ""
		for code := range strings.SplitSeq(line[m[2]:m[3]], ";") {
			if code != "0" && code != "" {
				class = strings.TrimSpace(class + " c" + code)
			}
		}
	}
	write(line[at:])
	return b.String()
}
