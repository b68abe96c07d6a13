package plan

import (
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// Refreshed is one record that is behind what is live.
type Refreshed struct {
	Address agent.Address `json:"address"`
	UID     string        `json:"uid"`
	// Vanished reports that the agent is gone: no list shows it, and the platform says so itself.
	Vanished bool `json:"vanished"`
	// Unlisted reports that the platform's list does not show the agent, which is no proof that it is gone:
	// nothing is to be recorded.
	Unlisted bool `json:"unlisted,omitempty"`
	// Fields are what someone else changed: Before is what was last applied, After what is live. It is
	// empty where only values differ that the platform makes up on its own.
	Fields []FieldChange `json:"-"`
	// Record is the record as it would be, zero with Vanished or Unlisted.
	Record agent.Record `json:"-"`
}

// Refresh compares the records with what is live, the manifests left aside, and returns those that are
// behind, ordered by address, and the apps whose list is not believed (see Plan.Doubted). Of a field
// that someone else changed, the record then says that the live value was applied: the next plan shows
// it against the manifest, and it is gone from there once the manifest says the same.
func Refresh(in Input) (behind []Refreshed, doubted []agent.AppID, err error) {
	live, _, doubted := indexLists(&in)
	addresses := slices.SortedFunc(maps.Keys(in.Prior), agent.Address.Compare)
	for _, a := range addresses {
		rec := in.Prior[a]
		if !live.isListed(a.ID()) || !in.isTarget(a) {
			continue
		}
		if live.hasVanished(a.ID(), rec.UID) {
			gone := in.Gone[a.ID()][rec.UID] && rec.API == in.schemaOf(a.ID()).Recorded()
			behind = append(behind, Refreshed{Address: a, UID: rec.UID, Vanished: gone, Unlisted: !gone})
			continue
		}
		r, changed, err := refreshOne(&in, live, a, rec)
		if err != nil {
			return nil, nil, err
		}
		if changed {
			behind = append(behind, r)
		}
	}
	return behind, doubted, nil
}

func refreshOne(in *Input, live listings, a agent.Address, rec agent.Record) (Refreshed, bool, error) {
	c := comparison{schema: in.schemaOf(a.ID()), sealer: in.Sealer, resumed: isBare(&rec)}
	if now := c.schema.Recorded(); rec.API != now {
		rec.Observed, rec.API = nil, now // it is in another version's fields
	}
	r := Refreshed{Address: a, UID: rec.UID, Record: rec}
	applied, err := decodeDoc(a, "applied", rec.Applied)
	if err != nil {
		return r, false, err
	}
	if c.observed, err = decodeDoc(a, "observed", rec.Observed); err != nil {
		return r, false, err
	}
	if c.base = applied; c.base == nil {
		c.base = c.observed
	}
	c.wanted = c.base
	c.live = live.shownFields(c.schema, a.ID(), rec.UID, c.observed, c.base, in.Sealer)
	if c.live == nil || rec.Observed != nil && sameFields(c.schema, c.live, c.observed) {
		return r, false, nil // what cannot be read is not known
	}
	drift := c.findDifferences()
	for _, f := range drift.fields {
		r.Fields = append(r.Fields, FieldChange{Path: f.Path, Before: f.Before, After: f.Live, Secret: f.Secret})
	}
	if applied != nil {
		for _, name := range drift.send {
			if v := keepNames(c.live[name], applied[name]); v != nil {
				applied[name] = v
			} else {
				delete(applied, name)
			}
		}
		if r.Record.Applied, err = encodeDoc(a, applied); err != nil {
			return r, false, err
		}
	}
	if r.Record.Observed, err = encodeDoc(a, c.live); c.resumed {
		r.Record.Applied = r.Record.Observed // see comparison.resumed
	}
	return r, true, err
}

// keepNames returns live with each secret that has the value of applied's as it stands there, so that
// the variable that it comes from is not forgotten.
func keepNames(live, applied any) any {
	switch l := live.(type) {
	case secret.Sealed:
		if s, _ := applied.(secret.Sealed); s.Equal(l) {
			return s
		}
	case map[string]any:
		old, _ := applied.(map[string]any)
		kept := make(map[string]any, len(l))
		for k, v := range l {
			kept[k] = keepNames(v, old[k])
		}
		return kept
	}
	return live
}

// TakeOver returns the record of an agent that is taken over from its platform as it is. live is what the platform
// shows, like what the manifest wants of it, or the YAML that is written for it. Each field that like names is recorded
// as applied with its live value: the next plan shows where the two differ, and a field that leaves the manifest later
// is sent as cleared, as after any apply. What like does not name is observed only, and stays as it is. Where a secret
// of live has the value of like's, or is masked, its variable is remembered: a plan made without the variables then
// shows no change.
func TakeOver(uid string, live, like agent.Fields, s secret.Sealer) (agent.Record, error) {
	observed := map[string]any(SealAnswer(live, like, s).Clone())
	named, _ := nameSecrets(map[string]any(live), observed, map[string]any(like.Seal(s))).(map[string]any)
	rec := agent.Record{UID: uid}
	var err error
	if rec.Observed, err = agent.Encode(agent.Fields(named)); err != nil || like == nil {
		return rec, err
	}
	applied := agent.Fields{}
	for name := range like {
		if v := named[name]; v != nil {
			applied[name] = v
		}
	}
	rec.Applied, err = agent.Encode(applied)
	return rec, err
}

// nameSecrets returns observed with the secrets of like in place of those that are the same.
func nameSecrets(live, observed, like any) any {
	switch o := observed.(type) {
	case secret.Sealed:
		l, ok := like.(secret.Sealed)
		if ok && (l.Value == o.Value || l.Value == "" && hidesSecret(live)) {
			return l
		}
	case map[string]any:
		m, _ := live.(map[string]any)
		l, _ := like.(map[string]any)
		for k, v := range o {
			o[k] = nameSecrets(m[k], v, l[k])
		}
	}
	return observed
}
