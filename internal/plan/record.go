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
	"agentsync/schema"
)

// Payload returns the fields that an update sends: each one named in send, whole, and one that the
// manifest does not hold as the platform's default or empty. With them go the fields without which a platform may
// not take them (schema.Field.SentWith), as desired has them, but for those that ignored names: they are no changes,
// and nobody shows them. Values are desired's own, so secrets stay as they are there.
func Payload(p *schema.Platform, desired agent.Fields, send []string, ignored ...string) agent.Fields {
	fields := make(agent.Fields, len(send))
	for _, name := range send {
		f, _ := p.Field(name)
		for _, other := range f.SentWith {
			if v := desired[other]; v != nil && !slices.Contains(ignored, other) {
				fields[other] = v
			}
		}
	}
	for _, name := range send {
		v := desired[name]
		if v == nil {
			f, _ := p.Field(name)
			v = f.Cleared()
		}
		fields[name] = v
	}
	return fields
}

// AppliedDoc returns what to record as applied once d is carried out: what it wants, but for the
// fields of lifecycle.ignoreChanges, which were not sent and keep what prior says of them. For an
// agent that was just created, by a create or a replace, prior is the zero Record: a create sends all.
func AppliedDoc(d agent.Desired, prior agent.Record, s secret.Sealer) (agent.Doc, error) {
	wanted, _ := sealWanted(&d, s)
	old := prior.Applied
	if old == nil {
		old = prior.Observed
	}
	if old == nil || len(d.IgnoreChanges) == 0 {
		return encodeDoc(d.Address, wanted)
	}
	before, err := decodeDoc(d.Address, "applied", old)
	if err != nil {
		return nil, err
	}
	merged := make(agent.Fields, len(wanted))
	for name, v := range wanted {
		if !slices.Contains(d.IgnoreChanges, name) {
			merged[name] = v
		}
	}
	for _, name := range d.IgnoreChanges {
		if v, ok := before[name]; ok {
			merged[name] = v
		}
	}
	return encodeDoc(d.Address, merged)
}

func encodeDoc(a agent.Address, f agent.Fields) (agent.Doc, error) {
	doc, err := agent.Encode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, err)
	}
	return doc, nil
}

// ObservedDoc returns what to record of what a platform shows, nil where it shows nothing. like is what
// was sent or applied, resolved or sealed: it tells where secrets stand.
func ObservedDoc(shown agent.Content, like agent.Fields, s secret.Sealer) (agent.Doc, error) {
	if shown.IsZero() {
		return nil, nil
	}
	if doc, ok := shown.Doc(); ok && !holdsSecret(map[string]any(like)) {
		return doc, nil
	}
	return agent.Encode(SealAnswer(shown.Fields(), like, s))
}

// ObservedAfter returns what to record as observed once an update sent the named top-level fields: what the platform
// made of those, and of every other field what before says, which is what was observed before the update. A field that
// was not sent and shows another value now was changed by somebody else, and a record that took the value over would
// hide that for good. Where before is nil, nothing is known of the other fields, and all that is shown is recorded.
func ObservedAfter(
	before agent.Doc, shown agent.Content, like agent.Fields, sent []string, s secret.Sealer,
) (agent.Doc, error) {
	if before == nil || shown.IsZero() {
		return ObservedDoc(shown, like, s)
	}
	merged, err := before.Fields()
	if err != nil {
		return nil, fmt.Errorf("observed before the update: %w", err)
	}
	answered := SealAnswer(shown.Fields(), like, s)
	for _, name := range sent {
		if v, ok := answered[name]; ok {
			merged[name] = v
		} else {
			delete(merged, name)
		}
	}
	return agent.Encode(merged)
}

// SealAnswer returns what a platform answered with its secrets sealed: each secret.Text, and each
// string that stands where like holds a secret. A ${secret:} reference can stand in any string, and
// the platform answers its value as plain text; without this the value would be stored. like is what
// was sent or applied, resolved or sealed. The result may share memory with answered.
func SealAnswer(answered, like agent.Fields, s secret.Sealer) agent.Fields {
	if answered == nil || !answered.HasSecrets() && !holdsSecret(map[string]any(like)) {
		return answered
	}
	return agent.Fields(sealLike("", map[string]any(answered), map[string]any(like), s).(map[string]any))
}

