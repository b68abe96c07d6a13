package plan

import (
	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// TakeOver returns the record of an agent that is taken over from its platform as it is. live is what
// the platform shows, like what the manifest wants of it, or the YAML that is written for it. Each field that like names is
// recorded as applied with its live value: the next plan shows where the two differ, and a field that leaves the manifest
// later is sent as cleared, as after any apply. What like does not name is observed only, and stays as it is. Where a
// secret of live has the value of like's, or is masked, its variable is remembered: a plan made without
// the variables then shows no change.
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
		if ok && (l.Value != "" && l.Value == o.Value || l.Value == "" && hides(live)) {
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
