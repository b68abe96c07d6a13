package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/internal/yamltext"
)

// valueDecoder turns the nodes of one file into values in one walk: nil, bool, json.Number, string, []any,
// map[string]any, and *validate.Text where a string referred to a variable. It looks up no place unless
// something is wrong. A value that is wrong becomes an empty string and is remembered in bad, so
// that nothing further is said of it.
type valueDecoder struct {
	yamltext.Places
	env      secret.Lookup
	limits   Limits
	problems *diag.List

	values   int                // decoded so far, aliases followed
	content  int                // bytes of texts so far, aliases followed, variables filled in
	merged   int                // values that came from defaults so far
	told     map[toldError]bool // the errors so far; warnings bound nothing
	aliases  []*yaml.Node       // the aliases that are being followed, outermost first
	stopped  bool               // a limit was passed: the rest of the file is not read
	uses     []variableUse      // of ${env:} and ${secret:}, each name once for each text
	hasTexts bool               // some string referred to a variable
	bad      map[*yaml.Node]bool
	warned   map[*yaml.Node]bool // the values that were warned of
	files    *textFiles
	texts    map[string][]byte        // files that are read in place of the disk's, see Source
	textAt   map[*yaml.Node]*textFile // the values that are the text of a file
	hidden   func() yamltext.Hidden   // what of the text no sentence shows, found when it is first asked for
}

// shown returns a scalar's text for a sentence as write has it, "this value" where it may be a credential.
func (d *valueDecoder) shown(n *yaml.Node, write func(string) string) string {
	if d.hidden().Has(d.Index().Offset(n.Line, n.Column)) {
		return "this value"
	}
	return write(n.Value)
}

// variableUse is one name in one text.
type variableUse struct {
	name   string
	secret bool // ${secret:NAME}, not ${env:NAME}
	pos    diag.Pos
}

func (u variableUse) String() string {
	if u.secret {
		return "${secret:" + u.name + "}"
	}
	return "${env:" + u.name + "}"
}

// errorf reports a problem at a node and marks the node, so that the schema says nothing more of it.
func (d *valueDecoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errorAt(n, d.Pos(n), format, args...)
}

func (d *valueDecoder) errorAt(n *yaml.Node, pos diag.Pos, format string, args ...any) {
	d.report(pos, format, args...)
	if d.bad == nil {
		d.bad = map[*yaml.Node]bool{}
	}
	d.bad[n] = true
}

// report adds an error, once for each place and sentence. Every error of a file comes through here:
// beyond the limit the file is not read on, and that is an error too, told in place of the one too many.
func (d *valueDecoder) report(pos diag.Pos, format string, args ...any) {
	e := toldError{pos, fmt.Sprintf(format, args...)}
	if d.stopped || d.told[e] {
		return
	}
	if d.told == nil {
		d.told = map[toldError]bool{}
	}
	d.told[e] = true
	// An error even here, or the rest of the file would be missing in silence, and a shorter fleet deletes agents.
	if len(d.told) > d.limits.Problems {
		d.stopped = true
		e.sentence = fmt.Sprintf("there are more than %s errors in this file; it is not read on from here",
			diag.Count(d.limits.Problems))
	}
	d.problems.Errorf(pos, "%s", e.sentence)
}

// toldError is an error that was reported.
type toldError struct {
	pos      diag.Pos
	sentence string
}

func (e toldError) compare(o toldError) int {
	return cmp.Or(e.pos.Compare(o.pos), cmp.Compare(e.sentence, o.sentence))
}

// stop ends the reading of the file with one problem, at the alias that was followed to get there.
// Together with report it is all that sets stopped: no file is left unread without an error.
func (d *valueDecoder) stop(n *yaml.Node, format string, args ...any) {
	if len(d.aliases) > 0 {
		n = d.aliases[0]
	}
	d.errorAt(n, d.Start(n), format, args...)
	d.stopped = true
}

// countValue counts a value and reports whether it may be decoded.
func (d *valueDecoder) countValue(n *yaml.Node, depth int) bool {
	d.values++
	switch {
	case d.stopped:
	case d.values > d.limits.Values:
		d.stop(n, "the file holds more than %s values once its aliases are followed; split it into several files",
			diag.Count(d.limits.Values))
	case depth > d.limits.Depth:
		d.stop(n, "values are nested more than %d levels deep here", d.limits.Depth)
	}
	return !d.stopped
}

