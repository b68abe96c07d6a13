package faults

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

// Parse reads a script. Each argument holds one rule or, as a file's content, several lines of
// them; empty lines and # comments are skipped. The error names every rule that is wrong, by its line
// over all arguments, and says what would be right.
func Parse(platforms []string, lines ...string) (Script, error) {
	var faults Script
	var wrong []error
	n := 0
	for _, argument := range lines {
		for line := range strings.Lines(argument) {
			n++
			words, err := splitWords(line)
			if err == nil && len(words) > 0 {
				var r Rule
				if r, err = parseRule(words, platforms); err == nil {
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

// splitWords cuts a line into words at spaces outside double quotes, and drops a comment.
func splitWords(line string) ([]string, error) {
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

func parseRule(words, platforms []string) (Rule, error) {
	name, arg, given := strings.Cut(words[0], "=")
	k, ok := kindOf(name)
	if !ok {
		var names []string
		for _, k := range faultKinds {
			names = append(names, k.name)
		}
		slices.Sort(names)
		return Rule{}, fmt.Errorf("%q is no fault: there are %s", name, strings.Join(names, ", "))
	}
	r := Rule{Kind: name, ruleLimits: ruleLimits{ops: k.ops, seed: 1}}
	if err := r.readValue(k, dropQuotes(arg), given); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	for _, word := range words[1:] {
		key, text, ok := strings.Cut(word, "=")
		if !ok {
			return r, fmt.Errorf("%s: %q is no limit: write name=value", name, word)
		}
		if err := r.readLimit(k, key, dropQuotes(text), platforms); err != nil {
			return r, fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	return r, nil
}

func dropQuotes(s string) string { return strings.ReplaceAll(s, `"`, "") }

// limitWords are the words that every rule takes.
var limitWords = []string{"platform", "app", "method", "op", "name", "nth", "every", "times", "p", "seed"}

// readLimit reads one word after the fault.
func (r *Rule) readLimit(k faultKind, key, text string, platforms []string) (err error) {
	switch key {
	case "platform":
		r.platform, err = oneOf(text, platforms...)
	case "app":
		r.app = text
	case "method":
		r.method, err = oneOf(strings.ToUpper(text), "GET", "POST", "PATCH", "DELETE")
	case "op":
		possible := k.may
		if possible == nil {
			possible = k.ops
		}
		r.ops, err = parseOperations(text, possible)
	case "name":
		r.name = globPattern(text)
	case "nth":
		r.nth, err = parseCount(text)
	case "every":
		r.every, err = parseCount(text)
	case "times":
		r.times, err = parseCount(text)
	case "p":
		r.chance, err = parseChance(text)
	case "seed":
		if r.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("want a whole number, not %q", text)
		}
	default:
		if !slices.Contains(k.with, key) {
			return fmt.Errorf("there is no such limit: there are %s",
				strings.Join(append(slices.Clone(k.with), limitWords...), ", "))
		}
		return r.readWord(key, text)
	}
	return err
}

// bodyForms are what an error can be answered with.
var bodyForms = []string{"json", "html", "empty", "deflate", "bom"}

// readWord reads a further word of the fault itself.
func (r *Rule) readWord(key, text string) (err error) {
	switch key {
	case "jitter":
		r.Jitter, err = parseDuration(text)
	case "body":
		r.Body, err = oneOf(text, bodyForms...)
	case "code":
		r.Code = text
	case "retry-as":
		r.RetryAs, err = oneOf(text, "seconds", "date", "none")
	case "reset-as":
		r.ResetAs, err = oneOf(text, "seconds", "milliseconds", "none")
	case "agent":
		r.Agent = globPattern(text)
	case "to":
		r.To = text
		if u, bad := url.Parse(text); bad != nil || u.Scheme == "" || u.Host == "" {
			err = fmt.Errorf("want a URL, not %q", text)
		}
	}
	return err
}

func oneOf(text string, values ...string) (string, error) {
	if !slices.Contains(values, text) {
		return "", fmt.Errorf("want one of %s, not %q", strings.Join(values, ", "), text)
	}
	return text, nil
}

func parseOperations(text string, possible []string) ([]string, error) {
	if possible == nil {
		possible = operationNames
	}
	chosen := strings.Split(text, ",")
	for _, op := range chosen {
		if _, err := oneOf(op, possible...); err != nil {
			return nil, err
		}
	}
	return chosen, nil
}

// globPattern turns a pattern into the regular expression that matches the same whole texts.
func globPattern(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	return regexp.MustCompile(`(?s)^` + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(quoted) + `$`)
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a whole number above 0, not %q", text)
	}
	return n, nil
}

func parseChance(text string) (float64, error) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || !(p > 0 && p <= 1) {
		return 0, fmt.Errorf("want a number above 0 and up to 1, not %q", text)
	}
	return p, nil
}

// maxDuration bounds the times in a script.
const maxDuration = 24 * time.Hour

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxDuration {
		return 0, fmt.Errorf("want a time such as 50ms or 2s, up to 24h, not %q", text)
	}
	return d, nil
}

// readValue reads the value of the rule's fault, or puts the default in its place.
func (r *Rule) readValue(k faultKind, text string, given bool) (err error) {
	r.Body = "json"
	if k.name == "html" || k.name == "empty" {
		r.Body, r.Number = k.name, 502
	}
	if example, wanted := valueExamples[k.value]; !given && wanted {
		return fmt.Errorf("write %s=%s", k.name, example)
	}
	switch {
	case !given && k.value == oneForm:
		r.Form = k.forms[0]
	case !given && (k.name == "throttle" || k.name == "unavailable" || k.name == "exhausted"):
		r.Wait = time.Second
	}
	if !given {
		return nil
	}
	switch k.value {
	case noValue:
		err = errors.New("takes no value")
	case wantsDuration, maybeDuration:
		r.Wait, err = parseDuration(text)
	case wantsShift:
		if r.Wait, err = time.ParseDuration(text); err != nil || r.Wait.Abs() > maxDuration {
			err = fmt.Errorf("want a time such as 3s or -3s, up to 24h, not %q", text)
		}
	case wantsStatus, maybeStatus:
		r.Number, err = parseStatus(k.name, text)
	case wantsCount, maybeCount:
		r.Number, err = parseCount(text)
	case oneForm:
		r.Form, err = oneOf(text, k.forms...)
	case wantsField:
		r.Field = text
	case wantsRewrite:
		r.Field, r.How, _ = strings.Cut(text, ":")
		if _, ok := rewrites[r.How]; !ok && r.How != "fill" || r.Field == "" {
			hows := slices.Sorted(maps.Keys(rewrites))
			err = fmt.Errorf("want FIELD:HOW, for example name:trim, where HOW is fill, %s, not %q",
				strings.Join(hows, ", "),
				text)
		}
	}
	return err
}

// parseStatus reads a status that the fault can answer.
func parseStatus(kind, text string) (int, error) {
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
