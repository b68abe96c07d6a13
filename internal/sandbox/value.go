package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is what may stand after a fault's name and =.
type value int

const (
	nothing value = iota
	duration
	maybeDuration
	status
	maybeStatus
	count
	maybeCount
	rewriting
)

// read reads the value of the rule's fault, or puts the default in its place.
func (v value) read(r *Rule, text string, given bool) (err error) {
	if !given && (v == duration || v == status || v == count || v == rewriting) {
		return fmt.Errorf("write %s=%s", r.kind, map[value]string{
			duration: "2s", status: "503", count: "2", rewriting: "FIELD:HOW",
		}[v])
	}
	if !given {
		r.fallback()
		return nil
	}
	switch v {
	case nothing:
		err = errors.New("takes no value")
	case duration, maybeDuration:
		r.wait, err = length(text)
	case status, maybeStatus:
		r.number, err = code(r.kind, text)
	case count, maybeCount:
		r.number, err = whole(text)
	case rewriting:
		r.field, r.how, _ = strings.Cut(text, ":")
		if _, ok := rewrites[r.how]; !ok || r.field == "" {
			err = fmt.Errorf("want FIELD:HOW, for example name:trim, where HOW is trim, lower, upper, sort, reverse or drop, not %q", text)
		}
	}
	r.body = bodyOf(r.kind)
	return err
}

// fallback fills in what a fault takes where it is given no value.
func (r *Rule) fallback() {
	r.body = bodyOf(r.kind)
	switch r.kind {
	case "html", "empty":
		r.number = 502
	case "throttle", "unavailable":
		r.wait = time.Second
	}
}

func bodyOf(kind string) string {
	if kind == "html" || kind == "empty" {
		return kind
	}
	return "json"
}

// code reads a status that the fault can answer.
func code(kind, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if kind == "redirect" {
		if err != nil || n != 307 && n != 308 {
			return 0, fmt.Errorf("want 307 or 308, not %q", text)
		}
		return n, nil
	}
	if err != nil || n < 400 || n > 599 {
		return 0, fmt.Errorf("want a status from 400 to 599, not %q", text)
	}
	return n, nil
}

// rewrites are the ways in which a platform may store something else than it was sent.
var rewrites = map[string]func(any) any{
	"trim":    onText(strings.TrimSpace),
	"lower":   onText(strings.ToLower),
	"upper":   onText(strings.ToUpper),
	"sort":    onList(func(l []any) { slices.SortFunc(l, compareTexts) }),
	"reverse": onList(slices.Reverse[[]any]),
	"drop":    func(any) any { return nil },
}

func onText(change func(string) string) func(any) any {
	return func(v any) any {
		if s, ok := v.(string); ok {
			return change(s)
		}
		return v
	}
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
