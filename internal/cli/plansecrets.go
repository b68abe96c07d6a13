package cli

import (
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/exit"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

// missingSecrets returns which secrets of the manifests have no value here: those that an apply has sent before, and those that
// are new, for which somebody has to set a variable before the next one.
func (w *workspace) missingSecrets() plan.MissingSecrets {
	open := map[string]bool{} // without a value, and not known to have been sent
	for _, use := range w.fleet.SecretUses() {
		if _, set := w.app.Secret(use.Name); !set {
			open[use.Name] = true
		}
	}
	var m plan.MissingSecrets
	sealer := secret.Sealer{Key: []byte(w.snap.State.Lineage)}
	for _, d := range w.fleet.Agents {
		if len(open) == 0 {
			break // as it is for most fleets, and where all were sent before
		}
		rec, known := w.snap.State.Agents[d.Address]
		if !known || !d.Fields.HasSecrets() {
			continue
		}
		applied, err := rec.Applied.Fields()
		if err != nil {
			continue // whoever plans is told
		}
		sent := map[string]secret.Sealed{}
		eachSecret(applied, func(path string, s secret.Sealed) { sent[path] = s })
		eachSecret(d.Fields, func(path string, t secret.Text) {
			if was, ok := sent[path]; !ok || was.Template != sealer.Seal(path, t).Template {
				return
			}
			for _, name := range t.Names() {
				if open[name] {
					delete(open, name)
					m.Known = append(m.Known, name)
				}
			}
		})
	}
	for name := range open {
		m.New = append(m.New, name)
	}
	slices.Sort(m.Known)
	slices.Sort(m.New)
	return m
}

// prior returns the records that a plan is made of: nothing is known in them of the secrets of the agents that --resend selects,
// so that the plan sends them again where the platform does not show that it has them. again reports that they were sent.
func (w *workspace) prior(records map[agent.Address]agent.Record, again bool) map[agent.Address]agent.Record {
	if len(w.resend) == 0 || again {
		return records
	}
	forgot := maps.Clone(records)
	for a, rec := range records {
		if !selects(w.resend, a) {
			continue
		}
		if rec, err := plan.ForgetSecrets(rec); err == nil { // else whoever plans is told
			forgot[a] = rec
		}
	}
	return forgot
}

// checkResend refuses a pattern of --resend that selects no agent with secrets: a slip of the pen would send nothing.
func (w *workspace) checkResend() error {
	for _, g := range w.resend {
		var known []agent.Address
		found := false
		for _, d := range w.fleet.Agents {
			if _, managed := w.snap.State.Agents[d.Address]; managed && d.Fields.HasSecrets() {
				known = append(known, d.Address)
				found = found || g.Match(d.Address)
			}
		}
		if found {
			continue
		}
		hint := "see where secrets are used:\n  agentsync secrets"
		if near := nearestAddress(string(g), known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return exit.Usagef("%s", "--resend "+string(g)+" selects no agent in the state that has secrets").Hinted(hint)
	}
	return nil
}
