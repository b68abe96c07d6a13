package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes v as one indented document with a newline at its end. Characters that could steer
// a terminal, and those that cannot be seen, are written as \u escapes: the value stays the same.
func JSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	// "##[" can only stand inside a string; a CI runner would look for a command there.
	doc := bytes.ReplaceAll(escapeDocument(b.Bytes()), []byte("##["), []byte(`##\u005b`))
	_, err := w.Write(doc)
	return err
}

// escapeDocument escapes unsafe characters in a JSON document. Below U+0080 the encoder has done so
// already, but for DEL; beyond it they can only stand inside strings.
func escapeDocument(doc []byte) []byte {
	if !bytes.ContainsFunc(doc, needsEscape) {
		return doc
	}
	out := make([]byte, 0, len(doc)+64)
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		switch {
		case !needsEscape(r):
			out = append(out, doc[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

func needsEscape(r rune) bool { return r >= 0x7f && isUnsafe(r) }
