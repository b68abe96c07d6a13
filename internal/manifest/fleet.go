package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
)

// fleetJoiner puts the sections of all files together.
type fleetJoiner struct {
	problems *diag.List
	apps     map[agent.AppID]agent.App
	places   map[agent.AppID]map[string]diag.Pos
	agents   []loadedAgent
	index    map[agent.Address]diag.Pos
}

func newJoiner(agents int, problems *diag.List) *fleetJoiner {
	return &fleetJoiner{
		problems: problems,
		apps:     map[agent.AppID]agent.App{},
		places:   map[agent.AppID]map[string]diag.Pos{},
		agents:   make([]loadedAgent, 0, agents),
		index:    make(map[agent.Address]diag.Pos, agents),
	}
}

// addSection takes a section's app and agents. A second use of an address is reported where it stands,
// with the place of the first.
func (j *fleetJoiner) addSection(s platformSection) {
	if s.app.ID.App != "" {
		j.addApp(s)
	}
	for _, a := range s.agents {
		if first, ok := j.index[a.Address]; ok {
			j.problem(a, a.Source, "the key %s is used twice in %s, first at %s; give one agent another key",
				diag.Ticked(a.Address.Key), a.Address.ID(), first)
			continue
		}
		j.index[a.Address] = a.Source
		j.agents = append(j.agents, a)
	}
}

func (j *fleetJoiner) problem(a loadedAgent, pos diag.Pos, format string, args ...any) {
	*j.problems = append(*j.problems, diag.Problem{
		Severity: diag.Error, Pos: pos, Summary: fmt.Sprintf(format, args...), Address: a.Address.String(),
	})
}

// addApp takes the first section of an app and holds later ones against it.
func (j *fleetJoiner) addApp(s platformSection) {
	first, ok := j.apps[s.app.ID]
	if !ok {
		j.apps[s.app.ID], j.places[s.app.ID] = s.app, s.places
		return
	}
	differ := func(name, here, there string) {
		if here != there {
			j.problems.Errorf(s.places[name], "%s is %s here and %s at %s; all sections of %s must agree",
				name, orNone(here), orNone(there), j.places[s.app.ID][name], s.app.ID)
		}
	}
	names := slices.Sorted(maps.Keys(first.Settings))
	for _, name := range slices.Sorted(maps.Keys(s.app.Settings)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		differ(name, s.app.Settings[name], first.Settings[name])
	}
	differ("endpoint", s.app.Endpoint, first.Endpoint)
	differ("apiKeyEnv", s.app.APIKeyEnv, first.APIKeyEnv)
	differ("marker", fmt.Sprint(s.app.Marker), fmt.Sprint(first.Marker))
}

func orNone(s string) string {
	if s == "" {
		return "not set"
	}
	return diag.Quoted(s)
}

// checkCredentials refuses API keys wherever a variable is filled in, and secrets where they would be filled in
// when the file is read: both would end up in plans, in the state and in the agents themselves.
func (j *fleetJoiner) checkCredentials(results []fileResult, apiKeys []string) {
	keys := map[string]bool{}
	for _, name := range apiKeys {
		keys[name] = true
	}
	for _, app := range j.apps {
		keys[app.APIKeyEnv] = true
	}
	// In two passes: a file that is read later may say that a variable is secret.
	secrets := map[string]diag.Pos{}
	for _, r := range results {
		for _, u := range r.uses {
			if _, ok := secrets[u.name]; u.secret && !ok {
				secrets[u.name] = u.pos
			}
		}
	}
	for _, r := range results {
		for _, u := range r.uses {
			if keys[u.name] {
				j.problems.Errorf(u.pos, "%s would put an API key into an agent; take it out", u)
			} else if first, ok := secrets[u.name]; ok && !u.secret {
				j.problems.Errorf(u.pos,
					"%s would write a secret into plans and the state: %s stands at %s; write ${secret:%s} here too, or use "+
						"another variable",
					u, "${secret:"+u.name+"}", first, u.name)
			}
		}
	}
}

// checkPreviousKeys refuses former keys that would make two agents one.
func (j *fleetJoiner) checkPreviousKeys() {
	claims := map[agent.Address]diag.Pos{}
	handsOn := map[agent.Address]bool{} // keys whose agents had other keys before: so they can have been another's
	for _, a := range j.agents {
		if len(a.PreviousKeys) > 0 {
			handsOn[a.Address] = true
		}
	}
	for _, a := range j.agents {
		for i, key := range a.PreviousKeys {
			pos, old := a.previous[i], a.Address
			old.Key = key
			user, used := j.index[old]
			claim, claimed := claims[old]
			switch {
			case old == a.Address:
				j.problem(a, pos, "previousKeys holds %s, which is the agent's key now; leave it out", diag.Ticked(key))
			case used && !handsOn[old]:
				j.problem(a, pos,
					"previousKeys holds %s, which is the key of another agent, at %s; leave it out, or name in that agent's "+
						"previousKeys the key that it had",
					diag.Ticked(key), user)
			case claimed:
				j.problem(a, pos,
					"previousKeys holds %s, which another agent claims too, at %s; only one can have had it",
					diag.Ticked(key), claim)
			default:
				claims[old] = pos
			}
		}
	}
}

