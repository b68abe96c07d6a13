package sandbox

import (
	"errors"
	"fmt"
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
	k, ok := kinds[name]
	if !ok {
		return Rule{}, fmt.Errorf("%q is no fault: there are %s", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	r := Rule{kind: name, selector: selector{ops: k.ops, seed: 1}}
	if err := k.value.read(&r, unquote(arg), given); err != nil {
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
		r.platform, err = choice(text, CometChat, Mindset)
	case "app":
		r.app = text
	case "method":
		r.method, err = choice(strings.ToUpper(text), "GET", "POST", "PATCH", "DELETE")
	case "op":
		r.ops, err = operations(text, k.ops)
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

// word reads a further word of the fault itself.
func (r *Rule) word(key, text string) (err error) {
	switch key {
	case "jitter":
		r.jitter, err = length(text)
	case "body":
		r.body, err = choice(text, "json", "html", "empty")
	case "retry-as":
		r.retryAs, err = choice(text, "seconds", "date", "none")
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

func length(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("want a time such as 50ms or 2s, up to 24h, not %q", text)
	}
	return d, nil
}
