package format

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// quote returns a scalar as it is written, on one line: single quotes become double ones where the
// text needs no escape for that. Whether there are quotes at all is the writer's to say.
func quote(n *yaml.Node, raw string) string {
	if n.Kind != yaml.ScalarNode || n.Style&yaml.SingleQuotedStyle == 0 || strings.ContainsAny(n.Value, `"\`) {
		return raw
	}
	return `"` + n.Value + `"`
}

// bareKey is a key that no YAML reads as anything but a string.
var bareKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// notStrings are words that some YAML reads as something else.
var notStrings = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

// plainKey returns a key as it is written, without quotes that it does not need.
func plainKey(n *yaml.Node, raw string) string {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	if n.Kind == yaml.ScalarNode && n.Style&quoted != 0 && n.Style&yaml.TaggedStyle == 0 &&
		bareKey.MatchString(n.Value) && !slices.Contains(notStrings, strings.ToLower(n.Value)) {
		return n.Value
	}
	return quote(n, raw)
}
