package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"agentsync/internal/diag"
	"agentsync/internal/report/show"
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
func tagged(s Style, i inkCode, tag, text string) string {
	var b strings.Builder
	for n, l := range strings.Split(strings.TrimRightFunc(text, unicode.IsSpace), "\n") {
		body := strings.TrimSpace(l)
		switch {
		case n == 0:
			b.WriteString("agentsync: " + s.paint(i, tag+":") + " " + show.Line(body) + "\n")
		case body == "":
			b.WriteString("\n")
		case strings.TrimLeft(l, " \t") != l:
			b.WriteString("    " + s.paint(bold, show.LineStart(body)) + "\n")
		default:
			b.WriteString("  " + show.LineStart(body) + "\n")
		}
	}
	return b.String()
}

// maxProblems bounds how many problems are printed where not everything was asked for. JSON is whole.
const maxProblems = 100

// sortedProblems returns a sorted copy of l without repeats.
func sortedProblems(l diag.List) diag.List {
	c := slices.Clone(l)
	c.Sort()
	return c
}

// DiagText writes each problem on a line of its own, path:line:column: what is wrong, and a count at
// the end; nothing at all for an empty list. With Style.Source the line of the file is below, see shownLine. More than
// 100 are counted unless Style.Verbose. The error is that of w.
func DiagText(w io.Writer, l diag.List, s Style) error {
	if len(l) == 0 {
		return nil
	}
	l = sortedProblems(l)
	t := newTextWriter(w, s)
	shown, rest := firstOf(l, maxProblems, s)
	first := 0 // of the problems that share a line
	for i, p := range shown {
		if !p.Pos.IsZero() {
			t.WriteString(s.paint(bold, show.LineStart(p.Pos.String())+":") + " ")
		}
		switch {
		case p.Severity == diag.Warning:
			t.WriteString(s.paint(yellow, "warning:") + " ")
		case s.Source != nil:
			t.WriteString(s.paint(red, "error:") + " ")
		}
		t.WriteString(show.LineStart(p.Summary) + "\n")
		// The line stands once, below the last problem that is about it.
		if i+1 < len(shown) && p.Pos.Line > 0 && p.Pos.File == shown[i+1].Pos.File &&
			p.Pos.Line == shown[i+1].Pos.Line {
			continue
		}
		if s.Source != nil {
			t.writeExcerpt(shown[first : i+1])
		}
		first = i + 1
	}
	if rest > 0 {
		t.WriteString("… and " + diag.Count(rest) + " more, -v shows all\n")
	}
	t.WriteString(problemCount(l) + "\n")
	return t.Flush()
}

// problemCount writes "2 errors, 1 warning".
func problemCount(l diag.List) string {
	errors, warnings := l.Count()
	var parts []string
	if errors > 0 {
		parts = append(parts, diag.Plural(errors, "error"))
	}
	if warnings > 0 {
		parts = append(parts, diag.Plural(warnings, "warning"))
	}
	if parts == nil {
		return "no problems"
	}
	return strings.Join(parts, ", ")
}

// A problem on a terminal has the line that it is about below it, and a caret below its place, as compilers have it:
//
//	manifests/support.yaml:12:15: error: access is "open"; it must be one of openAccess or restrictedAccess
//	   12 │       access: open
//	      │               ^^^^
//
// Problems of one line share it. What may be a credential is not shown; a long line is cut around the place; wide
// characters, tabs and what is neutralised take the columns that they take on the screen.

// hiddenText stands where a line may hold a credential.
const hiddenText = "(secret)"

// tabText is what a tab is shown as: carets below it stay in line on every terminal.
const tabText = "    "

// shownLine is a line as it is shown: cells of text, each for some bytes of the line.
type shownLine struct {
	cells []shownCell
	width int
}

// shownCell is what one character, or a hidden stretch, is shown as.
type shownCell struct {
	text       string
	from       int // the first byte
	column     int // the first column, counted from 0
	characters int // that it stands for
}

