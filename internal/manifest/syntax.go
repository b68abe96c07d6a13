package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// syntaxError is what is known of a file that is no YAML. The parser names a line in its message, at
// times a wrong one, and never a column; how far it had read when it gave up says more.
type syntaxError struct {
	src     []byte
	index   *lineIndex
	line    int // from the message, 0 where it names none
	message string
	reached int // bytes read when the parser gave up, a few more than it had looked at
}

// syntaxRule turns one of the parser's messages into a place and a sentence.
type syntaxRule struct {
	message string // what the parser's message holds
	explain func(e *syntaxError) (offset int, sentence string)
}

// syntaxRules are tried in order. The first that matches explains.
var syntaxRules = []syntaxRule{
	{"tab character", (*syntaxError).tab},
	{"cannot start any token", (*syntaxError).badStart},
	{"unknown anchor", (*syntaxError).unknownAnchor},
	{"expected alphabetic or numeric", (*syntaxError).badAnchor},
	{"control characters", (*syntaxError).controlCharacter},
	{"escape", (*syntaxError).badEscape},
	{"hexdecimal", (*syntaxError).badEscape},
	{"unexpected end of stream", (*syntaxError).openQuote},
	{"unexpected document indicator", (*syntaxError).openQuote},
	{"mapping values are not allowed", (*syntaxError).secondColon},
	{"could not find expected ':'", (*syntaxError).noColon},
	{"expected ',' or", (*syntaxError).openBracket},
	{"block sequence entries", (*syntaxError).inlineDash},
	{"expected comment or line break", (*syntaxError).blockHeader},
	{"max depth", (*syntaxError).tooDeep},
	{"tag", (*syntaxError).badTag},
	{"'>'", (*syntaxError).badTag},
	{"expected whitespace or line break", (*syntaxError).badTag},
	{"'-' indicator", (*syntaxError).noDash},
	{"expected key", (*syntaxError).badIndent},
	{"document start", (*syntaxError).badIndent},
	{"node content", (*syntaxError).noContent},
}

func (e *syntaxError) explain() (int, string) {
	e.reached = reach(e.src)
	if offset, ok := e.unclosedQuote(); ok {
		return offset, "this quote is not closed on its line; close it"
	}
	for _, r := range syntaxRules {
		if strings.Contains(e.message, r.message) {
			return r.explain(e)
		}
	}
	return e.stuckLine(), "this is not valid YAML: " + clip(e.message)
}

// reach parses src byte by byte and returns how many bytes were read when the parser gave up.
func reach(src []byte) int {
	r := bytes.NewReader(src)
	dec := yaml.NewDecoder(byteReader{r})
	for {
		if _, err := nextDocument(dec); err != nil {
			if errors.Is(err, io.EOF) {
				return len(src) + 1
			}
			return len(src) - r.Len()
		}
	}
}

// byteReader gives one byte at a time, so that nothing is read ahead of the parser.
type byteReader struct{ r io.Reader }

func (b byteReader) Read(p []byte) (int, error) { return b.r.Read(p[:min(1, len(p))]) }

// lineAt returns the start and end of the line that holds offset.
func (e *syntaxError) lineAt(offset int) (start, end int) {
	offset = min(offset, len(e.src))
	start = bytes.LastIndexByte(e.src[:offset], '\n') + 1
	if i := bytes.IndexByte(e.src[offset:], '\n'); i >= 0 {
		return start, offset + i
	}
	return start, len(e.src)
}

// firstOn returns the first character on the line that holds offset which is no blank.
func (e *syntaxError) firstOn(offset int) int {
	start, end := e.lineAt(offset)
	for start < end && (e.src[start] == ' ' || e.src[start] == '\t') {
		start++
	}
	return start
}

// stuckLine returns the first character of the line that the parser had come to.
func (e *syntaxError) stuckLine() int {
	read := bytes.TrimRight(e.src[:min(e.reached, len(e.src))], " \t\r\n")
	return e.firstOn(len(read))
}

// named returns the first character of the line that the message names.
func (e *syntaxError) named(line int) int { return e.firstOn(e.index.offset(line, 1)) }

// last returns the last place of any of chars among the bytes read, and whether there is one.
func (e *syntaxError) last(chars string) (int, bool) {
	i := bytes.LastIndexAny(e.src[:min(e.reached, len(e.src))], chars)
	return max(i, 0), i >= 0
}

// opensQuote finds a value on a line that begins with a quote which the line does not close.
var opensQuote = regexp.MustCompile(`(?:^|[:\-\[,{?]\s|[\[{,])\s*("(?:[^"\\]|\\.)*$|'[^']*(?:''[^']*)*$)`)

// unclosedQuote finds the quote whose closing at its line's end takes the parser further: such a
// quote runs on to the next one, and the message is about what stands behind that.
func (e *syntaxError) unclosedQuote() (int, bool) {
	end := min(e.reached, len(e.src))
	for tries := 0; tries < 3 && end > 0; {
		start, stop := e.lineAt(end)
		line := bytes.TrimRight(e.src[start:stop], "\r")
		if m := opensQuote.FindSubmatchIndex(line); m != nil {
			quote := start + m[2]
			at := start + len(line)
			mended := bytes.Join([][]byte{e.src[:at], e.src[quote : quote+1], e.src[at:]}, nil)
			if reach(mended) > e.reached+1 {
				return quote, true
			}
			tries++
		}
		if end = start - 1; e.reached-end > 64<<10 {
			break // what is further up is not what a reader would look at
		}
	}
	return 0, false
}

func (e *syntaxError) openQuote() (int, string) {
	if e.line > 0 {
		start, end := e.lineAt(e.index.offset(e.line, 1))
		if m := opensQuote.FindSubmatchIndex(bytes.TrimRight(e.src[start:end], "\r")); m != nil {
			return start + m[2], "this quote is never closed; close it"
		}
	}
	i, _ := e.last(`"'`)
	return i, "a quote is never closed; close it"
}
