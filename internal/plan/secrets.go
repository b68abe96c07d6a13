package plan

import (
	"iter"
	"maps"
	"slices"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// SecretState says what is known of a secret's value.
type SecretState string

// The states of a secret.
const (
	SecretMissing   SecretState = "missing"   // it has no value here
	SecretNew       SecretState = "new"       // no apply has sent it yet
	SecretChanged   SecretState = "changed"   // another value than the last apply sent, to one agent at least
	SecretUnchanged SecretState = "unchanged" // the value that the last apply sent
)

// SecretStates returns what is known of each secret that the wanted agents refer to, by name, and how many of the
// agents do. values says which have a value here; s seals them under the state's lineage, without its Lookup where the
// state's hashes cannot be compared.
func SecretStates(
	wanted []agent.Desired, prior map[agent.Address]agent.Record, values secret.Lookup, s secret.Sealer,
) (states map[string]SecretState, agents map[string]int) {
	states, agents = map[string]SecretState{}, map[string]int{}
	for _, d := range wanted {
		named := map[string]bool{}
		eachSecret(d.Fields, func(_ string, t secret.Text) {
			for _, name := range t.Names() {
				named[name] = true
			}
		})
		for name := range named {
			states[name] = SecretNew
			if _, set := values(name); !set {
				states[name] = SecretMissing
			}
			agents[name]++
		}
	}
	for sent := range sentSecrets(wanted, prior, s) {
		for _, name := range sent.text.Names() {
			switch {
			case states[name] == SecretMissing:
			case sent.was.Value != sent.now.Value:
				states[name] = SecretChanged
			case states[name] == SecretNew:
				states[name] = SecretUnchanged
			}
		}
	}
	return states, agents
}

// FindMissingSecrets tells of the secrets called names, which have no value here, those that an apply has sent before
// from those that are new, for which somebody has to set a variable before the next one.
func FindMissingSecrets(
	names []string, wanted []agent.Desired, prior map[agent.Address]agent.Record, lineage string,
) (m MissingSecrets) {
	isNew := map[string]bool{}
	for _, name := range names {
		isNew[name] = true
	}
	if len(isNew) == 0 {
		return m
	}
	for sent := range sentSecrets(wanted, prior, secret.Sealer{Key: []byte(lineage)}) {
		for _, name := range sent.text.Names() {
			if isNew[name] {
				delete(isNew, name)
				m.Known = append(m.Known, name)
			}
		}
		if len(isNew) == 0 {
			break // as it is for most fleets after a few agents
		}
	}
	m.New = slices.Sorted(maps.Keys(isNew))
	slices.Sort(m.Known)
	return m
}

// sentSecret is a secret of a wanted agent that an apply sent before: the same template at the same place.
type sentSecret struct {
	text     secret.Text
	now, was secret.Sealed
}

// sentSecrets finds those among the secrets of the wanted agents.
func sentSecrets(
	wanted []agent.Desired, prior map[agent.Address]agent.Record, s secret.Sealer,
) iter.Seq[sentSecret] {
	return func(yield func(sentSecret) bool) {
		for _, d := range wanted {
			rec, known := prior[d.Address]
			if !known || !d.Fields.HasSecrets() {
				continue
			}
			applied, err := rec.Applied.Fields()
			if err != nil {
				continue // whoever plans is told
			}
			was := map[string]secret.Sealed{}
			eachSecret(applied, func(path string, s secret.Sealed) { was[path] = s })
			goesOn := true
			eachSecret(d.Fields, func(path string, t secret.Text) {
				sent := sentSecret{t, s.Seal(path, t), was[path]}
				goesOn = goesOn && (sent.now.Template != sent.was.Template || yield(sent))
			})
			if !goesOn {
				return
			}
		}
	}
}

// eachSecret visits the secrets of fields: as wanted (secret.Text) or as stored (secret.Sealed).
func eachSecret[T secret.Text | secret.Sealed](fields agent.Fields, visit func(path string, t T)) {
	agent.Walk("", map[string]any(fields.Clone()), func(path string, leaf any) any {
		if t, ok := leaf.(T); ok {
			visit(path, t)
		}
		return leaf
	})
}
