package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// seal returns d's fields with secrets sealed, and whether there are none. Then it returns d's own fields:
// most agents hold none, and a copy of each would be the larger part of a plan's cost.
func seal(d *agent.Desired, s secret.Sealer) (sealed agent.Fields, plain bool) {
	if !d.Fields.HasSecrets() {
		return d.Fields, true
	}
	return d.Fields.Seal(s), false
}

// decode reads a document of a record. The error says which one is damaged.
func decode(a agent.Address, which string, doc agent.Doc) (agent.Fields, error) {
	f, err := doc.Fields()
	if err != nil {
		return nil, fmt.Errorf("state: %s of %s: %w", which, a, err)
	}
	return f, nil
}

// sameAsApplied reports whether an agent's document and the one that was last applied are the same, where a secret whose
// value is not known now matches any value under the same variable. A document without secrets is its bytes. One with
// secrets is compared value by value: whatever bytes mark a secret, a text of the manifest could hold them as well.
func (c *comparison) sameAsApplied(wanted, applied agent.Doc) bool {
	if bytes.Equal(wanted, applied) {
		return true
	}
	if c.plain || applied == nil {
		return false
	}
	fields, err := applied.Fields()
	return err == nil && sameSealed(map[string]any(c.wanted), map[string]any(fields))
}

// sameSealed is agent.Equal, but for secrets: a variable that got another name is a difference, also where its value is
// the same, and a value that is not known now is none.
func sameSealed(wanted, applied any) bool {
	switch w := wanted.(type) {
	case map[string]any:
		a, ok := applied.(map[string]any)
		return ok && maps.EqualFunc(w, a, sameSealed)
	case []any:
		a, ok := applied.([]any)
		return ok && slices.EqualFunc(w, a, sameSealed)
	case secret.Sealed:
		a, ok := applied.(secret.Sealed)
		return ok && w.Template == a.Template && (w.Value == "" || w.Value == a.Value)
	}
	return agent.Equal(wanted, applied)
}

// hasUnknown reports whether v holds a secret that was sealed without its value.
func hasUnknown(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if hasUnknown(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasUnknown)
	case secret.Sealed:
		return v.Value == ""
	}
	return false
}

// withoutValues returns v as if the value of no secret had been known.
func withoutValues(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = withoutValues(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = withoutValues(e)
		}
		return out
	case secret.Sealed:
		v.Value = ""
		return v
	}
	return v
}

// forgotten stands for the value of a secret of which nothing is known: no seal is like it.
const forgotten = "forgotten"

// ForgetSecrets returns a record in which every secret counts as another one than any that a manifest holds.
func ForgetSecrets(rec agent.Record) (agent.Record, error) {
	for _, doc := range []*agent.Doc{&rec.Applied, &rec.Observed} {
		if !doc.HasSecrets() {
			continue
		}
		fields, err := doc.Fields()
		if err != nil {
			return rec, err
		}
		changed := agent.Walk("", map[string]any(fields), func(_ string, leaf any) any {
			if s, ok := leaf.(secret.Sealed); ok {
				s.Value = forgotten
				return s
			}
			return leaf
		})
		if *doc, err = agent.Encode(agent.Fields(changed.(map[string]any))); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

// basis digests what a change was computed from. Either side may be missing: a nil rec is an agent
// that state does not know, a nil d one that the manifests do not name. c and doc are d's fields and their canonical form.
func (in *Input) basis(rec *agent.Record, d *agent.Desired, c *comparison, doc agent.Doc) Basis {
	var b Basis
	if in.Unbound {
		return b
	}
	if rec != nil {
		parts := [][]byte{[]byte(rec.UID), rec.Applied, rec.Observed, strconv.AppendBool(nil, rec.Protect)}
		for _, uid := range rec.Obsolete {
			parts = append(parts, []byte(uid))
		}
		parts = appendMark(parts, rec.Mark)
		b.Record = digest(parts...)
	}
	if d != nil {
		if !c.plain { // a plan is reviewed where the values of secrets are not known
			doc, _ = encode(d.Address, withoutValues(map[string]any(c.wanted)).(map[string]any)) // it was encoded before
		}
		parts := [][]byte{doc, strconv.AppendBool(nil, d.Protect)}
		for _, name := range d.IgnoreChanges {
			parts = append(parts, []byte(name))
		}
		parts = appendMark(parts, d.Mark)
		b.Desired = digest(parts...)
	}
	return b
}

// digest hashes length-prefixed parts; nil and empty differ.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		if p == nil {
			n = -1
		}
		fmt.Fprintf(h, "%d:", n)
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