// checkNamesakes warns of agents that a user of the platform could not tell apart.
func (j *fleetJoiner) checkNamesakes() {
	type who struct {
		app      agent.AppID
		identity string
	}
	first := make(map[who]int, len(j.agents))
	// By address, so that the same one of two namesakes is warned of, however the files are cut.
	sortAgents(j.agents)
	for i, a := range j.agents {
		if a.identity == "" {
			continue
		}
		w := who{a.Address.ID(), a.identity}
		k, ok := first[w]
		if !ok {
			first[w] = i
			continue
		}
		*j.problems = append(*j.problems, diag.Problem{
			Severity: diag.Warning, Pos: a.Source, Address: a.Address.String(),
			Summary: fmt.Sprintf("users cannot tell agent %s from agent %s at %s: both are %s",
				diag.Ticked(a.Address.Key),
				diag.Ticked(j.agents[k].Address.Key), j.agents[k].Source, diag.Clip(a.identity)),
		})
	}
}

func (j *fleetJoiner) fleet() *Fleet {
	fleet := &Fleet{Apps: j.apps, Agents: make([]agent.Desired, len(j.agents))}
	for i, a := range j.agents {
		fleet.Agents[i] = a.Desired
		if a.places != nil {
			if fleet.Places == nil {
				fleet.Places = map[agent.Address]map[string]diag.Pos{}
			}
			fleet.Places[a.Address] = a.places
		}
		for _, t := range a.secrets {
			fleet.secrets = append(fleet.secrets, secretUse{a.Address, t})
		}
	}
	return fleet
}

// secretUse is one string of one agent that refers to secrets.
type secretUse struct {
	address agent.Address
	text    *validate.Text
}

// SecretUse is a place that refers to a secret: one string, which many agents may share.
type SecretUse struct {
	Name    string
	Address agent.Address // of the first agent that the string is in
	Pos     diag.Pos
	Agents  int // that the string is in
}

// SecretUses returns every place that refers to a secret, by name and then by place.
func (f *Fleet) SecretUses() []SecretUse {
	var uses []SecretUse
	at := map[*validate.Text]map[string]int{}
	for _, s := range f.secrets {
		known := at[s.text]
		if known == nil {
			known = map[string]int{}
			at[s.text] = known
		}
		counted := map[string]bool{} // a string may name a secret twice
		for _, name := range s.text.Names {
			i, ok := known[name]
			switch {
			case !ok:
				known[name] = len(uses)
				uses = append(uses, SecretUse{Name: name, Address: s.address, Pos: s.text.Pos, Agents: 1})
			case !counted[name]:
				uses[i].Agents++
			}
			counted[name] = true
		}
	}
	slices.SortStableFunc(uses, func(a, b SecretUse) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Pos.File, b.Pos.File), a.Pos.Line-b.Pos.Line,
			a.Pos.Column-b.Pos.Column)
	})
	return uses
}

// MissingSecrets returns an error for every ${secret:NAME} whose variable lookup does not have, at the
// place of the string that names it. One string that many agents share is reported once. A value that is short
// enough to be found from its hash is a warning, once for each variable.
func (f *Fleet) MissingSecrets(lookup secret.Lookup) diag.List {
	var problems diag.List
	seen := map[*validate.Text]bool{} // a text of the defaults stands in every agent
	short := map[string]bool{}
	for _, use := range f.secrets {
		// By the string and not by its place: an alias puts one string into many agents.
		if seen[use.text] {
			continue
		}
		seen[use.text] = true
		for _, name := range use.text.Names {
			if value, ok := lookup(name); ok {
				if secret.Guessable(value, lookup) && !short[name] {
					short[name] = true
					problems = append(problems, diag.Problem{
						Severity: diag.Warning, Pos: use.text.Pos, Address: use.address.String(),
						Summary: fmt.Sprintf("the value of ${secret:%s} is so short that whoever reads the state can find it by "+
							"trying; use a longer one, or set %s", name, secret.StateKeyEnv),
					})
				}
				continue
			}
			problems = append(problems, diag.Problem{
				Severity: diag.Error, Pos: use.text.Pos, Address: use.address.String(),
				Summary: fmt.Sprintf("the environment variable %s, which ${secret:%s} names, is not set; set it where agentsync "+
					"runs", name, name),
			})
		}
	}
	problems.Sort()
	return problems
}
