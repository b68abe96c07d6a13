package plan

import (
	"fmt"
	"slices"

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
		if f, ok := p.Field(name); v == nil && ok {
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
	wanted, _ := seal(&d, s)
	old := prior.Applied
	if old == nil {
		old = prior.Observed
	}
	if old == nil || len(d.IgnoreChanges) == 0 {
		return encode(d.Address, wanted)
	}
	before, err := decode(d.Address, "applied", old)
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
	return encode(d.Address, merged)
}

func encode(a agent.Address, f agent.Fields) (agent.Doc, error) {
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

// ObservedAfter returns what to record as observed once an update sent the named top-level fields: what the platform made of
// those, and of every other field what before says, which is what was observed before the update. A field that was not sent
// and shows another value now was changed by somebody else, and a record that took the value over would hide that for good.
// Where before is nil, nothing is known of the other fields, and all that is shown is recorded.
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
