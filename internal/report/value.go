package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"agentsync/internal/secret"
)

// compact writes a value on one line, as JSON with spaces, everything in it sanitised. A secret is the
// placeholder.
func compact(v any) string {
	var b strings.Builder
	writeCompact(&b, v)
	return b.String()
}

func writeCompact(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case json.Number:
		b.WriteString(Sanitize(v.String()))
	case string:
		b.WriteString(quote(v))
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeCompact(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quote(k))
			b.WriteString(": ")
			writeCompact(b, v[k])
		}
		b.WriteByte('}')
	default:
		b.WriteString(compactOther(v))
	}
}

// compactOther shows what Fields may hold beyond JSON: secrets. Anything else is a fault elsewhere
// and is named by its type, never by its content.
func compactOther(v any) string {
	if isSecret(v) {
		return secret.Placeholder
	}
	return Sanitize(fmt.Sprintf("(%T)", v))
}

func isSecret(v any) bool {
	switch v.(type) {
	case secret.Sealed, secret.Text:
		return true
	}
	return false
}

// Replacers are built once: building one costs more than using it.
var (
	quoteEscaper    = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// quote puts a string in double quotes, sanitised, so that its ends and its spaces can be seen.
func quote(s string) string {
	return `"` + Sanitize(quoteEscaper.Replace(s)) + `"`
}

// shownPath turns a JSON pointer into the dotted path that a person knows from the manifest:
// /integrationMeta/baseUrl is integrationMeta.baseUrl. A name with other characters is quoted.
func shownPath(pointer string) string {
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range tokens {
		t = pointerUnescape.Replace(t)
		if !plainName(t) {
			t = quote(t)
		}
		tokens[i] = t
	}
	return strings.Join(tokens, ".")
}

func plainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// shellWord quotes data for a command that a person may copy: nothing in it is an operator, a
// substitution or an option to the shell.
func shellWord(s string) string {
	safe := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !plainName(string(r)) && r != '.' && r != '/'
	})
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(Sanitize(s), "'", `'\''`) + "'"
}
