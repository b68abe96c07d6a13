package faults

import (
	"html"
	"net/url"
	"slices"
	"strings"
)

// Rewrite returns v as a platform keeps it that the rule makes rewrite it.
func (r *Rule) Rewrite(v any) any { return rewrites[r.How](v) }

// rewrites are the ways in which a platform may keep something else than it was sent.
var rewrites = map[string]func(any) any{
	"trim":  OnText(strings.TrimSpace),
	"lower": OnText(strings.ToLower),
	"upper": OnText(strings.ToUpper),
	"lf":    OnText(func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }),
	"crlf": OnText(func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n",
			"\r\n")
	}),
	"escape": OnText(html.EscapeString),
	"slash": OnText(func(s string) string {
		return onURL(s, func(s string) string { return strings.TrimRight(s, "/") + "/" })
	}),
	"noslash": OnText(func(s string) string {
		return onURL(s,
			func(s string) string { return strings.TrimRight(s, "/") })
	}),
	"sort":    onList(func(l []any) { slices.SortFunc(l, compareTexts) }),
	"reverse": onList(slices.Reverse[[]any]),
	"drop":    func(any) any { return nil },
}

// OnText changes texts, however deep they stand.
func OnText(change func(string) string) func(any) any {
	var deep func(v any) any
	deep = func(v any) any {
		switch v := v.(type) {
		case string:
			return change(v)
		case []any:
			changed := make([]any, len(v))
			for i, e := range v {
				changed[i] = deep(e)
			}
			return changed
		case map[string]any:
			changed := make(map[string]any, len(v))
			for k, e := range v {
				changed[k] = deep(e)
			}
			return changed
		}
		return v
	}
	return deep
}

// onURL changes s if it is a URL without query and fragment.
func onURL(s string, change func(string) string) string {
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return s
	}
	return change(s)
}

func onList(change func([]any)) func(any) any {
	return func(v any) any {
		if l, ok := v.([]any); ok {
			l = slices.Clone(l)
			change(l)
			return l
		}
		return v
	}
}

func compareTexts(a, b any) int {
	s, _ := a.(string)
	t, _ := b.(string)
	return strings.Compare(s, t)
}