// sealLike seals the strings of v that stand where like holds a secret. Below a secret, and in a list
// that holds one (its members can have moved), every string is sealed.
func sealLike(path string, v, like any, s secret.Sealer) any {
	switch v := v.(type) {
	case secret.Text:
		return s.Seal(path, v)
	case string:
		if secret.Is(like) {
			return s.Seal(path, secret.Literal(v))
		}
	case map[string]any:
		sealed := make(map[string]any, len(v))
		for k, e := range v {
			below := like
			if !secret.Is(like) {
				members, _ := like.(map[string]any)
				below = members[k]
			}
			sealed[k] = sealLike(path+"/"+agent.EscapePointer(k), e, below, s)
		}
		return sealed
	case []any:
		if holdsSecret(like) {
			like = secret.Sealed{}
		}
		sealed := make([]any, len(v))
		for i, e := range v {
			sealed[i] = sealLike(fmt.Sprintf("%s/%d", path, i), e, like, s)
		}
		return sealed
	}
	return v
}

// holdsSecret reports whether v is a secret or holds one.
func holdsSecret(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if holdsSecret(e) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, holdsSecret)
	}
	return secret.Is(v)
}

// sealWanted returns d's fields with secrets sealed, and whether there are none. Then it returns d's own fields:
// most agents hold none, and a copy of each would be the larger part of a plan's cost.
func sealWanted(d *agent.Desired, s secret.Sealer) (sealed agent.Fields, plain bool) {
	if !d.Fields.HasSecrets() {
		return d.Fields, true
	}
	return d.Fields.Seal(s), false
}

// decodeDoc reads a document of a record. The error says which one is damaged.
func decodeDoc(a agent.Address, which string, doc agent.Doc) (agent.Fields, error) {
	f, err := doc.Fields()
	if err != nil {
		return nil, fmt.Errorf("state: %s of %s: %w", which, a, err)
	}
	return f, nil
}

// sameAsApplied reports whether an agent's document and the one that was last applied are the same, where a secret
// whose value is not known now matches any value under the same variable. A document without secrets is its bytes. One
// with secrets is compared value by value: whatever bytes mark a secret, a text of the manifest could hold them as
// well.
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
	for leaf := range agent.Leaves(v) {
		if sealed, ok := leaf.(secret.Sealed); ok && sealed.Value == "" {
			return true
		}
	}
	return false
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
		setSecretValues(fields, forgotten)
		if *doc, err = agent.Encode(fields); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

// setSecretValues puts value in place of what is known of each secret's value.
func setSecretValues(fields agent.Fields, value string) {
	agent.Walk("", map[string]any(fields), func(_ string, leaf any) any {
		if s, ok := leaf.(secret.Sealed); ok {
			s.Value = value
			return s
		}
		return leaf
	})
}

// ForgetSecretsOf returns the records with the secrets of those that patterns select forgotten, so that a plan sends
// them again where the platform does not show that it has them. Without a pattern it returns records.
func ForgetSecretsOf(records map[agent.Address]agent.Record, patterns []agent.Glob) map[agent.Address]agent.Record {
	if len(patterns) == 0 {
		return records
	}
	forgot := maps.Clone(records)
	for a, rec := range records {
		if !slices.ContainsFunc(patterns, func(g agent.Glob) bool { return g.Match(a) }) {
			continue
		}
		if rec, err := ForgetSecrets(rec); err == nil { // else whoever plans is told
			forgot[a] = rec
		}
	}
	return forgot
}

// basisOf digests what a change was computed from. Either side may be missing: a nil rec is an agent that state does
// not know, a nil d one that the manifests do not name. c and doc are d's fields and their canonical form.
func (in *Input) basisOf(rec *agent.Record, d *agent.Desired, c *comparison, doc agent.Doc) Basis {
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
		b.Record = digestOf(parts...)
	}
	if d != nil {
		if !c.plain { // a plan is reviewed where the values of secrets are not known
			wanted := c.wanted.Clone()
			setSecretValues(wanted, "")
			doc, _ = encodeDoc(d.Address, wanted) // it was encoded before
		}
		parts := [][]byte{doc, strconv.AppendBool(nil, d.Protect)}
		for _, name := range d.IgnoreChanges {
			parts = append(parts, []byte(name))
		}
		parts = appendMark(parts, d.Mark)
		b.Desired = digestOf(parts...)
	}
	return b
}

// digestOf hashes length-prefixed parts; nil and empty differ.
func digestOf(parts ...[]byte) string {
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

// appendMark adds a mark to what is digested; without one the digest is as if there were no marks.
func appendMark(parts [][]byte, mark string) [][]byte {
	if mark == "" {
		return parts
	}
	return append(parts, []byte("mark:"+mark))
}
