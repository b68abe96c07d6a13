package secret

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"html"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Finder finds secrets in text that somebody else wrote: an answer, an error, a header. Servers echo what they
// were sent in many spellings, so both sides are compared in one normal form: JSON's and JavaScript's escapes, %2f,
// +, HTML's entities, one in the other, are decoded until nothing changes; letters are folded; white space is left
// out. A secret counts in base64, at each of its three offsets, and in hexadecimal as well. It is safe for
// concurrent use; the nil Finder finds nothing.
type Finder struct {
	short  []string            // normal forms that are shorter than a gram, and are found as a whole
	starts map[uint64][]string // normal forms by their first gram
	grams  map[uint64]bool     // every gram of them; nil where only whole ones count
	quick  quickFilter
}

const (
	// gramLength is from how many characters on a part of a secret is a secret itself.
	gramLength = 8
	// minShort is below how many characters a secret cannot be told from other text.
	minShort = 3
)

// Whole returns a Finder of whole secrets, and of the words in them that have eight characters or more: of
// "Bearer abc…" a server may echo the part behind the space. It is for many secrets.
func Whole(secrets ...string) *Finder { return newFinder(secrets, false) }

// Parts returns a Finder that also finds eight characters or more of a secret. It is for a few secrets.
func Parts(secrets ...string) *Finder { return newFinder(secrets, true) }

func newFinder(secrets []string, parts bool) *Finder {
	f := &Finder{starts: map[uint64][]string{}}
	if parts {
		f.grams = map[uint64]bool{}
	}
	for _, s := range secrets {
		whole := normalForm(s)
		if len(whole) >= minShort && len(whole) < gramLength {
			f.short = append(f.short, string(whole))
		}
		words := strings.Fields(s)
		if len(words) > 1 {
			words = append(words, s)
		}
		for _, w := range words {
			f.addSpelling(w)
			if len(w) < gramLength {
				continue // what is encoded of a few characters is found in any text
			}
			f.addSpelling(hex.EncodeToString([]byte(w)))
			for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				for offset := range 3 {
					f.addSpelling(inBase64(coding, w, offset))
				}
			}
		}
	}
	return f
}

// addSpelling makes the Finder find a spelling.
func (f *Finder) addSpelling(spelling string) {
	form := normalForm(spelling)
	if len(form) < gramLength {
		return
	}
	first := gramAt(form, 0)
	if slices.Contains(f.starts[first], string(form)) {
		return
	}
	f.starts[first] = append(f.starts[first], string(form))
	f.quick.addForm(spelling)
	for i := 0; f.grams != nil && i+gramLength <= len(form); i++ {
		if g := gramAt(form, i); g != commonGram {
			f.grams[g] = true
		}
	}
}

// commonGram is no part of a secret, though secrets may be URLs.
var commonGram = gramAt([]byte("https://"), 0)

func gramAt(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+gramLength]) }

// inBase64 returns the characters that every base64 text has which holds s behind offset bytes more, modulo 3.
func inBase64(coding *base64.Encoding, s string, offset int) string {
	encoded := coding.EncodeToString(append(make([]byte, offset), s...))
	first := (offset*8 + 5) / 6 // the first character that holds bits of s alone
	last := (offset + len(s)) * 8 / 6
	return encoded[first:last]
}

// In reports whether a secret stands in text, of eight characters or more.
func (f *Finder) In(text string) bool {
	if f == nil || len(f.starts) == 0 || !f.quick.mayHold(text) {
		return false
	}
	n := normalForm(text)
	for i := 0; i+gramLength <= len(n); i++ {
		if f.longestAt(n, i) > 0 {
			return true
		}
	}
	return false
}

// longestAt returns the length of the longest form that stands in n at i, or 0.
func (f *Finder) longestAt(n []byte, i int) int {
	length := 0
	for _, form := range f.starts[gramAt(n, i)] {
		if len(form) > length && len(n)-i >= len(form) && string(n[i:i+len(form)]) == form {
			length = len(form)
		}
	}
	return length
}

// Hide returns text with the placeholder in place of each secret.
func (f *Finder) Hide(text string) string {
	if f == nil || len(f.short) == 0 && len(f.starts) == 0 {
		return text
	}
	n, from, to := normalWithPlaces(text)
	hit := make([]bool, len(n))
	strike := func(i, length int) {
		for j := i; j < i+length; j++ {
			hit[j] = true
		}
	}
	for i := range n {
		for _, s := range f.short {
			if string(n[i:min(i+len(s), len(n))]) == s {
				strike(i, len(s))
			}
		}
		if i+gramLength <= len(n) {
			strike(i, f.longestAt(n, i))
			if f.grams[gramAt(n, i)] {
				strike(i, gramLength)
			}
		}
	}
	var b strings.Builder
	shown := 0 // of text
	for i := 0; i < len(n); i++ {
		if !hit[i] {
			continue
		}
		last := i
		for last+1 < len(n) && hit[last+1] {
			last++
		}
		b.WriteString(text[shown:from[i]])
		b.WriteString(Placeholder)
		shown, i = to[last], last
	}
	b.WriteString(text[shown:])
	return b.String()
}

// normalForm returns the normal form of text.
func normalForm(text string) []byte {
	n, _, _ := normalWithPlaces(text)
	return n
}

// leftOut reports whether c is no part of a normal form.
func leftOut(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '+' }

// maxRounds bounds how often one coding may stand in another.
const maxRounds = 6

// normalWithPlaces also returns where in text each byte of the normal form begins and ends.
func normalWithPlaces(text string) (n []byte, from, to []int) {
	n, from, to = decodeAll(text)
	out := 0
	for i, c := range n {
		if !leftOut(c) {
			n[out], from[out], to[out] = c, from[i], to[i]
			out++
		}
	}
	return n[:out], from[:out], to[:out]
}