// countText counts the bytes of a text that has length bytes already, and reports whether it may have them.
func (d *valueDecoder) countText(n *yaml.Node, length, more int) bool {
	d.content += more
	switch {
	case d.stopped:
	case length+more > d.limits.TextBytes:
		d.errorAt(n, d.Start(n), "this text is longer than %s; shorten it", diag.Size(int64(d.limits.TextBytes)))
		return false
	case d.content > d.limits.ContentBytes:
		d.stop(n,
			"the texts of this file hold more than %s once its aliases, defaults and variables are filled in; split it into "+
				"several files",
			diag.Size(int64(d.limits.ContentBytes)))
	}
	return !d.stopped
}

// value decodes one node and what is below it.
func (d *valueDecoder) value(n *yaml.Node, depth int) any {
	if !d.countValue(n, depth) {
		return nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return d.scalar(n)
	case yaml.MappingNode:
		return d.mapping(n, depth)
	case yaml.SequenceNode:
		return d.sequence(n, depth)
	case yaml.AliasNode:
		return d.alias(n, func(target *yaml.Node) any { return d.value(target, depth+1) })
	default:
		d.errorf(n, "this YAML cannot be read as a value")
		return ""
	}
}

// alias calls follow with what the alias stands for, unless the alias stands inside that.
func (d *valueDecoder) alias(n *yaml.Node, follow func(target *yaml.Node) any) any {
	// Among the open aliases alone: an alias may be used as often as the limits allow, only not within itself.
	if slices.ContainsFunc(d.aliases, func(a *yaml.Node) bool { return a.Alias == n.Alias }) {
		d.refuseLoop(n)
		return nil
	}
	d.aliases = append(d.aliases, n)
	v := follow(n.Alias)
	if !d.stopped {
		d.aliases = d.aliases[:len(d.aliases)-1]
	}
	return v
}

func (d *valueDecoder) refuseLoop(alias *yaml.Node) {
	d.aliases = nil
	d.stop(alias, "the alias *%s stands inside the value that it refers to; a value cannot hold itself", alias.Value)
}

func (d *valueDecoder) sequence(n *yaml.Node, depth int) any {
	if n.Tag != "!!seq" {
		d.unknownTag(n)
	}
	list := make([]any, len(n.Content))
	for i, e := range n.Content {
		list[i] = d.value(e, depth+1)
	}
	return list
}

func (d *valueDecoder) mapping(n *yaml.Node, depth int) any {
	m := make(map[string]any, len(n.Content)/2)
	d.entries(n, depth, func(name string, _, value *yaml.Node) {
		m[name] = d.value(value, depth+1)
	})
	return m
}

// entries calls visit for each member that the mapping has once its merge keys are followed: its own
// first, then those of merged mappings that it does not have itself.
func (d *valueDecoder) entries(n *yaml.Node, depth int, visit func(name string, key, value *yaml.Node)) {
	if !yamltext.HasMerge(n) {
		d.ownEntries(n, visit)
		return
	}
	seen := map[string]bool{}
	once := func(name string, key, value *yaml.Node) {
		if seen[name] {
			d.values++ // it costs as much as one that is decoded
			return
		}
		seen[name] = true
		visit(name, key, value)
	}
	d.ownEntries(n, once)
	// Behind the mapping's own members, which win.
	d.mergedEntries(n, depth, map[*yaml.Node]mergeState{n: merging}, once)
}

// ownEntries visits the members that the mapping itself spells out, merge keys left aside.
func (d *valueDecoder) ownEntries(n *yaml.Node, visit func(name string, key, value *yaml.Node)) {
	if n.Tag != "!!map" {
		d.unknownTag(n)
	}
	// Before any of them is visited: the keys that it finds wrong are passed over.
	d.checkKeys(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := yamltext.Deref(n.Content[i])
		if d.stopped {
			return
		}
		if yamltext.IsMergeKey(key) || d.bad[n.Content[i]] {
			continue
		}
		visit(key.Value, key, n.Content[i+1])
	}
}

