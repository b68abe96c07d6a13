package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/secret"
)

// decoder turns the nodes of one file into values in one walk: nil, bool, json.Number, string, []any,
// map[string]any, and *text where a string referred to a variable. It looks up no place unless
// something is wrong. A value that is wrong becomes an empty string and is remembered in bad, so
// that nothing further is said of it.
type decoder struct {
	path     string
	src      []byte
	env      secret.Lookup
	limits   Limits
	problems *diag.List

	index    *lineIndex                    // built by lineIndex
	members  map[*yaml.Node]map[string]int // of long mappings, by ownMember
	values   int                           // decoded so far, aliases followed
	content  int                           // bytes of texts so far, aliases followed, variables filled in
	merged   int                           // values that came from defaults so far
	told     map[toldError]bool            // the errors so far; warnings bound nothing
	aliases  []*yaml.Node                  // the aliases that are being followed, outermost first
	stopped  bool                          // a limit was passed: the rest of the file is not read
	uses     []variableUse                 // of ${env:} and ${secret:}, each name once for each text
	hasTexts bool                          // some string referred to a variable
	bad      map[*yaml.Node]bool
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

// text is a string that refers to variables. ${env:} is filled in already.
type text struct {
	// value is the string; where names is not empty it is a template as secret.Template takes it.
	value string
	// names are the variables of its ${secret:NAME}, in order of first use.
	names []string
	pos   diag.Pos
}

// errorf reports a problem at a node and marks the node, so that the schema says nothing more of it.
func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errorAt(n, d.pos(n), format, args...)
}

func (d *decoder) errorAt(n *yaml.Node, pos diag.Pos, format string, args ...any) {
	d.report(pos, format, args...)
	if d.bad == nil {
		d.bad = map[*yaml.Node]bool{}
	}
	d.bad[n] = true
}

