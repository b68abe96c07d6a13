package apply

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// listing is one complete answer of a platform to "which agents are there", indexed.
type listing struct {
	schema *schema.Platform
	all    []platform.Remote
	byUID  map[string]platform.Remote
	// byName returns the agents by identity, each slice in the platform's order of creation. It makes the
	// index when it is first asked for: a listing that verifies does without.
	byName func() map[string][]platform.Remote
	// byMark holds the agents that carry a mark, by that.
	byMark map[string][]platform.Remote
	// doubt is why more agents may be there than the listing shows, or nil. What it shows is there.
	doubt error
}

func newListing(p *schema.Platform, remotes []platform.Remote) *listing {
	l := &listing{
		schema: p, all: remotes,
		byUID:  make(map[string]platform.Remote, len(remotes)),
		byMark: map[string][]platform.Remote{},
	}
	for _, r := range remotes {
		l.byUID[r.UID] = r
		if r.Mark != "" {
			l.byMark[r.Mark] = append(l.byMark[r.Mark], r)
		}
	}
	l.byName = sync.OnceValue(func() map[string][]platform.Remote {
		byName := make(map[string][]platform.Remote, len(remotes))
		for _, r := range remotes {
			name := identity(p, r.Content)
			byName[name] = append(byName[name], r)
		}
		return byName
	})
	return l
}

// has reports whether the listing holds the uid; a nil listing holds nothing.
func (l *listing) has(uid string) bool {
	if l == nil {
		return false
	}
	_, ok := l.byUID[uid]
	return ok
}

// identity is what a person tells agents apart by: the schema's identity fields, white space folded,
// since platforms trim what they are sent.
func identity(p *schema.Platform, c agent.Content) string {
	var b strings.Builder
	for _, field := range p.Fields {
		if field.Identity {
			v := c.Value(field.Name)
			s, ok := v.(string)
			if text, isSecret := v.(secret.Text); !ok && isSecret {
				s, _ = text.Reveal() // unresolved: no live agent has that name
			}
			b.WriteString(strings.Join(strings.Fields(s), " "))
			b.WriteByte(0)
		}
	}
	return b.String()
}

// content is a key that two sets of fields share if and only if they hold the same, as far as a
// platform shows it: missing, null, the default and empty are the same, the order of unordered lists
// does not count, and values in fields that the schema marks secret are left out.
func content(p *schema.Platform, fields agent.Fields) string {
	norm := agent.Fields{}
	for _, f := range p.Fields {
		v := visible(p, "/"+agent.EscapePointer(f.Name), fields[f.Name])
		if list, ok := v.([]any); ok && f.Unordered {
			v = sortedStrings(list)
		}
		if v != nil && !agent.Equal(v, f.Cleared()) {
			norm[f.Name] = v
		}
	}
	doc, err := agent.Encode(norm)
	if err != nil {
		return "" // not a canonical value: equal to nothing that is
	}
	sum := sha256.Sum256(doc) // a secret outside the secret fields is part of doc: keep no copy
	return string(sum[:])
}

// visible returns a copy of v without what stands in secret fields and without null members.
func visible(p *schema.Platform, path string, v any) any {
	if p.IsSecret(path) {
		return nil
	}
	switch v := v.(type) {
	case secret.Text:
		s, err := v.Reveal()
		if err != nil {
			return secret.Sealed{}
		}
		return s
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			if e = visible(p, path+"/"+agent.EscapePointer(k), e); e != nil {
				m[k] = e
			}
		}
		return m
	default:
		return v
	}
}

// holdsSent reports whether a live agent holds all that was sent, secrets aside. Fields and members
// that were not sent may hold anything: platforms add to what they are given.
func holdsSent(p *schema.Platform, sent agent.Fields, live agent.Content) bool {
	return len(differences(p, sent, live)) == 0
}

// holdsDoc reports whether a live agent certainly holds all of a document that was sent: each field byte
// for byte. It may report false where holdsSent would not.
func holdsDoc(sent agent.Doc, live agent.Content) bool {
	doc, ok := live.Doc()
	if !ok {
		return false
	}
	return doc.Holds(sent)
}

// differences returns the names of the sent fields that the live agent does not hold as they were
// sent, in the schema's order.
func differences(p *schema.Platform, sent agent.Fields, shown agent.Content) []string {
	live := shown.Fields()
	var names []string
	for i := range p.Fields {
		f := &p.Fields[i]
		v, ok := sent[f.Name]
		if ok && !sameField(f, v, live[f.Name]) {
			names = append(names, f.Name)
		}
	}
	return names
}

// sameField compares one top-level field, taking missing, null, the default and empty as the same.
func sameField(f *schema.Field, sent, live any) bool {
	return sameValue(orCleared(f, sent), orCleared(f, live), f.Unordered)
}

func orCleared(f *schema.Field, v any) any {
	if v == nil {
		return f.Cleared()
	}
	return v
}

// sameValue compares below a field. A secret on either side matches anything: platforms mask them.
func sameValue(sent, live any, unordered bool) bool {
	if isSecret(sent) || isSecret(live) {
		return true
	}
	switch sent := sent.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		return ok && sameMembers(sent, live)
	case []any:
		live, ok := live.([]any)
		if !ok || len(sent) != len(live) {
			return false
		}
		if unordered {
			sent, live = sortedStrings(sent), sortedStrings(live)
		}
		return slices.EqualFunc(sent, live, func(a, b any) bool { return sameValue(a, b, false) })
	default:
		return agent.Equal(sent, live)
	}
}

func sameMembers(sent, live map[string]any) bool {
	for k, s := range sent {
		l, ok := live[k]
		if !ok && (s == nil || holdsOnlySecrets(s)) {
			continue
		}
		if !ok || !sameValue(s, l, false) {
			return false
		}
	}
	return true
}

func isSecret(v any) bool {
	switch v.(type) {
	case secret.Text, secret.Sealed:
		return true
	}
	return false
}

// holdsOnlySecrets reports whether v is a secret, or a map of nothing but secrets: what a platform
// that masks headers may leave out altogether.
func holdsOnlySecrets(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return isSecret(v)
	}
	for _, e := range m {
		if !holdsOnlySecrets(e) {
			return false
		}
	}
	return true
}

// sortedStrings returns a sorted copy of a list of strings; other lists are returned as they are.
func sortedStrings(list []any) []any {
	for _, v := range list {
		if _, ok := v.(string); !ok {
			return list
		}
	}
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return sorted
}

// createdBefore reports whether the platform says that the agent is older than at, beyond doubt about
// clocks and truncation.
func createdBefore(r platform.Remote, at time.Time) bool {
	return !r.CreatedAt.IsZero() && r.CreatedAt.Before(at.Add(-clockSkew))
}
