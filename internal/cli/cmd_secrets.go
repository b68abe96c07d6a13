package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/diag"
	"agentsync/internal/flags"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/secret"
)

const secretsLong = `Lists the secrets that the manifests refer to, each ${secret:NAME} once: where it is used, whether it has a
value here, and whether the value changed since the last apply. No value is ever printed.

--format github prints the lines of a workflow's env:, --format dotenv prints a file to fill in.`

// secretDoc is one secret in JSON.
type secretDoc struct {
	Name   string           `json:"name"`
	Set    bool             `json:"set"`
	State  plan.SecretState `json:"state"`
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
	var f flags.Work
	cmd := &cobra.Command{
		Use:   "secrets [PATH…]",
		Short: "List the secrets that the manifests refer to",
		Long:  secretsLong,
		Example: `  agentsync secrets
  agentsync secrets --format github
  agentsync secrets --format dotenv > .env`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: flags.CompleteManifests,
	}
	f.Offline(cmd)
	format := flags.Format(cmd, flags.Text, flags.JSON, flags.GitHub, flags.Dotenv)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		w, err := f.Open(cmd.Context(), a.UI, paths)
		if err != nil {
			return err
		}
		defer w.Close()
		sealer := secret.Sealer{Key: []byte(w.Snap.State.Lineage), Lookup: w.KnownSecrets()}
		states, agents := plan.SecretStates(w.Fleet.Agents, w.Snap.State.Agents, w.Secret, sealer)
		docs := []secretDoc{}
		for _, use := range w.Fleet.SecretUses() { // by name
			if len(docs) == 0 || docs[len(docs)-1].Name != use.Name {
				_, set := w.Secret(use.Name)
				docs = append(docs, secretDoc{Name: use.Name, Set: set, State: states[use.Name],
					Agents: agents[use.Name]})
			}
			doc := &docs[len(docs)-1]
			doc.Places = append(doc.Places, secretPlaceDoc{use.Pos.String(), use.Address.String(), use.Agents})
		}
		return answer(a.UI, format, struct {
			FormatVersion string      `json:"formatVersion"`
			Secrets       []secretDoc `json:"secrets"`
		}{report.FormatVersion, docs}, secretsText(format.Value, docs))
	}
	return cmd
}

// secretsText is the secrets as a table, as a workflow's env: or as a file to fill in.
func secretsText(format string, docs []secretDoc) string {
	var b strings.Builder
	switch format {
	case flags.GitHub:
		if len(docs) > 0 {
			b.WriteString("env:\n")
		}
		for _, d := range docs {
			fmt.Fprintf(&b, "  %s: ${{ secrets.%s }}\n", d.Name, d.Name)
		}
	case flags.Dotenv:
		for _, d := range docs {
			fmt.Fprintf(&b, "# %s\n%s=\n", whereUsed(d), d.Name)
		}
	default:
		width, missing := 0, 0
		for _, d := range docs {
			width = max(width, len(d.Name))
		}
		for _, d := range docs {
			if d.State == plan.SecretMissing {
				missing++
			}
			fmt.Fprintf(&b, "%-*s  %-9s  %s\n", width, d.Name, d.State, whereUsed(d))
		}
		if len(docs) == 0 {
			return "The manifests refer to no secret.\n"
		}
		fmt.Fprintf(&b, "\n%s, %d without a value here.\n", diag.Plural(len(docs), "secret"), missing)
	}
	return b.String()
}

// whereUsed says where a secret is used: its first place, and how many agents it reaches.
func whereUsed(d secretDoc) string {
	s := fmt.Sprintf("%s, %s", show.Line(d.Places[0].Place), diag.Plural(d.Agents, "agent"))
	if n := len(d.Places) - 1; n > 0 {
		s += fmt.Sprintf(", and %s more", diag.Plural(n, "place"))
	}
	return s
}
