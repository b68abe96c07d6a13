package report

import (
	"io"
	"strings"
	"unicode"

	"agentsync/internal/diag"
)

// The rules of what a person is told on stderr:
//
//   - Two kinds of line and no more: "agentsync: error: …" says what went wrong and where, and
//     "agentsync: hint: …" says what to do about it. "agentsync: warning: …" is for what does not stop
//     the command.
//   - Sentences start in lower case, have no full stop at the end of the error, and name the file, the
//     address or the request concerned. They never blame, never shout and never say "oops".
//   - What can be typed stands alone on an indented line, so that it can be copied as it is.
//   - One error per run. Problems of manifests are a list of their own, shown before it.
//   - No stack, no Go type, no "<nil>". Data from outside is sanitised.
//   - Colour only marks the words that are there anyway.

// Error writes a message and, where hint is not empty, what to do about it. A line of hint that is
// indented is a command to type; it is set apart. Errors of w are dropped: there is nowhere left to
// report them.
func Error(w io.Writer, s Style, message, hint string) {
	_, _ = io.WriteString(w, tagged(s, red, "error", message)+hintText(s, hint))
}

// Warning writes a message that stops nothing, and a hint like Error.
func Warning(w io.Writer, s Style, message, hint string) {
	_, _ = io.WriteString(w, tagged(s, yellow, "warning", message)+hintText(s, hint))
}

func hintText(s Style, hint string) string {
	if strings.TrimSpace(hint) == "" {
		return ""
	}
	return tagged(s, cyan, "hint", hint)
}

// tagged writes "agentsync: tag: " before the first line. Lines that follow are indented by four
// columns if they were indented at all, and by two otherwise.
func tagged(s Style, i ink, tag, text string) string {
	var b strings.Builder
	for n, l := range strings.Split(strings.TrimRightFunc(text, unicode.IsSpace), "\n") {
		body := strings.TrimSpace(l)
		switch {
		case n == 0:
			b.WriteString("agentsync: " + s.paint(i, tag+":") + " " + Sanitize(body) + "\n")
		case body == "":
			b.WriteString("\n")
		case strings.TrimLeft(l, " \t") != l:
			b.WriteString("    " + s.paint(bold, lineStart(body)) + "\n")
		default:
			b.WriteString("  " + lineStart(body) + "\n")
		}
	}
	return b.String()
}

// ErrorJSON writes the one document that a command with --format json leaves on stdout when it fails
// before it has a result, with the problems of the manifests where they are the reason. All three
// published output schemas allow it. The error is that of w.
func ErrorJSON(w io.Writer, message, hint string, exitCode int, problems diag.List) error {
	return writeJSON(w, errorDoc{FormatVersion, errorBody{message, hint, exitCode}, problemDocs(sorted(problems))})
}

type errorDoc struct {
	FormatVersion string       `json:"formatVersion"`
	Error         errorBody    `json:"error"`
	Diagnostics   []problemDoc `json:"diagnostics,omitempty"`
}

type errorBody struct {
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
	ExitCode int    `json:"exitCode"`
}

// FailureMarkdown writes a command that failed before it had a result: the message, and what to do about it.
func FailureMarkdown(w io.Writer, message, hint string) error {
	var b strings.Builder
	b.WriteString("### agentsync: failed\n\n")
	for _, text := range []string{message, hint} {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				b.WriteString("- " + codeSpan(clip(line, 500)) + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
