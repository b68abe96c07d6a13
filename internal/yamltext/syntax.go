package yamltext

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// syntaxError is what is known of a file that is no YAML. The parser names a line in its message, at
// times a wrong one, and never a column; how far it had read when it gave up says more.
type syntaxError struct {
	src     []byte
	index   *Lines
	secret  []string // names whose values are not shown
	line    int      // from the message, 0 where it names none
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
	{"directive", (*syntaxError).directive},
	{"incompatible YAML", (*syntaxError).directive},
	{"version number", (*syntaxError).directive},
	{"digit or '.'", (*syntaxError).directive},
	{"non-alphabetical", (*syntaxError).directive},
	{"indentation indicator", (*syntaxError).indentZero},
	{"tab character", (*syntaxError).strayTab},
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
	// Where git left both sides, any other sentence would send its reader to a line that somebody wrote rightly.
	if at := conflictMarker.FindIndex(e.src); at != nil {
		return at[0],
			"git left a merge conflict here; keep one side, or parts of both, and take out the lines of <, = and >"
	}
	e.reached = bytesRead(e.src)
	if offset, ok := e.unclosedQuote(); ok {
		return offset, "this quote is not closed on its line; close it"
	}
	for _, find := range []func(*syntaxError) (int, string, bool){
		(*syntaxError).oddSpace, (*syntaxError).flatText, (*syntaxError).missingBlank,
	} {
		if offset, sentence, ok := find(e); ok {
			return offset, sentence
		}
	}
	for _, r := range syntaxRules {
		if strings.Contains(e.message, r.message) {
			return r.explain(e)
		}
	}
	return e.stuckLine(), "this is not valid YAML: " + diag.Clip(e.message)
}

// conflictMarker finds the line with which git begins the two sides of a conflict.
var conflictMarker = regexp.MustCompile(`(?m)^<{7}(?: |\r?$)`)

