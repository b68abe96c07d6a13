package state

import (
	"errors"
	"fmt"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// PublicLineage is the lineage of a state that Public made.
const PublicLineage = "public"

// errPublic: see State.Public.
var errPublic = errors.New("this state was made by 'agentsync state pull --public', for plans alone: it lacks what an apply needs")

// Public returns a copy without the lineage and the hashes of secrets, for those who may plan and not apply. No File writes it.
func (s *State) Public() (*State, error) {
	p := s.Clone()
	p.Lineage = PublicLineage
	for a, r := range p.Agents {
		for _, doc := range []*agent.Doc{&r.Applied, &r.Observed} {
			if *doc == nil {
				continue
			}
			fields, err := doc.Fields()
			if err == nil {
				*doc, err = agent.Encode(unsealed(map[string]any(fields)).(map[string]any))
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a, err)
			}
		}
		p.Agents[a] = r
	}
	return p, nil
}

// unsealed returns v with nothing in the place of each hash.
func unsealed(v any) any {
	switch v := v.(type) {
	case secret.Sealed:
		return secret.Sealed{}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, e := range v {
			out[name] = unsealed(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = unsealed(e)
		}
		return out
	}
	return v
}
