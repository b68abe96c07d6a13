package report

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"

	"agentsync/internal/diag"
)

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
		s.width += Cells(text)
	}
	hidden := l.Hidden
	for at, state := 0, -1; at < len(l.Text); {
		if len(hidden) > 0 && at >= hidden[0][0] {
			end := min(max(hidden[0][1], at+1), len(l.Text))
			add(hiddenText, at, len([]rune(l.Text[at:end])))
			hidden, at, state = hidden[1:], end, -1
			continue
		}
		var cluster string
		cluster, _, _, state = uniseg.FirstGraphemeClusterInString(l.Text[at:], state)
		if len(hidden) > 0 && at+len(cluster) > hidden[0][0] {
			cluster = l.Text[at:hidden[0][0]]
		}
		text := Sanitize(cluster)
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
		if passed += c.characters; passed < character {
			continue
		}
		to = c.column + max(1, Cells(c.text))
		for _, next := range s.cells[i+1:] {
			if next.from >= c.from+token || next.text == hiddenText {
				break
			}
			to = next.column + Cells(next.text)
		}
		return c.column, to
	}
	return s.width, s.width + 1
}

// window returns the line as it fits into width columns, cut around the column at, and by how many columns it is shifted.
func (s shownLine) window(at, width int) (text string, shift int) {
	if s.width <= width {
		return s.text(0, len(s.cells)), 0
	}
	room := max(width-2, 1) // beside an ellipsis at each end
	left := max(0, min(at-room/3, s.width-room))
	first := 0
	for first < len(s.cells)-1 && s.cells[first].column < left {
		first++
	}
	last := first
	for last < len(s.cells) && s.cells[last].column+Cells(s.cells[last].text)-s.cells[first].column <= room {
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

// excerpt writes the line of problems that share it, with a caret below each place. It writes nothing where the line
// cannot be shown.
func (s Style) excerpt(b *strings.Builder, problems diag.List) {
	width := max(s.Width-excerptMargin-1, 10)
	for len(problems) > 0 {
		line, ok := s.Source(problems[0].Pos)
		if !ok {
			return
		}
		shown := showLine(line)
		from, _ := shown.columns(problems[0].Pos.Column, line.Token)
		text, shift := shown.window(from, width)
		b.WriteString(strings.TrimRight(s.paint(dim, fmt.Sprintf("%5d │", problems[0].Pos.Line))+" "+text, " ") + "\n")
		n := len(problems)
		if shown.width > width {
			n = 1 // another place may be where this one's line is cut
		}
		if carets := s.carets(shown, problems[:n], shift, Cells(text)); carets != "" {
			b.WriteString(s.paint(dim, "      │") + " " + carets + "\n")
		}
		problems = problems[n:]
	}
}

// carets returns the line below a line: carets below the places of problems.
func (s Style) carets(shown shownLine, problems diag.List, shift, width int) string {
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