// bytesRead parses src byte by byte and returns how many bytes were read when the parser gave up.
func bytesRead(src []byte) int {
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

// eachLineAbove calls visit with the stuck line and the two above it, the last first, until it returns true.
func (e *syntaxError) eachLineAbove(visit func(start int, line []byte) bool) {
	at := e.stuckLine()
	for range 3 {
		start, end := e.lineAt(at)
		if visit(start, bytes.TrimRight(e.src[start:end], "\r")) || start == 0 {
			return
		}
		at = start - 1
	}
}

// oddSpaceForm finds a space that is none to YAML where people mean one: in front of a line, behind a dash, a colon
// or a quote.
var oddSpaceForm = regexp.MustCompile(`(?:^[ \t]*|^[ \t]*-[ \t]*|:[ \t]*|["'\]}])` +
	`([\x{a0}\x{1680}\x{2000}-\x{200b}\x{202f}\x{205f}\x{3000}\x{feff}])`)

func (e *syntaxError) oddSpace() (offset int, sentence string, ok bool) {
	e.eachLineAbove(func(start int, line []byte) bool {
		m := oddSpaceForm.FindSubmatchIndex(line)
		if m == nil {
			return false
		}
		r, _ := utf8.DecodeRune(line[m[2]:])
		offset, ok = start+m[2], true
		sentence = fmt.Sprintf("here is %s, which is no blank to YAML; write a plain space", OddSpaceName(r))
		return true
	})
	return offset, sentence, ok
}

// OddSpaceName names a character that looks like a space, or like nothing, and is no blank to YAML; it is empty for any
// other.
func OddSpaceName(r rune) string {
	switch {
	case r == 0xa0 || r == 0x202f || r == 0x2007:
		return fmt.Sprintf("a no-break space (%U)", r)
	case r == 0x200b || r == 0xfeff:
		return fmt.Sprintf("an invisible space (%U)", r)
	case r == 0x1680 || r >= 0x2000 && r <= 0x200a || r == 0x205f || r == 0x3000:
		return fmt.Sprintf("a space of another kind (%U)", r)
	}
	return ""
}

// blockHead is a line that ends with the head of a block text.
var blockHead = regexp.MustCompile(`^([ ]*(?:- +)*)\S.*[:\-][ \t]+[|>][-+0-9]*[ \t]*(?:#.*)?$`)

// flatText finds a text below | that is not indented.
func (e *syntaxError) flatText() (offset int, sentence string, ok bool) {
	candidates := []int{e.stuckLine()}
	if e.line > 0 {
		candidates = append(candidates, e.firstOfLine(e.line))
	}
	for _, text := range candidates {
		start, _ := e.lineAt(text)
		above := bytes.TrimRight(e.src[:start], " \t\r\n") // blank lines may stand between
		head, end := e.lineAt(len(above))
		if m := blockHead.FindSubmatch(bytes.TrimRight(e.src[head:end], "\r")); m != nil && text-start <= len(m[1]) {
			return text, "the text of the line above begins here and is not indented; indent it deeper than its key",
				true
		}
	}
	return 0, "", false
}

// noBlank finds a key whose colon, or a dash, touches what follows.
var noBlank = regexp.MustCompile(`^[ ]*(?:- +)?(?:([A-Za-z][\w.-]*):([^\s/:][^:]*)|-([^\s-].*))$`)

func (e *syntaxError) missingBlank() (offset int, sentence string, ok bool) {
	e.eachLineAbove(func(start int, line []byte) bool {
		m := noBlank.FindSubmatchIndex(line)
		switch {
		case m == nil:
			return false
		case m[2] >= 0:
			offset = start + m[4]
			sentence = fmt.Sprintf("a blank is missing behind the colon; write `%s: %s`", line[m[2]:m[3]],
				e.shown(offset, start+m[5]))
		default:
			offset = start + m[6]
			sentence = fmt.Sprintf("a blank is missing behind the dash; write `- %s`", e.shown(offset, start+m[7]))
		}
		ok = true
		return true
	})
	return offset, sentence, ok
}

// shown returns a stretch of the text for a sentence, … where it may hold a credential.
func (e *syntaxError) shown(from, to int) string {
	if HiddenIn(e.src, nil, e.secret...).In(from, to) != nil {
		return "…"
	}
	return diag.Clip(string(e.src[from:to]))
}

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

// firstOfLine returns the first character of the line that the message names.
func (e *syntaxError) firstOfLine(line int) int { return e.firstOn(e.index.Offset(line, 1)) }

// lastOf returns the last place of any of chars among the bytes read, and whether there is one.
func (e *syntaxError) lastOf(chars string) (int, bool) {
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
			if bytesRead(mended) > e.reached+1 {
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
		start, end := e.lineAt(e.index.Offset(e.line, 1))
		if m := opensQuote.FindSubmatchIndex(bytes.TrimRight(e.src[start:end], "\r")); m != nil {
			return start + m[2], "this quote is never closed; close it"
		}
	}
	i, _ := e.lastOf(`"'`)
	return i, "a quote is never closed; close it"
}

// The rules of syntaxRules: each finds where its message comes from and says it plainly.

func (e *syntaxError) strayTab() (int, string) {
	i, _ := e.lastOf("\t")
	start, _ := e.lineAt(i)
	if lead := bytes.IndexByte(e.src[start:i+1], '\t'); len(bytes.TrimLeft(e.src[start:i+1], " \t")) == 0 && lead >= 0 {
		i = start + lead
	}
	lead := bytes.TrimLeft(e.src[start:i], " ")
	if head := start - 1; head > 0 && len(lead) == 0 {
		above, end := e.lineAt(head)
		if m := blockHead.FindSubmatch(bytes.TrimRight(e.src[above:end], "\r")); m != nil && i-start > len(m[1]) {
			return i, fmt.Sprintf("this text begins with a tab, which could be its indentation; write |%d in place of | on "+
				"the line above", i-start-len(m[1]))
		}
	}
	return i, "a tab stands where YAML wants spaces; indent with spaces"
}

func (e *syntaxError) badStart() (int, string) {
	i, ok := e.lastOf("\t@`%")
	switch {
	case !ok:
		return e.stuckLine(), "a value cannot begin like this; put it in quotes"
	case e.src[i] == '\t':
		return e.strayTab()
	default:
		return i, fmt.Sprintf("a value cannot begin with %c; put it in quotes", e.src[i])
	}
}

var anchorForm = regexp.MustCompile(`&([\w-]+)`)

func (e *syntaxError) unknownAnchor() (int, string) {
	_, name, _ := strings.Cut(e.message, "'")
	name, _, _ = strings.Cut(name, "'")
	offset := e.stuckLine()
	for i := 0; ; {
		k := bytes.Index(e.src[i:], []byte("*"+name))
		if k < 0 {
			break
		}
		i += k
		if after := i + 1 + len(name); (i == 0 || bytes.IndexByte([]byte(" \t\n[{,"), e.src[i-1]) >= 0) &&
			(after == len(e.src) || bytes.IndexByte([]byte(" \t\r\n]},:"), e.src[after]) >= 0) {
			offset = i
			break
		}
		i++
	}
	var anchors []string
	for _, m := range anchorForm.FindAllSubmatch(e.src[:offset], 1000) {
		anchors = append(anchors, "*"+string(m[1]))
	}
	return offset, fmt.Sprintf("there is no anchor &%s above this alias%s", diag.Clip(name),
		diag.DidYouMean("*"+name, anchors))
}

func (e *syntaxError) badAnchor() (int, string) {
	i, ok := e.lastOf("*&")
	if !ok {
		return e.stuckLine(), "an anchor's name is letters, digits, - and _"
	}
	for i > 0 && e.src[i-1] == e.src[i] {
		i--
	}
	if e.src[i] == '*' {
		return i, "a value that begins with * is read as an alias; put it in quotes"
	}
	return i, "a value that begins with & is read as an anchor; put it in quotes"
}

func (e *syntaxError) controlCharacter() (int, string) {
	for i, n := 0, 0; i < len(e.src); i += n {
		var r rune
		r, n = utf8.DecodeRune(e.src[i:])
		if unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\u0085", r) || r == '\ufffe' || r == '\uffff' {
			return i, fmt.Sprintf("the control character %U cannot stand here; take it out, or write it as an escape in "+
				"double quotes", r)
		}
	}
	return e.stuckLine(), "a control character cannot stand here; take it out"
}