// report adds an error, once for each place and sentence. Every error of a file comes through here:
// beyond the limit the file is not read on, and that is an error too, told in place of the one too many.
func (d *decoder) report(pos diag.Pos, format string, args ...any) {
	e := toldError{pos, fmt.Sprintf(format, args...)}
	if d.stopped || d.told[e] {
		return
	}
	if d.told == nil {
		d.told = map[toldError]bool{}
	}
	d.told[e] = true
	if len(d.told) > d.limits.Problems {
		d.stopped = true
		e.sentence = fmt.Sprintf("there are more than %s errors in this file; it is not read on from here", count(d.limits.Problems))
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
func (d *decoder) stop(n *yaml.Node, format string, args ...any) {
	if len(d.aliases) > 0 {
		n = d.aliases[0]
	}
	d.errorAt(n, d.start(n), format, args...)
	d.stopped = true
}

// enter counts a value and reports whether it may be decoded.
func (d *decoder) enter(n *yaml.Node, depth int) bool {
	d.values++
	switch {
	case d.stopped:
	case d.values > d.limits.Values:
		d.stop(n, "the file holds more than %s values once its aliases are followed; split it into several files", count(d.limits.Values))
	case depth > d.limits.Depth:
		d.stop(n, "values are nested more than %d levels deep here", d.limits.Depth)
	}
	return !d.stopped
}

// grow counts the bytes of a text that has length bytes already, and reports whether it may have them.
func (d *decoder) grow(n *yaml.Node, length, more int) bool {
	d.content += more
	switch {
	case d.stopped:
	case length+more > d.limits.TextBytes:
		d.errorAt(n, d.start(n), "this text is longer than %s; shorten it", size(int64(d.limits.TextBytes)))
		return false
	case d.content > d.limits.ContentBytes:
		d.stop(n, "the texts of this file hold more than %s once its aliases, defaults and variables are filled in; split it into several files",
			size(int64(d.limits.ContentBytes)))
	}
	return !d.stopped
}

// value decodes one node and what is below it.
func (d *decoder) value(n *yaml.Node, depth int) any {
	if !d.enter(n, depth) {
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
func (d *decoder) alias(n *yaml.Node, follow func(target *yaml.Node) any) any {
	if slices.ContainsFunc(d.aliases, func(a *yaml.Node) bool { return a.Alias == n.Alias }) {
		d.holdsItself(n)
		return nil
	}
	d.aliases = append(d.aliases, n)
	v := follow(n.Alias)
	if !d.stopped {
		d.aliases = d.aliases[:len(d.aliases)-1]
	}
	return v
}

func (d *decoder) holdsItself(alias *yaml.Node) {
	d.aliases = nil
	d.stop(alias, "the alias *%s stands inside the value that it refers to; a value cannot hold itself", alias.Value)
}

func (d *decoder) sequence(n *yaml.Node, depth int) any {
	if n.Tag != "!!seq" {
		d.unknownTag(n)
	}
	list := make([]any, len(n.Content))
	for i, e := range n.Content {
		list[i] = d.value(e, depth+1)
	}
	return list
}

func (d *decoder) mapping(n *yaml.Node, depth int) any {
	m := make(map[string]any, len(n.Content)/2)
	d.entries(n, depth, func(name string, _, value *yaml.Node) {
		m[name] = d.value(value, depth+1)
	})
	return m
}

// entries calls visit for each member that the mapping has once its merge keys are followed: its own
// first, then those of merged mappings that it does not have itself.
func (d *decoder) entries(n *yaml.Node, depth int, visit func(name string, key, value *yaml.Node)) {
	if !hasMerge(n) {
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
	d.mergedEntries(n, depth, map[*yaml.Node]mergeState{n: merging}, once)
}

// ownEntries visits the members that the mapping itself spells out, merge keys left aside.
func (d *decoder) ownEntries(n *yaml.Node, visit func(name string, key, value *yaml.Node)) {
	if n.Tag != "!!map" {
		d.unknownTag(n)
	}
	d.checkKeys(n)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := deref(n.Content[i])
		if d.stopped {
			return
		}
		if isMergeKey(key) || d.bad[n.Content[i]] {
			continue
		}
		visit(key.Value, key, n.Content[i+1])
	}
}

// mergedEntries visits what the merge key of the mapping brings in, in YAML 1.1's order: of several
// mappings the earlier one wins. A mapping that was merged already has nothing new and is not visited
// again: a chain of merges would be visited 2^n times.
func (d *decoder) mergedEntries(n *yaml.Node, depth int, merged map[*yaml.Node]mergeState, visit func(name string, key, value *yaml.Node)) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMergeKey(n.Content[i]) {
			continue
		}
		value := n.Content[i+1]
		if target := deref(value); target.Kind == yaml.SequenceNode {
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

func (d *decoder) mergeOne(n *yaml.Node, depth int, merged map[*yaml.Node]mergeState, visit func(name string, key, value *yaml.Node)) {
	if !d.enter(n, depth) {
		return
	}
	follow := func(target *yaml.Node) any {
		switch merged[target] {
		case merging:
			d.holdsItself(n)
		case unmerged:
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
	case n.Kind == yaml.AliasNode && deref(n).Kind == yaml.MappingNode:
		d.alias(n, follow)
	default:
		d.errorf(n, "`<<` merges a mapping or a list of mappings, not %s", kindName(deref(n)))
	}
}

// deref returns what a node stands for: itself, or an alias's target.
func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isMergeKey(n *yaml.Node) bool { return n.Tag == "!!merge" && n.Value == mergeKey }

func hasMerge(n *yaml.Node) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMergeKey(n.Content[i]) {
			return true
		}
	}
	return false
}

// kindName says in words what a node is.
func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + clip(n.Value)
	case n.Tag == "!!bool":
		return clip(n.Value)
	case n.Tag == "!!null":
		return "null"
	case n.Tag == "!!timestamp":
		return "the date " + clip(n.Value)
	default:
		return "the string " + quoted(n.Value)
	}
}

func (d *decoder) unknownTag(n *yaml.Node) {
	d.errorAt(n, d.start(n), "the tag %s is not known here; leave it out", clip(strings.TrimSpace(n.Tag)))
}