// decodeAll decodes text until nothing changes, and folds it.
func decodeAll(text string) (n []byte, from, to []int) {
	n, from, to = []byte(text), make([]int, len(text)), make([]int, len(text))
	for i := range n {
		from[i], to[i] = i, i+1
	}
	for range maxRounds {
		foldCase(n) // before decoding as well: \U and &AMP; are escapes in upper case
		out, changed := 0, false
		for i := 0; i < len(n); {
			decoded, length := decodeOne(n[i:])
			if length == 0 {
				n[out], from[out], to[out] = n[i], from[i], to[i]
				out++
				i++
				continue
			}
			first, last := from[i], to[i+length-1]
			for j := range len(decoded) { // never longer than what it was decoded from
				n[out], from[out], to[out] = decoded[j], first, last
				out++
			}
			i += length
			changed = true
		}
		n, from, to = n[:out], from[:out], to[:out]
		if !changed {
			break
		}
	}
	foldCase(n)
	return n, from, to
}

func foldCase(n []byte) {
	for i, c := range n {
		if c >= 'A' && c <= 'Z' {
			n[i] = c | 0x20
		}
	}
}

// decodeOne decodes the escape that b begins with, and returns how long that is, 0 where there is none.
func decodeOne(b []byte) (decoded string, length int) {
	switch {
	case len(b) < 2:
		return "", 0
	case b[0] == '%' && len(b) > 2:
		if v, ok := hexByte(b[1], b[2]); ok {
			return string([]byte{v}), 3
		}
	case b[0] == '&':
		if end := slices.Index(b[:min(len(b), 12)], ';'); end > 0 {
			if s := html.UnescapeString(string(b[:end+1])); len(s) <= end && s != string(b[:end+1]) {
				return s, end + 1
			}
		}
	case b[0] == '\\':
		return decodeBackslash(b)
	}
	return "", 0
}

func decodeBackslash(b []byte) (decoded string, length int) {
	switch c := b[1]; {
	case strings.IndexByte(`/"'\`, c) >= 0:
		return string(rune(c)), 2
	case strings.IndexByte("nrtbf", c) >= 0:
		return " ", 2
	case c == 'x' && len(b) > 3:
		if v, ok := hexByte(b[2], b[3]); ok {
			return string([]byte{v}), 4
		}
	case c == 'u' && len(b) > 5:
		high, ok1 := hexByte(b[2], b[3])
		low, ok2 := hexByte(b[4], b[5])
		if ok1 && ok2 {
			if r := rune(high)<<8 | rune(low); utf8.ValidRune(r) {
				return string(r), 6
			}
		}
	}
	return "", 0
}

func hexByte(a, b byte) (byte, bool) {
	var v [1]byte
	_, err := hex.Decode(v[:], []byte{a, b})
	return v[0], err == nil
}

// quickFilter tells, at a glance at each byte, most text that holds no secret from text that may hold one. It knows
// eight letters or digits in a row of each form, or four where there are no eight: no coding changes those but one
// that spells letters by number.
type quickFilter struct {
	any  bool // a form has not even four
	bits []uint64
	rows map[uint64]bool // eight bytes, or four in the upper half
	four bool            // there are some of four
}

const quickBits = 20 // 128 KiB of them

func (q *quickFilter) addForm(spelling string) {
	if q.bits == nil {
		q.bits, q.rows = make([]uint64, 1<<quickBits/64), map[uint64]bool{}
	}
	decoded, _, _ := decodeAll(spelling)
	run, four := 0, uint64(0)
	var row uint64
	for _, c := range decoded {
		row = row>>8 | uint64(c)<<56
		if run++; c < '0' || c > '9' && c < 'a' || c > 'z' {
			run = 0
		}
		switch run {
		case 4:
			four = row >> 32 << 32
		case 8:
			q.addRow(row)
			return
		}
	}
	if four == 0 {
		q.any = true
		return
	}
	q.four = true
	q.addRow(four)
}

func (q *quickFilter) addRow(row uint64) {
	q.rows[row] = true
	h := quickHash(row)
	q.bits[h/64] |= 1 << (h % 64)
}

func quickHash(row uint64) uint64 { return row * 0x9E3779B97F4A7C15 >> (64 - quickBits) }

func (q *quickFilter) hasRow(row uint64) bool {
	h := quickHash(row)
	return q.bits[h/64]&(1<<(h%64)) != 0 && q.rows[row]
}

// plainBytes has each byte folded, and 0 for those that need a closer look.
var plainBytes = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] |= 0x20
		}
		if i <= ' ' || i == '%' || i == '&' || i == '\\' {
			t[i] = 0
		}
	}
	return t
}()

// mayHold reports whether a form may stand in text.
func (q *quickFilter) mayHold(text string) bool {
	if q.any {
		return true
	}
	var row uint64
	for i := 0; i < len(text); i++ {
		c := plainBytes[text[i]]
		if c == 0 {
			c = text[i]
			next := byte(0)
			if i+1 < len(text) {
				next = text[i+1] | 0x20
			}
			switch {
			case c <= ' ': // base64 is broken into lines
				continue
			case c == '\\' && (next == 'n' || next == 'r' || next == 't'):
				i++
				continue
			case c == '%', c == '&' && next == '#', c == '\\' && (next == 'u' || next == 'x'):
				return true
			}
		}
		row = row>>8 | uint64(c)<<56
		if q.hasRow(row) || q.four && q.hasRow(row>>32<<32) {
			return true
		}
	}
	return false
}