// showLine makes a line fit to be shown.
func showLine(l diag.Line) shownLine {
	var s shownLine
	add := func(text string, from, characters int) {
		s.cells = append(s.cells, shownCell{text, from, s.width, characters})
		s.width += show.Width(text)
	}
	hidden := l.Hidden
	for at, state := 0, -1; at < len(l.Text); {
		if len(hidden) > 0 && at >= hidden[0][0] {
			// One byte at the least, or an empty stretch would never be passed.
			end := min(max(hidden[0][1], at+1), len(l.Text))
			add(hiddenText, at, len([]rune(l.Text[at:end])))
			hidden, at, state = hidden[1:], end, -1
			continue
		}
		var cluster string
		cluster, _, _, state = uniseg.FirstGraphemeClusterInString(l.Text[at:], state)
		if len(hidden) > 0 && at+len(cluster) > hidden[0][0] {
			// A character that is drawn with what is hidden must not show the beginning of that.
			cluster = l.Text[at:hidden[0][0]]
		}
		text := show.Line(cluster)
		if cluster == "\t" {
			text = tabText
		}
		add(text, at, len([]rune(cluster)))
		at += len(cluster)
	}
	return s
}

// columns returns the columns from a character on, counted from 1, that token bytes take; at least one.
func (s shownLine) columns(character, token int) (from, to int) {
	passed := 0
	for i, c := range s.cells {
		// Counted in characters, as places are: a cell may stand for several of them.
		if passed += c.characters; passed < character {
			continue
		}
		to = c.column + max(1, show.Width(c.text))
		for _, next := range s.cells[i+1:] {
			if next.from >= c.from+token || next.text == hiddenText {
				break
			}
			to = next.column + show.Width(next.text)
		}
		return c.column, to
	}
	return s.width, s.width + 1
}

// window returns the line as it fits into width columns, cut around the column at, and by how many columns it is
// shifted.
func (s shownLine) window(at, width int) (text string, shift int) {
	if s.width <= width {
		return s.text(0, len(s.cells)), 0
	}
	room := max(width-2, 1) // beside an ellipsis at each end
	// A third before the place: what is wrong is read with what stands behind it.
	left := max(0, min(at-room/3, s.width-room))
	first := 0
	for first < len(s.cells)-1 && s.cells[first].column < left {
		first++
	}
	last := first
	for last < len(s.cells) && s.cells[last].column+show.Width(s.cells[last].text)-s.cells[first].column <= room {
		last++
	}
	text = s.text(first, max(last, first+1))
	if first > 0 {
		text, shift = "…"+text, 1-s.cells[first].column
	}
	if last < len(s.cells) {
		text += "…"
	}
	return text, shift
}

// text returns the cells from one to another.
func (s shownLine) text(from, to int) string {
	var b strings.Builder
	for _, c := range s.cells[from:min(to, len(s.cells))] {
		b.WriteString(c.text)
	}
	return strings.TrimRight(b.String(), " ")
}

// excerptMargin is how many columns stand before the line.
const excerptMargin = 9

// writeExcerpt writes the line of problems that share it, with a caret below each place. It writes nothing where the
// line cannot be shown.
func (t textWriter) writeExcerpt(problems diag.List) {
	width := max(t.Width-excerptMargin-1, 10)
	for len(problems) > 0 {
		line, ok := t.Source(problems[0].Pos)
		if !ok {
			return
		}
		shown := showLine(line)
		from, _ := shown.columns(problems[0].Pos.Column, line.Token)
		text, shift := shown.window(from, width)
		t.WriteString(strings.TrimRight(t.paint(dim, fmt.Sprintf("%5d │", problems[0].Pos.Line))+" "+text, " ") + "\n")
		n := len(problems)
		if shown.width > width {
			n = 1 // another place may be where this one's line is cut
		}
		if carets := t.caretLine(shown, problems[:n], shift, show.Width(text)); carets != "" {
			t.WriteString(t.paint(dim, "      │") + " " + carets + "\n")
		}
		problems = problems[n:]
	}
}

// caretLine returns the line below a line: carets below the places of problems.
func (s Style) caretLine(shown shownLine, problems diag.List, shift, width int) string {
	var b strings.Builder
	used := 0
	for _, p := range problems {
		line, ok := s.Source(p.Pos)
		if !ok || p.Pos.Column < 1 {
			continue
		}
		from, to := shown.columns(p.Pos.Column, line.Token)
		from, to = from+shift, min(to+shift, max(width, from+shift+1))
		if from < used {
			continue // two problems of one place
		}
		ink := red
		if p.Severity == diag.Warning {
			ink = yellow
		}
		b.WriteString(strings.Repeat(" ", from-used) + s.paint(ink, strings.Repeat("^", to-from)))
		used = to
	}
	return b.String()
}

