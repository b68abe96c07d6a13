package agent

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendString appends s as a JSON string. Like encoding/json, whose documents are in states, it escapes the line
// separators of JavaScript; unlike it, not <, > and &: the file is read by people.
func AppendString(dst []byte, s string) []byte {
	start := len(dst)
	dst, _ = jsontext.AppendQuote(dst, s) // what is no UTF-8 was refused when it was read
	if strings.Contains(s, "\u2028") || strings.Contains(s, "\u2029") {
		line := bytes.ReplaceAll(dst[start:], []byte("\u2028"), []byte(`\u2028`))
		dst = append(dst[:start], bytes.ReplaceAll(line, []byte("\u2029"), []byte(`\u2029`))...)
	}
	return dst
}