// mergedEntries visits what the merge key of the mapping brings in, in YAML 1.1's order: of several
// mappings the earlier one wins. A mapping that was merged already has nothing new and is not visited
// again: a chain of merges would be visited 2^n times.
func (d *valueDecoder) mergedEntries(n *yaml.Node, depth int, merged map[*yaml.Node]mergeState,
	visit func(name string, key, value *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !yamltext.IsMergeKey(n.Content[i]) {
			continue
		}
		value := n.Content[i+1]
		if target := yamltext.Deref(value); target.Kind == yaml.SequenceNode {
			for _, e := range target.Content {
				d.mergeOne(e, depth, merged, visit)
			}
		} else {
			d.mergeOne(value, depth, merged, visit)
		}
		return // a second merge key was reported by checkKeys
	}
}

// mergeState is how far a mapping has been merged into another.
type mergeState int

const (
	unmerged mergeState = iota
	merging
	wasMerged
)

func (d *valueDecoder) mergeOne(n *yaml.Node, depth int, merged map[*yaml.Node]mergeState,
	visit func(name string, key, value *yaml.Node)) {
	if !d.countValue(n, depth) {
		return
	}
	follow := func(target *yaml.Node) any {
		switch merged[target] {
		case merging:
			d.refuseLoop(n)
		case unmerged:
			// Set while it is followed, so that a mapping that merges itself is found.
			merged[target] = merging
			d.ownEntries(target, visit)
			d.mergedEntries(target, depth+1, merged, visit)
			merged[target] = wasMerged
		}
		return nil
	}
	switch {
	case n.Kind == yaml.MappingNode:
		follow(n)
	case n.Kind == yaml.AliasNode && yamltext.Deref(n).Kind == yaml.MappingNode:
		d.alias(n, follow)
	default:
		d.errorf(n, "`<<` merges a mapping or a list of mappings, not %s", yamltext.KindName(yamltext.Deref(n)))
	}
}

func (d *valueDecoder) unknownTag(n *yaml.Node) {
	d.errorAt(n, d.Start(n), "the tag %s is not known here; leave it out", diag.Clip(strings.TrimSpace(n.Tag)))
}

// scalar decodes a scalar by the tag that the YAML parser gave it.
func (d *valueDecoder) scalar(n *yaml.Node) any {
	switch n.Tag {
	case "!!str":
		// Counted before variables are filled in: an alias repeats the text as often as it is used.
		if !d.countText(n, 0, len(n.Value)) {
			return ""
		}
		d.checkPlainText(n)
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
		d.errorf(n, "YAML reads %s as a date; put it in quotes", d.shown(n, diag.Clip))
	case "!!binary":
		d.errorAt(n, d.Start(n), "binary values have no place in a manifest; write text")
	case "!!merge":
		return n.Value
	default:
		d.unknownTag(n)
	}
	return ""
}

// looksLikeNumber is what JSON and people read as a number, and the parser as text where it is out of range.
var looksLikeNumber = regexp.MustCompile(`^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$`)

// checkPlainText reports what people write without quotes and YAML reads otherwise than they mean.
func (d *valueDecoder) checkPlainText(n *yaml.Node) {
	const written = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle |
		yaml.TaggedStyle
	if n.Style&written != 0 || n.Value == "" {
		return
	}
	switch first, _ := utf8.DecodeRuneInString(n.Value); {
	case looksLikeNumber.MatchString(n.Value):
		d.errorf(n, "%s is not a number that can be kept exactly; put it in quotes if it is text",
			d.shown(n, diag.Clip))
	case strings.ContainsRune("\u201c\u201d\u201e\u2018\u2019\u00ab", first):
		d.warn(n, "this text begins with %c, which is a part of it and no quote to YAML; write \" if it is to be one",
			first)
	case n.LineComment != "" && strings.Contains(n.Value, " ") && d.touchesComment(n):
		d.warn(n,
			"this text ends before the #, which begins a comment; put the text in quotes, or write two blanks before the "+
				"comment")
	}
}

// touchesComment reports whether one blank alone stands between a text on one line and the comment behind it.
func (d *valueDecoder) touchesComment(n *yaml.Node) bool {
	pos := d.Pos(n)
	return bytes.HasPrefix(d.Index().Rest(d.Index().Offset(pos.Line, pos.Column)), []byte(n.Value+" #"))
}

// warn adds a warning at a node, once for each node.
func (d *valueDecoder) warn(n *yaml.Node, format string, args ...any) {
	if d.warned[n] {
		return
	}
	if d.warned == nil {
		d.warned = map[*yaml.Node]bool{}
	}
	d.warned[n] = true
	d.problems.Warnf(d.Pos(n), format, args...)
}

