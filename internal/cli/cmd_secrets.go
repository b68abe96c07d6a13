package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/ui"
)

const secretsLong = `Lists the secrets that the manifests refer to, each ${secret:NAME} once: where it is used, whether it has a
value here, and whether the value changed since the last apply. No value is ever printed.

--format github prints the lines of a workflow's env:, --format dotenv prints a file to fill in.`

// secretState says what is known of a secret's value.
type secretState string

const (
	secretMissing   secretState = "missing"   // it has no value here
	secretNew       secretState = "new"       // no apply has sent it yet
	secretChanged   secretState = "changed"   // another value than the last apply sent
	secretUnchanged secretState = "unchanged" // the value that the last apply sent
)

// secretDoc is one secret in JSON.
type secretDoc struct {
	Name   string           `json:"name"`
	Set    bool             `json:"set"`
	State  secretState      `json:"state"`
	Agents int              `json:"agents"`
	Places []secretPlaceDoc `json:"places"`
}

// secretPlaceDoc is a place that refers to a secret.
type secretPlaceDoc struct {
	Place   string `json:"place"`
	Address string `json:"address"`
	Agents  int    `json:"agents"`
}

func (a *app) secretsCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "secrets [PATH…]",
		Short: "List the secrets that the manifests refer to",
		Long:  secretsLong,
		Example: `  agentsync secrets
  agentsync secrets --format github
  agentsync secrets --format dotenv > .env`,
		Args: cobra.ArbitraryArgs,
	}
	flags.addOffline(cmd)
	format := addFormatOf(cmd, formatText, formatJSON, formatGitHub, formatDotenv)
	cmd.ValidArgsFunction = completeManifests
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		w, err := a.openWorkspace(cmd.Context(), flags, paths)
		if err != nil {
			return err
		}
		defer w.close()
		return a.writeSecrets(format.value, w.listSecrets())
	}
	return cmd
}

// formatDotenv is the form of .env files.
const formatDotenv = "dotenv"

// listSecrets returns the fleet's secrets by name.
func (w *workspace) listSecrets() []secretDoc {
	docs := []secretDoc{}
	agents := map[string]map[agent.Address]bool{}
	for _, d := range w.fleet.Agents {
		eachSecret(d.Fields, func(_ string, t secret.Text) {
			for _, name := range t.Names() {
				if agents[name] == nil {
					agents[name] = map[agent.Address]bool{}
				}
				agents[name][d.Address] = true
			}
		})
	}
	for _, use := range w.fleet.SecretUses() {
		if len(docs) == 0 || docs[len(docs)-1].Name != use.Name {
			_, set := w.app.Secret(use.Name)
			docs = append(docs, secretDoc{Name: use.Name, Set: set, State: w.secretState(use.Name, agents[use.Name]), Agents: len(agents[use.Name])})
		}
		doc := &docs[len(docs)-1]
		doc.Places = append(doc.Places, secretPlaceDoc{use.Pos.String(), use.Address.String(), use.Agents})
	}
	return docs
}

// secretState compares the value of a secret with what the last apply of its agents sent: where the template is the
// same and the sealed value is not, the value changed.
func (w *workspace) secretState(name string, users map[agent.Address]bool) secretState {
	if _, set := w.app.Secret(name); !set {
		return secretMissing
	}
	sealer := secret.Sealer{Key: []byte(w.snap.State.Lineage), Lookup: w.secrets()}
	state := secretNew
	for _, addr := range slices.SortedFunc(maps.Keys(users), agent.Address.Compare) {
		rec, known := w.snap.State.Agents[addr]
		if !known {
			continue
		}
		applied, err := rec.Applied.Fields()
		if err != nil {
			continue // whoever plans is told
		}
		sent := map[string]secret.Sealed{}
		eachSecret(applied, func(path string, s secret.Sealed) { sent[path] = s })
		eachSecret(w.desired(addr).Fields, func(path string, t secret.Text) {
			now, was := sealer.Seal(path, t), sent[path]
			switch {
			case !slices.Contains(t.Names(), name) || was.Template != now.Template:
			case was.Value != now.Value:
				state = secretChanged
			case state == secretNew:
				state = secretUnchanged
			}
		})
	}
	return state
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

// writeSecrets writes the result.
func (a *app) writeSecrets(format string, docs []secretDoc) error {
	a.Answered = true
	var b strings.Builder
	switch format {
	case formatJSON:
		return report.JSON(a.Out, struct {
			FormatVersion string      `json:"formatVersion"`
			Secrets       []secretDoc `json:"secrets"`
		}{report.FormatVersion, docs})
	case formatGitHub:
		if len(docs) > 0 {
			b.WriteString("env:\n")
		}
		for _, d := range docs {
			fmt.Fprintf(&b, "  %s: ${{ secrets.%s }}\n", d.Name, d.Name)
		}
	case formatDotenv:
		for _, d := range docs {
			fmt.Fprintf(&b, "# %s\n%s=\n", whereUsed(d), d.Name)
		}
	default:
		width := 0
		for _, d := range docs {
			width = max(width, len(d.Name))
		}
		missing := 0
		for _, d := range docs {
			if d.State == secretMissing {
				missing++
			}
			fmt.Fprintf(&b, "%-*s  %-9s  %s\n", width, d.Name, d.State, whereUsed(d))
		}
		if len(docs) == 0 {
			b.WriteString("The manifests refer to no secret.\n")
		} else {
			fmt.Fprintf(&b, "\n%s, %d without a value here.\n", ui.Count(len(docs), "secret"), missing)
		}
	}
	_, err := a.Out.Write([]byte(b.String()))
	return err
}

// whereUsed says where a secret is used: its first place, and how many agents it reaches.
func whereUsed(d secretDoc) string {
	s := fmt.Sprintf("%s, %s", report.Sanitize(d.Places[0].Place), ui.Count(d.Agents, "agent"))
	if n := len(d.Places) - 1; n > 0 {
		s += fmt.Sprintf(", and %s more", ui.Count(n, "place"))
	}
	return s
}
