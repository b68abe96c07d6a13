package manifest

import (
	"encoding/json"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
)

// scalar decodes a scalar by the tag that the YAML parser gave it.
func (d *decoder) scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!str":
		if !d.grow(n, 0, len(n.Value)) {
			return ""
		}
		if strings.Contains(n.Value, "${") {
			return d.interpolate(n)
		}
		return n.Value
	case "!!null":
		return d.tagged(n, nil, n.Value == "" || n.Value == "~" || strings.EqualFold(n.Value, "null"))
	case "!!bool":
		return d.tagged(n, strings.EqualFold(n.Value, "true"), isBool(n.Value))
	case "!!int", "!!float":
		return d.number(n)
	case "!!timestamp":
		d.errorf(n, "YAML reads %s as a date; put it in quotes", clip(n.Value))
	case "!!binary":
		d.errorAt(n, d.start(n), "binary values have no place in a manifest; write text")
	case "!!merge":
		return n.Value
	default:
		d.unknownTag(n)
	}
	return ""
}

// tagged returns v unless an explicit tag stands before text that does not fit it.
func (d *decoder) tagged(n *yaml.Node, v any, fits bool) any {
	if fits {
		return v
	}
	d.errorAt(n, d.start(n), "%s does not fit its tag %s; leave the tag out", quoted(n.Value), n.Tag)
	return ""
}

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

// number returns the canonical form of a number. YAML's other notations (0x1f, 0o17, 1_000) are read;
// a leading zero is refused, because YAML 1.1 and 1.2 disagree about what it means.
func (d *decoder) number(n *yaml.Node) any {
	plain := strings.ReplaceAll(n.Value, "_", "")
	digits := strings.TrimLeft(plain, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		d.errorf(n, "%s can be read as octal or as decimal; leave out the leading zero, or put it in quotes", clip(n.Value))
		return ""
	}
	switch strings.ToLower(strings.TrimPrefix(digits, ".")) {
	case "nan", "inf":
		d.errorf(n, "%s is no number that JSON has; write a finite number, or put it in quotes", clip(n.Value))
		return ""
	}
	v, err := canonicalNumber(plain)
	if err != nil {
		d.errorf(n, "%s is not a number that can be kept exactly enough; put it in quotes if it is text", clip(n.Value))
		return ""
	}
	return v
}

func canonicalNumber(s string) (json.Number, error) {
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return json.Number(strconv.FormatInt(i, 10)), nil
	}
	if u, err := strconv.ParseUint(s, 0, 64); err == nil {
		return json.Number(strconv.FormatUint(u, 10)), nil
	}
	return agent.Number(s)
}