// tagged returns v unless an explicit tag stands before text that does not fit it.
func (d *valueDecoder) tagged(n *yaml.Node, v any, fits bool) any {
	if fits {
		return v
	}
	d.errorAt(n, d.Start(n), "%s does not fit its tag %s; leave the tag out", d.shown(n, diag.Quoted), n.Tag)
	return ""
}

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

// number returns the canonical form of a number. YAML's other notations (0x1f, 0o17, 1_000) are read;
// a leading zero is refused, because YAML 1.1 and 1.2 disagree about what it means.
func (d *valueDecoder) number(n *yaml.Node) any {
	plain := strings.ReplaceAll(n.Value, "_", "")
	// Before parsing, which would take one of the two meanings.
	digits := strings.TrimLeft(plain, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		d.errorf(n, "%s can be read as octal or as decimal; leave out the leading zero, or put it in quotes",
			d.shown(n, diag.Clip))
		return ""
	}
	switch strings.ToLower(strings.TrimPrefix(digits, ".")) {
	case "nan", "inf":
		d.errorf(n, "%s is no number that JSON has; write a finite number, or put it in quotes", d.shown(n, diag.Clip))
		return ""
	}
	v, err := canonicalNumber(plain)
	if err != nil {
		d.errorf(n, "%s is not a number that can be kept exactly; put it in quotes if it is text",
			d.shown(n, diag.Clip))
		return ""
	}
	return v
}

// canonicalNumber returns the canonical form of a number. It fails where that would not be the same number.
func canonicalNumber(s string) (json.Number, error) {
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return json.Number(strconv.FormatInt(i, 10)), nil
	}
	// Whole numbers first, exactly: what comes below goes through a float64.
	if u, err := strconv.ParseUint(s, 0, 64); err == nil {
		return json.Number(strconv.FormatUint(u, 10)), nil
	}
	n, err := agent.Number(s)
	if err != nil {
		return "", err
	}
	written, _ := new(big.Rat).SetString(s) // agent.Number has bounded its exponent
	if kept, _ := new(big.Rat).SetString(n.String()); written.Cmp(kept) != 0 {
		return "", fmt.Errorf("%s is not %s", n, s)
	}
	return n, nil
}

// checkKeys reports keys that are no strings, that stand twice, or that are reserved.
func (d *valueDecoder) checkKeys(n *yaml.Node) {
	var index map[string]*yaml.Node
	// Without it a mapping of n keys costs n² comparisons.
	if len(n.Content) > 32 {
		index = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		node := n.Content[i]
		key := yamltext.Deref(node)
		if !d.checkKey(node, key) {
			continue
		}
		if first := findKey(index, n.Content[:i], key.Value); first != nil {
			d.duplicate(node, key, first)
		} else if index != nil {
			index[key.Value] = node
		}
	}
}

// findKey returns the earlier key called name. Short mappings are searched, which is quicker than an
// index; with an index the search is in it alone.
func findKey(index map[string]*yaml.Node, earlier []*yaml.Node, name string) *yaml.Node {
	if index != nil {
		return index[name]
	}
	for i := 0; i+1 < len(earlier); i += 2 {
		if k := yamltext.Deref(earlier[i]); k.Value == name && k.Kind == yaml.ScalarNode {
			return earlier[i]
		}
	}
	return nil
}

func (d *valueDecoder) duplicate(node, key, first *yaml.Node) {
	if yamltext.IsMergeKey(key) {
		d.errorf(node, "`<<` stands twice in this mapping; merge several with one list: `<<: [*a, *b]`")
		return
	}
	d.errorf(node, "the key %s stands twice in this mapping, first on line %d; keep one", diag.Ticked(key.Value),
		first.Line)
}

func (d *valueDecoder) checkKey(node, key *yaml.Node) bool {
	switch {
	case key.Kind != yaml.ScalarNode:
		d.errorf(node, "a key must be a string, not %s", yamltext.KindName(key))
	case yamltext.IsMergeKey(key):
		return true
	case key.Tag == "!!null" && key.Value == "":
		d.errorf(node, "a key is missing before this colon")
	case key.Tag != "!!str":
		d.errorf(node, "a key must be a string, not %s; put it in quotes: %q", yamltext.KindName(key),
			diag.Clip(key.Value))
	case key.Value == agent.ReservedKey:
		d.errorf(node, "the key `%s` is reserved for agentsync's own files; choose another", agent.ReservedKey)
	default:
		return true
	}
	return false
}
