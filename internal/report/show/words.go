package show

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

// Clip cuts s to n characters, the last of them an ellipsis.
func Clip(s string, n int) string {
	switch {
	case len(s) <= n || utf8.RuneCountInString(s) <= n:
		return s
	case n <= 1: // a terminal of one column
		return strings.Repeat("…", max(n, 0))
	}
	return string([]rune(s)[:n-1]) + "…"
}

// quoteEscaper is built once: building one costs more than using it.
var quoteEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// Quote puts a string in double quotes, sanitised, so that its ends and its spaces can be seen.
func Quote(s string) string {
	return `"` + Line(quoteEscaper.Replace(s)) + `"`
}

// Path turns a JSON pointer into the dotted path that a person knows from the manifest:
// /integrationMeta/baseUrl is integrationMeta.baseUrl. A name with other characters is quoted.
func Path(pointer string) string {
	tokens := agent.SplitPointer(pointer)
	for i, t := range tokens {
		if !IsPlainName(t) {
			t = Quote(t)
		}
		tokens[i] = t
	}
	return strings.Join(tokens, ".")
}

func IsPlainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// ShellWord quotes data for a command that a person may copy: nothing in it is an operator, a
// substitution or an option to the shell.
func ShellWord(s string) string {
	safe := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !IsPlainName(string(r)) && r != '.' && r != '/'
	})
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(Line(s), "'", `'\''`) + "'"
}

// Value writes a value on one line, as JSON with spaces, everything in it sanitised. A secret is the
// placeholder.
func Value(v any) string {
	var b strings.Builder
	writeValue(&b, v)
	return b.String()
}

func writeValue(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case json.Number:
		b.WriteString(Line(v.String()))
	case string:
		b.WriteString(Quote(v))
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			writeValue(b, e)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(Quote(k))
			b.WriteString(": ")
			writeValue(b, v[k])
		}
		b.WriteByte('}')
	default:
		b.WriteString(otherValue(v))
	}
}

// otherValue shows what Fields may hold beyond JSON: secrets. Anything else is a fault elsewhere
// and is named by its type, never by its content.
func otherValue(v any) string {
	if secret.Is(v) {
		return secret.Placeholder
	}
	return Line(fmt.Sprintf("(%T)", v))
}

var (
	dataEscaper     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	propertyEscaper = strings.NewReplacer(":", "%3A", ",", "%2C")
)

// CommandData escapes the message of a workflow command as the runner unescapes it.
func CommandData(s string) string {
	return dataEscaper.Replace(Line(s))
}

// CommandProperty escapes a property of a workflow command, whose ends are a comma and a colon.
func CommandProperty(s string) string {
	return propertyEscaper.Replace(CommandData(s))
}

// Plural returns one for 1, and otherwise n before many: "1 agent is kept", "1,200 agents are kept".
func Plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return diag.Count(n) + " " + many
}
