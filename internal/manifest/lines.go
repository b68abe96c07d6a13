package manifest

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"agentsync/internal/diag"
)

// lineIndex turns byte offsets of a text into lines and columns and back. It is built only where
// something is wrong with a file.
type lineIndex struct {
	src    []byte
	starts []int // where each line begins
}

// utf8Mark may begin a UTF-8 file; it is not counted as a column.
const utf8Mark = "\ufeff"

func newLineIndex(src []byte) *lineIndex {
	x := &lineIndex{src: src, starts: []int{0}}
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

// pos returns the place of the byte at offset.
func (x *lineIndex) pos(path string, offset int) diag.Pos {
	offset = min(offset, len(x.src))
	line, found := slices.BinarySearch(x.starts, offset)
	if !found {
		line = max(line-1, 0)
	}
	start := min(x.starts[line], offset)
	return diag.Pos{File: path, Line: line + 1, Column: 1 + utf8.RuneCount(x.src[start:offset])}
}

// offset returns where a place is, the end of its line or of the text where there is no such place.
func (x *lineIndex) offset(line, column int) int {
	if line > len(x.starts) {
		return len(x.src)
	}
	offset := x.starts[max(line, 1)-1]
	for ; column > 1 && offset < len(x.src) && x.src[offset] != '\n'; column-- {
		_, n := utf8.DecodeRune(x.src[offset:])
		offset += n
	}
	return offset
}

// rest returns the line from offset on, without its end.
func (x *lineIndex) rest(offset int) []byte {
	line := x.src[offset:]
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		return line[:i]
	}
	return line
}
