package sandbox

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseFaults reads a script. Each argument holds one rule or, as a file's content, several lines of
// them; empty lines and # comments are skipped. The error names every rule that is wrong, by its line
// over all arguments, and says what would be right.
func ParseFaults(lines ...string) (Faults, error) {
	var faults Faults
	var wrong []error
	n := 0
	for _, argument := range lines {
		for line := range strings.Lines(argument) {
			n++
			words, err := split(line)
			if err == nil && len(words) > 0 {
				var r Rule
				if r, err = parseRule(words); err == nil {
					r.text = strings.Join(words, " ")
					faults = append(faults, r)
				}
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("fault rule %d: %w", n, err))
			}
		}
	}
	return faults, errors.Join(wrong...)
}

// split cuts a line into words at spaces outside double quotes, and drops a comment.
func split(line string) ([]string, error) {
	var words []string
	start, quoted := -1, false
	for i, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '#' && start < 0:
			return words, nil
		case !quoted && strings.ContainsRune(" \t\r\n", r):
			if start >= 0 {
				words = append(words, line[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if quoted {
		return nil, errors.New(`a " is not closed`)
	}
	if start >= 0 {
		words = append(words, line[start:])
	}
	return words, nil
}

func parseRule(words []string) (Rule, error) {
	name, arg, given := strings.Cut(words[0], "=")
	k, ok := kindOf(name)
	if !ok {
		var names []string
		for _, k := range kinds {
			names = append(names, k.name)
		}
		slices.Sort(names)
		return Rule{}, fmt.Errorf("%q is no fault: there are %s", name, strings.Join(names, ", "))
	}
	r := Rule{kind: name, selector: selector{ops: k.ops, seed: 1}}
	if err := r.readValue(k, unquote(arg), given); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	for _, word := range words[1:] {
		key, text, ok := strings.Cut(word, "=")
		if !ok {
			return r, fmt.Errorf("%s: %q is no limit: write name=value", name, word)
		}
		if err := r.limit(k, key, unquote(text)); err != nil {
			return r, fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	return r, nil
}

func unquote(s string) string { return strings.ReplaceAll(s, `"`, "") }

// limits are the words that every rule takes.
var limits = []string{"platform", "app", "method", "op", "name", "nth", "every", "times", "p", "seed"}

// limit reads one word after the fault.
func (r *Rule) limit(k kind, key, text string) (err error) {
	switch key {
	case "platform":
		r.platform, err = choice(text, Platforms()...)
	case "app":
		r.app = text
	case "method":
		r.method, err = choice(strings.ToUpper(text), "GET", "POST", "PATCH", "DELETE")
	case "op":
		possible := k.may
		if possible == nil {
			possible = k.ops
		}
		r.ops, err = operations(text, possible)
	case "name":
		r.name = glob(text)
	case "nth":
		r.nth, err = whole(text)
	case "every":
		r.every, err = whole(text)
	case "times":
		r.times, err = whole(text)
	case "p":
		r.chance, err = chance(text)
	case "seed":
		if r.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("want a whole number, not %q", text)
		}
	default:
		if !slices.Contains(k.with, key) {
			return fmt.Errorf("there is no such limit: there are %s", strings.Join(append(slices.Clone(k.with), limits...), ", "))
		}
		return r.word(key, text)
	}
	return err
}

// bodies are what an error can be answered with.
var bodies = []string{"json", "html", "empty", "deflate", "bom"}

// word reads a further word of the fault itself.
func (r *Rule) word(key, text string) (err error) {
	switch key {
	case "jitter":
		r.jitter, err = length(text)
	case "body":
		r.body, err = choice(text, bodies...)
	case "code":
		r.code = text
	case "retry-as":
		r.retryAs, err = choice(text, "seconds", "date", "none")
	case "reset-as":
		r.resetAs, err = choice(text, "seconds", "milliseconds", "none")
	case "agent":
		r.agent = glob(text)
	case "to":
		r.to = text
		if u, bad := url.Parse(text); bad != nil || u.Scheme == "" || u.Host == "" {
			err = fmt.Errorf("want a URL, not %q", text)
		}
	}
	return err
}

func choice(text string, values ...string) (string, error) {
	if !slices.Contains(values, text) {
		return "", fmt.Errorf("want one of %s, not %q", strings.Join(values, ", "), text)
	}
	return text, nil
}

func operations(text string, possible []string) ([]string, error) {
	if possible == nil {
		possible = ops
	}
	chosen := strings.Split(text, ",")
	for _, op := range chosen {
		if _, err := choice(op, possible...); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// glob turns a pattern into the regular expression that matches the same whole texts.
func glob(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	return regexp.MustCompile(`(?s)^` + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted) + `$`)
}

func whole(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a whole number above 0, not %q", text)
	}
	return n, nil
}

func chance(text string) (float64, error) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || !(p > 0 && p <= 1) {
		return 0, fmt.Errorf("want a number above 0 and up to 1, not %q", text)
	}
	return p, nil
}

// longest bounds the times in a script.
const longest = 24 * time.Hour

func length(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > longest {
		return 0, fmt.Errorf("want a time such as 50ms or 2s, up to 24h, not %q", text)
	}
	return d, nil
}

// value is what may stand after a fault's name and =.
type value int

const (
	nothing value = iota
	duration
	maybeDuration
	shift
	status
	maybeStatus
	count
	maybeCount
	form
	rewriting
	fieldName
)

// examples say what to write where a value is missing.
var examples = map[value]string{duration: "2s", shift: "-3s", status: "503", count: "2", rewriting: "FIELD:HOW", fieldName: "FIELD"}

// readValue reads the value of the rule's fault, or puts the default in its place.
func (r *Rule) readValue(k kind, text string, given bool) (err error) {
	r.body = "json"
	if k.name == "html" || k.name == "empty" {
		r.body, r.number = k.name, 502
	}
	if example, wanted := examples[k.value]; !given && wanted {
		return fmt.Errorf("write %s=%s", k.name, example)
	}
	switch {
	case !given && k.value == form:
		r.form = k.forms[0]
	case !given && (k.name == "throttle" || k.name == "unavailable" || k.name == "exhausted"):
		r.wait = time.Second
	}
	if !given {
		return nil
	}
	switch k.value {
	case nothing:
		err = errors.New("takes no value")
	case duration, maybeDuration:
		r.wait, err = length(text)
	case shift:
		if r.wait, err = time.ParseDuration(text); err != nil || r.wait.Abs() > longest {
			err = fmt.Errorf("want a time such as 3s or -3s, up to 24h, not %q", text)
		}
	case status, maybeStatus:
		r.number, err = code(k.name, text)
	case count, maybeCount:
		r.number, err = whole(text)
	case form:
		r.form, err = choice(text, k.forms...)
	case fieldName:
		r.field = text
	case rewriting:
		r.field, r.how, _ = strings.Cut(text, ":")
		if _, ok := rewrites[r.how]; !ok && r.how != "fill" || r.field == "" {
			hows := slices.Sorted(maps.Keys(rewrites))
			err = fmt.Errorf("want FIELD:HOW, for example name:trim, where HOW is fill, %s, not %q", strings.Join(hows, ", "), text)
		}
	}
	return err
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

// rewrites are the ways in which a platform may keep something else than it was sent.
var rewrites = map[string]func(any) any{
	"trim":   onText(strings.TrimSpace),
	"lower":  onText(strings.ToLower),
	"upper":  onText(strings.ToUpper),
	"lf":     onText(func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }),
	"crlf":   onText(func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n") }),
	"escape": onText(html.EscapeString),
	"slash": onText(func(s string) string {
		return onURL(s, func(s string) string { return strings.TrimRight(s, "/") + "/" })
	}),
	"noslash": onText(func(s string) string { return onURL(s, func(s string) string { return strings.TrimRight(s, "/") }) }),
	"sort":    onList(func(l []any) { slices.SortFunc(l, compareTexts) }),
	"reverse": onList(slices.Reverse[[]any]),
	"drop":    func(any) any { return nil },
}

// onText changes texts, however deep they stand.
func onText(change func(string) string) func(any) any {
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
