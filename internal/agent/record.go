package agent

import (
	"slices"

	"agentsync/internal/diag"
)

// App is one app of one platform as the manifests describe it: where it lives and how to reach it.
// Every section of every file that names the same app must agree on it.
type App struct {
	ID AppID
	// Settings are the section's platform-specific strings by name (region, host), defaults filled in.
	Settings map[string]string
	// Endpoint replaces the platform's base URL where it is not empty.
	Endpoint string
	// APIKeyEnv names the environment variable that holds the API key.
	APIKeyEnv string
	// FromVariable reports that a variable has a part in the id.
	FromVariable bool
	// Marker asks for a mark in each agent by which agentsync knows its own.
	Marker bool
	// Source is where the first section that names the app stands.
	Source diag.Pos
}

// Origin is where an app's requests and its API key went: part of what a person agrees to.
type Origin struct {
	// BaseURL is the address that every request's path is joined to, without a slash at its end.
	BaseURL string `json:"baseUrl"`
	// KeyEnv names the environment variable that holds the API key.
	KeyEnv string `json:"keyEnv"`
}

// Desired is one agent as the manifests want it, defaults merged, ${env:} filled in.
type Desired struct {
	Address Address
	// Fields holds secrets as secret.Text, unresolved. An explicit null is left out.
	Fields Fields
	// Protect refuses delete and replace.
	Protect bool
	// IgnoreChanges names top-level fields that are left to whoever else sets them.
	IgnoreChanges []string
	// PreviousKeys are keys that this agent had before, in the same app. An empty list that is not nil says that it is
	// a new agent, whatever it is like.
	PreviousKeys []string
	// Mark is the mark that the agent is to carry at its platform, Address.Mark, or empty where its
	// section asks for none.
	Mark string
	// Source is where the agent's key stands.
	Source diag.Pos
	// TextFiles are the files that values come from, by the values' JSON pointers; nil where none does.
	TextFiles map[string]string
}

// Record is what state keeps of one agent.
type Record struct {
	// UID is the platform's handle. It is the only one: lose it and the agent is an orphan.
	UID string
	// Applied is what was last wanted and sent, secrets sealed.
	Applied Doc
	// Observed is what the platform last answered, known fields only, secrets sealed. It is nil where
	// the platform has not shown the agent yet.
	Observed Doc
	// Protect is lifecycle.protect as last applied, so that an agent stays protected after it left
	// the manifests.
	Protect bool
	// Mark is the mark that the agent carries, as last sent or, of an agent that was taken over, as
	// seen; empty for none. It stands in neither Applied nor Observed.
	Mark string
	// API is the version of the platform's API by which the agent was last written or seen, empty for the first.
	// Applied and Observed are in its fields.
	API string
	// Obsolete are the uids of agents that UID took the place of and that are not known to be gone:
	// the old half of a replace, until its delete is done. They belong to this address; nobody may
	// adopt them.
	Obsolete []string
	// FormerKeys are the keys that the agent had before in this app, the newest last, each once and never its key of
	// now. A manifest that goes back to one of them, as the revert of a rename does, gets this agent and not a second
	// one.
	FormerKeys []string
}

// Moved returns the record of an agent that had the key from and now has the key to, in the same app.
func (r Record) Moved(from, to string) Record {
	former := slices.DeleteFunc(slices.Clone(r.FormerKeys), func(key string) bool { return key == from || key == to })
	if from != to {
		former = append(former, from)
	}
	r.FormerKeys = former
	return r
}
