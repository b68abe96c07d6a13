package plan

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// listings index what is live by app and uid. An app that was not listed, or whose list is doubted, is
// missing.
type listings map[agent.AppID]map[string]agent.Content

// index reads the lists of the input. It returns as well the agents that no record owns and the apps
// whose list shows none of the agents that state knows: such a list is more likely cut short, or of
// another app, than true.
func index(in *Input) (l listings, unmanaged []Unmanaged, doubted []agent.AppID) {
	if len(in.Live) == 0 {
		return nil, nil, nil
	}
	owned, known := in.owned(), map[agent.AppID]bool{}
	for a := range in.Prior {
		known[a.ID()] = true
	}
	l = make(listings, len(in.Live))
	for id, list := range in.Live {
		found := 0
		byUID := make(map[string]agent.Content, len(list))
		for _, live := range list {
			byUID[live.UID] = live.Content
			if owned[id][live.UID] {
				found++
				continue
			}
			unmanaged = append(unmanaged, Unmanaged{App: id, UID: live.UID, Name: nameOf(in.schema(id), live.Content)})
		}
		if found == 0 && known[id] {
			doubted = append(doubted, id)
			continue
		}
		l[id] = byUID
	}
	slices.SortFunc(unmanaged, func(a, b Unmanaged) int {
		return cmp.Or(a.App.Compare(b.App), cmp.Compare(a.UID, b.UID))
	})
	slices.SortFunc(doubted, agent.AppID.Compare)
	return l, unmanaged, doubted
}

func nameOf(p *schema.Platform, c agent.Content) agent.Fields {
	name := agent.Fields{}
	if p == nil {
		return name
	}
	for _, field := range p.Fields {
		if !field.Identity {
			continue
		}
		if v, ok := c.Value(field.Name).(string); ok {
			name[field.Name] = v
		}
	}
	return name
}

// vanished reports whether the app was listed and the list does not show the uid.
func (l listings) vanished(id agent.AppID, uid string) bool {
	byUID, listed := l[id]
	_, ok := byUID[uid]
	return listed && !ok
}

// unchanged reports whether the agent is certainly as it was observed, or nothing says what it is. It may report false for an agent that did not change. wanted is what was applied.
func (l listings) unchanged(id agent.AppID, rec *agent.Record, wanted agent.Fields, s secret.Sealer) bool {
	content, listed := l[id][rec.UID]
	if !listed || content.IsZero() {
		return true // what cannot be read is not known
	}
	if rec.Observed == nil {
		return false
	}
	doc, err := ObservedDoc(content, wanted, s)
	return err == nil && bytes.Equal(doc, rec.Observed)
}

// shown returns the live agent's fields, sealed, with what the platform hides of its secrets put in
// as it was observed; nil where the app was not listed. like is what was applied.
func (l listings) shown(p *schema.Platform, id agent.AppID, uid string, observed, like agent.Fields, s secret.Sealer) agent.Fields {
	content, ok := l[id][uid]
	if !ok || content.IsZero() { // what cannot be read is not known
		return nil
	}
	raw := content.Fields()
	sealed := SealAnswer(raw, like, s)
	for _, f := range p.Fields {
		for _, pointer := range f.Secret {
			sealed = agent.Fields(unhide(pointer, map[string]any(raw), map[string]any(sealed), map[string]any(observed)).(map[string]any))
		}
	}
	return sealed
}

// unhide returns sealed with the secret at the JSON pointer replaced by what was observed, as far as
// raw hides it. Maps on the way are copied.
func unhide(pointer string, raw, sealed, observed any) any {
	if pointer == "" {
		return unhidden(raw, sealed, observed)
	}
	token, below, more := strings.Cut(pointer[1:], "/")
	if more {
		below = "/" + below
	}
	token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
	r, _ := raw.(map[string]any)
	o, _ := observed.(map[string]any)
	s, ok := sealed.(map[string]any)
	if !ok {
		return sealed
	}
	v := unhide(below, r[token], s[token], o[token])
	if v == nil || s[token] == nil && o[token] == nil {
		return sealed
	}
	filled := make(map[string]any, len(s)+1)
	for k, e := range s {
		filled[k] = e
	}
	filled[token] = v
	return filled
}

// unhidden decides for one secret, or a map of them. A list that leaves secrets out, or masks them, says
// nothing about them; once it shows one in clear, those that are missing are gone.
func unhidden(raw, sealed, observed any) any {
	if hides(raw) && observed != nil {
		return observed
	}
	r, ok := raw.(map[string]any)
	o, ok2 := observed.(map[string]any)
	if !ok || !ok2 {
		return sealed
	}
	s := sealed.(map[string]any)
	filled := make(map[string]any, len(s))
	for k, v := range s {
		filled[k] = unhidden(r[k], v, o[k])
	}
	if allHide(r) {
		for k, v := range o {
			if _, ok := r[k]; !ok {
				filled[k] = v
			}
		}
	}
	return filled
}

func allHide(m map[string]any) bool {
	for _, v := range m {
		if !hides(v) {
			return false
		}
	}
	return true
}

// hides reports whether a value that stands in a secret field is none: missing, empty or masked.
func hides(v any) bool {
	if text, ok := v.(secret.Text); ok {
		s, err := text.Reveal()
		return err == nil && masked(s)
	}
	return v == nil || isEmpty(v)
}

// masked reports whether a platform answered a mask in place of a secret: stars or dots in a row, or a
// word that says so. A real credential holds none of these.
func masked(s string) bool {
	s = strings.ToLower(s)
	return s == "" || strings.Contains(s, "***") || strings.Contains(s, "•••") ||
		slices.Contains([]string{"redacted", "[redacted]", "<redacted>", "(redacted)", "hidden", "masked"}, s)
}