// DiagGitHub writes each problem as a workflow command, which a GitHub runner shows at its line in the
// pull request: ::error file=…,line=…,col=…::what is wrong. The runner itself shows the first ten of
// each kind. The error is that of w.
func DiagGitHub(w io.Writer, l diag.List) error {
	b := bufio.NewWriter(w)
	for _, p := range sortedProblems(l) {
		b.WriteString("::" + p.Severity.String())
		properties := properties(p)
		if properties != "" {
			b.WriteString(" " + properties)
		}
		b.WriteString("::" + show.CommandData(p.Summary) + "\n")
	}
	return b.Flush()
}

func properties(p diag.Problem) string {
	var parts []string
	if p.Pos.File != "" {
		parts = append(parts, "file="+show.CommandProperty(p.Pos.File))
	}
	if p.Pos.Line > 0 {
		parts = append(parts, fmt.Sprintf("line=%d", p.Pos.Line))
	}
	if p.Pos.Column > 0 {
		parts = append(parts, fmt.Sprintf("col=%d", p.Pos.Column))
	}
	if p.Address != "" {
		parts = append(parts, "title="+show.CommandProperty(p.Address))
	}
	return strings.Join(parts, ",")
}

// DiagMarkdown writes l as a comment for a pull request: a marker, a count and a table, never more
// than MarkdownOptions.MaxChars. The error is that of w.
func DiagMarkdown(w io.Writer, l diag.List, o MarkdownOptions) error {
	l = sortedProblems(l)
	var b strings.Builder
	b.WriteString(o.documentHead("validate", problemCount(l)))
	left := o.maxChars() - closingRoom - show.Units(b.String())
	if len(l) > 0 {
		b.WriteString("| | where | what |\n|---|---|---|\n")
	}
	for i, p := range l {
		where := ""
		if !p.Pos.IsZero() {
			where = o.placeLink(p.Pos)
		}
		row := fmt.Sprintf("| %s | %s | %s |\n", p.Severity, where, clippedCode(p.Summary, 500))
		if left -= show.Units(row); left < 0 {
			b.WriteString(leftOutHead + diag.Plural(len(l)-i, "problem") + ".\n")
			break
		}
		b.WriteString(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// FailureMarkdown writes a command that failed before it had a result: the message, and what to do about it.
func FailureMarkdown(w io.Writer, message, hint string) error {
	var b strings.Builder
	b.WriteString("### agentsync: failed\n\n")
	for _, text := range []string{message, hint} {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				b.WriteString("- " + clippedCode(line, 500) + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DiagJSON writes l as one JSON document as schema/diagnostics.schema.json describes it. The error is
// that of w.
func DiagJSON(w io.Writer, l diag.List) error {
	l = sortedProblems(l)
	doc := diagDoc{FormatVersion: FormatVersion, Valid: !l.HasErrors(), Diagnostics: problemDocs(l)}
	doc.Summary.Errors, doc.Summary.Warnings = l.Count()
	if doc.Diagnostics == nil {
		doc.Diagnostics = []problemDoc{}
	}
	return show.JSON(w, doc)
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
	diag.Pos
	Summary string `json:"summary"`
	Address string `json:"address,omitempty"`
}

func problemDocs(l diag.List) []problemDoc {
	var docs []problemDoc
	for _, p := range l {
		docs = append(docs, problemDoc{p.Severity.String(), p.Pos, p.Summary, p.Address})
	}
	return docs
}

// ErrorJSON writes the one document that a command with --format json leaves on stdout when it fails
// before it has a result, with the problems of the manifests where they are the reason. All three
// published output schemas allow it. The error is that of w.
func ErrorJSON(w io.Writer, message, hint string, exitCode int, problems diag.List) error {
	return show.JSON(w, errorDoc{FormatVersion, errorBody{message, hint, exitCode},
		problemDocs(sortedProblems(problems))})
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