// halfCharacter is an escape of one UTF-16 unit that is no character by itself.
var halfCharacter = regexp.MustCompile(`^\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)

func (e *syntaxError) badEscape() (int, string) {
	i, _ := e.lastOf(`\`)
	if half := halfCharacter.Find(e.src[i:]); half != nil {
		return i, fmt.Sprintf(`%s is one half of a character; write both halves, or the character itself`, half)
	}
	_, n := utf8.DecodeRune(e.src[min(i+1, len(e.src)-1):])
	switch digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[e.src[min(i+1, len(e.src)-1)]]; {
	case digits > 0:
		return i, fmt.Sprintf(`\%c needs %d hexadecimal digits behind it; write \\ for a backslash that is text`,
			e.src[i+1],
			digits)
	}
	return i, fmt.Sprintf(`%s is no escape that YAML knows in double quotes; write \\ for a backslash that is text`,
		diag.Clip(string(e.src[i:min(i+1+n, len(e.src))])))
}

func (e *syntaxError) secondColon() (int, string) {
	i, _ := e.lastOf(":")
	start, _ := e.lineAt(i)
	first := bytes.Index(e.src[start:i], []byte(": "))
	if first < 0 {
		return e.firstOn(i),
			"this line is indented deeper than the one above, which has a value already; line up the " +
				"keys of one mapping"
	}
	value := start + first + 2
	for value < i && e.src[value] == ' ' {
		value++
	}
	return value, "this value holds a colon and a space, which begins a mapping; put the value in quotes"
}

func (e *syntaxError) noColon() (int, string) {
	offset := e.stuckLine()
	if e.line > 0 {
		offset = e.firstOfLine(e.line)
	}
	return offset, "a colon is missing: a line of a mapping is `key: value`"
}

func (e *syntaxError) openBracket() (int, string) {
	open, offset := '[', e.stuckLine()
	if strings.Contains(e.message, "'}'") {
		open = '{'
	}
	// The parser names the line before the one on which the bracket stands.
	start, end := e.lineAt(e.index.Offset(e.line+1, 1))
	if i := bytes.LastIndexByte(e.src[start:min(end, max(e.reached, start))], byte(open)); i >= 0 {
		offset = start + i
	}
	return offset, fmt.Sprintf("the %c that opens here is not closed, or a comma is missing behind it", open)
}

// directiveLine finds a line that YAML reads as a directive.
var directiveLine = regexp.MustCompile(`(?m)^%`)

func (e *syntaxError) directive() (int, string) {
	at := directiveLine.FindIndex(e.src)
	if at == nil {
		return e.stuckLine(), "this is not valid YAML: " + diag.Clip(e.message)
	}
	return at[0], "a line that begins with % is a directive, which a manifest does not need; take it out"
}

func (e *syntaxError) indentZero() (int, string) {
	i, _ := e.lastOf("|>")
	return i, fmt.Sprintf("the digit behind %c says how deep the text is indented, 1 to 9; leave it out", e.src[i])
}

func (e *syntaxError) inlineDash() (int, string) {
	i, _ := e.lastOf("-")
	return i, "a list cannot begin here; write it on the lines below, or as [a, b]"
}

func (e *syntaxError) blockHeader() (int, string) {
	i, ok := e.lastOf("|>")
	if !ok {
		return e.stuckLine(), "this line holds something that YAML does not expect"
	}
	return i, fmt.Sprintf("text after %c begins on the next line; put a value that begins with %c in quotes", e.src[i],
		e.src[i])
}

func (e *syntaxError) tooDeep() (int, string) {
	return min(e.reached, len(e.src)), "values are nested far too deep here"
}

func (e *syntaxError) badTag() (int, string) {
	i, ok := e.lastOf("!")
	if !ok {
		return e.stuckLine(), "this is not valid YAML: " + diag.Clip(e.message)
	}
	for i > 0 && e.src[i-1] == '!' {
		i--
	}
	return i, "a value that begins with ! is read as a tag; put it in quotes"
}

func (e *syntaxError) noDash() (int, string) {
	if offset, ok := e.textAfterQuote(); ok {
		return offset, afterQuote
	}
	return e.stuckLine(), "this line lines up with nothing above it; line it up with the keys that it belongs to, or " +
		"begin it with `- `"
}

func (e *syntaxError) badIndent() (int, string) {
	if offset, ok := e.textAfterQuote(); ok {
		return offset, afterQuote
	}
	return e.stuckLine(),
		"this line does not fit what stands above it; line up the keys of one mapping, and put text " +
			"with special characters in quotes"
}

// afterQuoteForm finds text behind a closed quote.
var afterQuoteForm = regexp.MustCompile(`[:\-]\s+(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*([^\s#:,\]}])`)

const afterQuote = "text follows a closed quote; put the whole value in quotes"

func (e *syntaxError) textAfterQuote() (int, bool) {
	start, end := e.lineAt(e.stuckLine())
	if m := afterQuoteForm.FindSubmatchIndex(e.src[start:end]); m != nil {
		return start + m[2], true
	}
	return 0, false
}

func (e *syntaxError) noContent() (int, string) {
	if i, ok := e.lastOf("[{"); ok && e.reached >= len(e.src) {
		return i, fmt.Sprintf("the %c that opens here is not closed", e.src[i])
	}
	return e.stuckLine(), "a value is missing on this line"
}
