package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/flags"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/workspace"
)

const listLong = `Lists the agents of the manifests and of the state: address, name, uid, and the place in the manifests. An agent
without a uid is not made yet; one without a place is in no manifest any more. Nothing is sent.`

// listedAgent is one agent as list shows it.
type listedAgent struct {
	Address agent.Address `json:"address"`
	Name    string        `json:"name,omitempty"`
	UID     string        `json:"uid,omitempty"`
	Source  diag.Pos      `json:"source,omitzero"`
}

func (a *app) listCommand() *cobra.Command {
	var f flags.Work
	cmd := &cobra.Command{
		Use:        "list [PATH…]",
		Aliases:    []string{"ls"},
		SuggestFor: []string{"agents", "get"},
		Short:      "List the agents with their names, uids and places",
		Long:       listLong,
		Example: `  agentsync list
  agentsync list --target 'mindset/*'
  agentsync list --format json`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: flags.CompleteManifests,
	}
	f.Offline(cmd)
	f.Target(cmd, a.UI)
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		w, err := f.Open(cmd.Context(), a.UI, paths)
		if err != nil {
			return err
		}
		defer w.Close()
		list := listAgents(w)
		return answer(a.UI, format, struct {
			FormatVersion string        `json:"formatVersion"`
			Agents        []listedAgent `json:"agents"`
		}{report.FormatVersion, list}, listText(list))
	}
	return cmd
}

// listAgents returns the agents of the manifests and of the state that are selected, by address.
func listAgents(w *workspace.Workspace) []listedAgent {
	known := map[agent.Address]listedAgent{}
	for addr, rec := range w.Snap.State.Agents {
		l := listedAgent{Address: addr, UID: rec.UID}
		if w.Platforms[addr.Platform] != nil { // a newer version may know more
			applied, _ := rec.Applied.Fields() // whoever plans is told what cannot be read
			l.Name = plan.NameOf(w.SchemaOf(addr.ID()), applied)
		}
		known[addr] = l
	}
	for _, d := range w.Fleet.Agents {
		l := known[d.Address]
		l.Address, l.Source, l.Name = d.Address, d.Source, plan.NameOf(w.SchemaOf(d.Address.ID()), d.Fields)
		known[d.Address] = l
	}
	list := []listedAgent{}
	for _, addr := range slices.SortedFunc(maps.Keys(known), agent.Address.Compare) {
		if w.Selects(addr) {
			list = append(list, known[addr])
		}
	}
	return list
}

// listText is a list as a table.
func listText(list []listedAgent) string {
	if len(list) == 0 {
		return "There are no agents.\n"
	}
	rows := make([][]string, len(list))
	made := 0
	for i, l := range list {
		place := "in no manifest"
		if !l.Source.IsZero() {
			place = diag.Pos{File: l.Source.File, Line: l.Source.Line}.String()
		}
		uid := "not made yet"
		if l.UID != "" {
			uid, made = l.UID, made+1
		}
		rows[i] = []string{l.Address.String(), l.Name, uid, place}
	}
	var b strings.Builder
	show.Columns(&b, rows)
	fmt.Fprintf(&b, "\n%s, %d made.\n", diag.Plural(len(list), "agent"), made)
	return b.String()
}
