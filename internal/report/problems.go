package report

import (
	"bufio"
	"fmt"
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
	return JSON(w, errorDoc{FormatVersion, errorBody{message, hint, exitCode}, problemDocs(sorted(problems))})
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

// maxProblems bounds how many problems are printed where not everything was asked for. JSON is whole.
const maxProblems = 100

// sorted returns a sorted copy of l without repeats.
func sorted(l diag.List) diag.List {
	c := append(diag.List(nil), l...)
	c.Sort()
	return c
}

func bounded(l diag.List, verbose bool) (shown diag.List, rest int) {
	if verbose || len(l) <= maxProblems {
		return l, 0
	}
	return l[:maxProblems], len(l) - maxProblems
}

// DiagText writes each problem on a line of its own, path:line:column: what is wrong, and a count at
// the end; nothing at all for an empty list. With Style.Source the line of the file is below, see excerpt.go. More than
// 100 are counted unless Style.Verbose. The error is that of w.
func DiagText(w io.Writer, l diag.List, s Style) error {
	if len(l) == 0 {
		return nil
	}
	l = sorted(l)
	b := bufio.NewWriter(w)
	shown, rest := bounded(l, s.Verbose)
	for i, p := range shown {
		if !p.Pos.IsZero() {
			b.WriteString(s.paint(bold, lineStart(p.Pos.String())+":") + " ")
		}
		switch {
		case p.Severity == diag.Warning:
			b.WriteString(s.paint(yellow, "warning:") + " ")
		case s.Source != nil:
			b.WriteString(s.paint(red, "error:") + " ")
		}
		b.WriteString(lineStart(p.Summary) + "\n")
		if s.Source != nil && (i+1 == len(shown) || !sameLine(p.Pos, shown[i+1].Pos)) {
			first := i
			for first > 0 && sameLine(shown[first-1].Pos, p.Pos) {
				first--
			}
			var lines strings.Builder
			s.excerpt(&lines, shown[first:i+1])
			b.WriteString(lines.String())
		}
	}
	if rest > 0 {
		b.WriteString("… and " + comma(rest) + " more, -v shows all\n")
	}
	b.WriteString(problemCount(l) + "\n")
	return b.Flush()
}

func sameLine(a, b diag.Pos) bool { return a.File == b.File && a.Line == b.Line && a.Line > 0 }

// problemCount writes "2 errors, 1 warning".
func problemCount(l diag.List) string {
	errors, warnings := l.Count()
	var parts []string
	if errors > 0 {
		parts = append(parts, count(errors, "error"))
	}
	if warnings > 0 {
		parts = append(parts, count(warnings, "warning"))
	}
	if parts == nil {
		return "no problems"
	}
	return strings.Join(parts, ", ")
}

// DiagJSON writes l as one JSON document as schema/diagnostics.schema.json describes it. The error is
// that of w.
func DiagJSON(w io.Writer, l diag.List) error {
	l = sorted(l)
	doc := diagDoc{FormatVersion: FormatVersion, Valid: !l.HasErrors(), Diagnostics: problemDocs(l)}
	doc.Summary.Errors, doc.Summary.Warnings = l.Count()
	if doc.Diagnostics == nil {
		doc.Diagnostics = []problemDoc{}
	}
	return JSON(w, doc)
}

type diagDoc struct {
	FormatVersion string `json:"formatVersion"`
	Valid         bool   `json:"valid"`
	Summary       struct {
		Errors   int `json:"errors"`
		Warnings int `json:"warnings"`
	} `json:"summary"`
	Diagnostics []problemDoc `json:"diagnostics"`
}

type problemDoc struct {
	Severity string `json:"severity"`
	place
	Summary string `json:"summary"`
	Address string `json:"address,omitempty"`
}

func problemDocs(l diag.List) []problemDoc {
	var docs []problemDoc
	for _, p := range l {
		docs = append(docs, problemDoc{p.Severity.String(), place{p.Pos.File, p.Pos.Line, p.Pos.Column}, p.Summary, p.Address})
	}
	return docs
}

// DiagMarkdown writes l as a comment for a pull request: a marker, a count and a table, never more
// than MarkdownOptions.MaxChars. The error is that of w.
func DiagMarkdown(w io.Writer, l diag.List, o MarkdownOptions) error {
	l = sorted(l)
	var b strings.Builder
	b.WriteString(o.head("validate", problemCount(l)))
	left := o.maxChars() - room - chars(b.String())
	if len(l) > 0 {
		b.WriteString("| | where | what |\n|---|---|---|\n")
	}
	for i, p := range l {
		where := ""
		if !p.Pos.IsZero() {
			where = o.place(p.Pos)
		}
		row := fmt.Sprintf("| %s | %s | %s |\n", p.Severity, where, codeSpan(clip(p.Summary, 500)))
		if left -= chars(row); left < 0 {
			b.WriteString("\n**Left out, because there was no room:** " + count(len(l)-i, "problem") + ".\n")
			break
		}
		b.WriteString(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DiagGitHub writes each problem as a workflow command, which a GitHub runner shows at its line in the
// pull request: ::error file=…,line=…,col=…::what is wrong. The runner itself shows the first ten of
// each kind. The error is that of w.
func DiagGitHub(w io.Writer, l diag.List) error {
	b := bufio.NewWriter(w)
	for _, p := range sorted(l) {
		b.WriteString("::" + p.Severity.String())
		properties := properties(p)
		if properties != "" {
			b.WriteString(" " + properties)
		}
		b.WriteString("::" + commandData(p.Summary) + "\n")
	}
	return b.Flush()
}

func properties(p diag.Problem) string {
	var parts []string
	if p.Pos.File != "" {
		parts = append(parts, "file="+commandProperty(p.Pos.File))
	}
	if p.Pos.Line > 0 {
		parts = append(parts, fmt.Sprintf("line=%d", p.Pos.Line))
	}
	if p.Pos.Column > 0 {
		parts = append(parts, fmt.Sprintf("col=%d", p.Pos.Column))
	}
	if p.Address != "" {
		parts = append(parts, "title="+commandProperty(p.Address))
	}
	return strings.Join(parts, ",")
}

var (
	dataEscaper     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscaper = strings.NewReplacer(":", "%3A", ",", "%2C")
)

// commandData escapes the message of a workflow command as the runner unescapes it.
func commandData(s string) string {
	return dataEscaper.Replace(Sanitize(s))
}

// commandProperty escapes a property of a workflow command, whose ends are a comma and a colon.
func commandProperty(s string) string {
	return propertyEscaper.Replace(commandData(s))
}
