package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// encode writes v, which holds only what JSON can hold, without escaping <, > and &.
func encode(v any) []byte { return appendJSON(nil, v) }

// appendJSON appends v. The values that agents are made of are written here, because each answer and
// each line of the file is one; encoding/json does the rest.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case json.Number:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(append(appendString(b, k), ':'), v[k])
		}
		return append(b, '}')
	}
	return appendOther(b, v)
}

// appendString writes s as it is where nothing in it needs escaping.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return appendOther(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendOther(b []byte, v any) []byte {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Appendf(b, "%q", err.Error()) // no value of this package comes here
	}
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
}
