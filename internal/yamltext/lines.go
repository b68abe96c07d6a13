package yamltext

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"agentsync/internal/diag"
)

// Lines turns byte offsets of a text into lines and columns and back. It is built only where
// something is wrong with a file, and used by one goroutine.
type Lines struct {
	src    []byte
	starts []int // where each line begins
	// last is the place that was asked for last. Places are mostly asked for in the order of the text, and
	// counting goes on from there: a file may be one line of 32 MiB.
	last knownPlace
}

// knownPlace is an offset with its line and column, both counted from 0.
type knownPlace struct{ line, offset, column int }

// utf8Mark may begin a UTF-8 file; it is not counted as a column.
const utf8Mark = "\ufeff"

// NewLines returns the Lines of src.
func NewLines(src []byte) *Lines {
	x := &Lines{src: src, starts: []int{0}, last: knownPlace{line: -1}}
	if bytes.HasPrefix(src, []byte(utf8Mark)) {
		x.starts[0] = len(utf8Mark)
	}
	for i := 0; ; {
		n := bytes.IndexByte(src[i:], '\n')
		if n < 0 {
			return x
		}
		i += n + 1
		x.starts = append(x.starts, i)
	}
}

// Pos returns the place of the byte at offset.
func (x *Lines) Pos(path string, offset int) diag.Pos {
	offset = min(offset, len(x.src))
	line, found := slices.BinarySearch(x.starts, offset)
	if !found {
		line = max(line-1, 0)
	}
	from := x.last
	if from.line != line || from.offset > offset {
		from = knownPlace{line: line, offset: min(x.starts[line], offset)}
	}
	x.last = knownPlace{line: line, offset: offset, column: from.column + utf8.RuneCount(x.src[from.offset:offset])}
	return diag.Pos{File: path, Line: line + 1, Column: 1 + x.last.column}
}

// Offset returns where a place is, the end of its line or of the text where there is no such place.
func (x *Lines) Offset(line, column int) int {
	if line > len(x.starts) {
		return len(x.src)
	}
	at := x.last
	if line, column = max(line-1, 0), column-1; at.line != line || at.column > column {
		at = knownPlace{line: line, offset: x.starts[line]}
	}
	for ; at.column < column && at.offset < len(x.src) && x.src[at.offset] != '\n'; at.column++ {
		_, n := utf8.DecodeRune(x.src[at.offset:])
		at.offset += n
	}
	x.last = at
	return at.offset
}

// Rest returns the line from offset on, without its end.
func (x *Lines) Rest(offset int) []byte {
	line := x.src[offset:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		return line[:i]
	}
	return line
}
