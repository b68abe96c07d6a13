package cli

import (
	"fmt"
	"maps"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/plan"
	"agentsync/schema"
)

// inUse returns the value of a variable that is set, or that stands for a secret of an app before.
func (ex *exporter) inUse(name string) (string, bool) {
	for _, p := range ex.parts {
		for _, v := range p.variables {
			if v.Name == name {
				value, _ := p.lookup(name)
				return value, true
			}
		}
	}
	return ex.app.lookup()(name)
}

// unmanaged returns the live agents that state does not know, and counts those left out because the
// manifests want an agent of the same name that state does not know either.
func (ex *exporter) unmanaged(id agent.AppID, live []plan.Live) (free []plan.Live, namesakes int) {
	s := ex.platforms[id.Platform].Schema()
	owned := map[string]bool{}
	for addr, rec := range ex.snap.State.Agents {
		if addr.ID() == id {
			owned[rec.UID] = true
			for _, uid := range rec.Obsolete {
				owned[uid] = true
			}
		}
	}
	waiting := map[string]bool{}
	for _, d := range ex.fleet.Agents {
		if _, known := ex.snap.State.Agents[d.Address]; d.Address.ID() == id && !known {
			waiting[identity(s, d.Fields)] = true
		}
	}
	for _, l := range live {
		switch {
		case owned[l.UID]:
		case waiting[identity(s, l.Content.Fields())]:
			namesakes++
		default:
			free = append(free, l)
		}
	}
	return free, namesakes
}

// identity joins what a person tells agents apart by.
func identity(s *schema.Platform, f agent.Fields) string {
	var b strings.Builder
	for _, field := range s.Fields {
		if field.Identity {
			text, _ := f[field.Name].(string)
			fmt.Fprintf(&b, "%q ", text)
		}
	}
	return b.String()
}

func (ex *exporter) takenKeys(id agent.AppID) map[string]bool {
	taken := map[string]bool{}
	for addr := range ex.snap.State.Agents {
		taken[addr.Key] = taken[addr.Key] || addr.ID() == id
	}
	for _, d := range ex.fleet.Agents {
		taken[d.Address.Key] = taken[d.Address.Key] || d.Address.ID() == id
		for _, key := range d.PreviousKeys {
			taken[key] = taken[key] || d.Address.ID() == id
		}
	}
	maps.DeleteFunc(taken, func(_ string, is bool) bool { return !is })
	return taken
}
