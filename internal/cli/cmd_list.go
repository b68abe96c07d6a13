package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/ui"
)

const listLong = `Lists the agents of the manifests and of the state: address, name, uid, and the place in the manifests. An agent
without a uid is not made yet; one without a place is in no manifest any more. Nothing is sent.`

// listedAgent is one agent as list shows it.
type listedAgent struct {
	Address string       `json:"address"`
	Name    string       `json:"name,omitempty"`
	UID     string       `json:"uid,omitempty"`
	Source  *listedPlace `json:"source,omitempty"`
}

// listedPlace is where an agent's key stands.
type listedPlace struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func (a *app) listCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:        "list [PATH…]",
		Aliases:    []string{"ls"},
		SuggestFor: []string{"agents", "get"},
		Short:      "List the agents with their names, uids and places",
		Long:       listLong,
		Example: `  agentsync list
  agentsync list --target 'mindset/*'
  agentsync list --format json`,
		Args: cobra.ArbitraryArgs,
	}
	flags.addOffline(cmd)
	addTarget(cmd, &flags.targets)
	a.completeTargets(cmd, &flags.state)
	cmd.ValidArgsFunction = completeManifests
	format := addFormatOf(cmd, formatText, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		w, err := a.openWorkspace(cmd.Context(), flags, paths)
		if err != nil {
			return err
		}
		defer w.close()
		return a.writeList(format.value, w.listAgents())
	}
	return cmd
}

// listAgents returns the agents of the manifests and of the state that are selected, by address.
func (w *workspace) listAgents() []listedAgent {
	known := map[agent.Address]listedAgent{}
	for addr, rec := range w.snap.State.Agents {
		applied, _ := rec.Applied.Fields() // whoever plans is told what cannot be read
		known[addr] = listedAgent{Address: addr.String(), UID: rec.UID}
		if w.platforms[addr.Platform] != nil { // a newer version may know more
			known[addr] = listedAgent{Address: addr.String(), UID: rec.UID, Name: plan.NameOf(w.schemaOf(addr.ID()), applied)}
		}
	}
	for _, d := range w.fleet.Agents {
		l := known[d.Address]
		l.Address, l.Name = d.Address.String(), plan.NameOf(w.schemaOf(d.Address.ID()), d.Fields)
		l.Source = &listedPlace{d.Source.File, d.Source.Line, d.Source.Column}
		known[d.Address] = l
	}
	list := []listedAgent{}
	for _, addr := range slices.SortedFunc(maps.Keys(known), agent.Address.Compare) {
		if selects(w.targets, addr) {
			list = append(list, known[addr])
		}
	}
	return list
}

// writeList writes the result.
func (a *app) writeList(format string, list []listedAgent) error {
	a.Answered = true
	if format == formatJSON {
		return report.JSON(a.Out, struct {
			FormatVersion string        `json:"formatVersion"`
			Agents        []listedAgent `json:"agents"`
		}{report.FormatVersion, list})
	}
	rows := make([][]string, len(list))
	made := 0
	for i, l := range list {
		place := "in no manifest"
		if l.Source != nil {
			place = diag.Pos{File: l.Source.File, Line: l.Source.Line}.String()
		}
		uid := "not made yet"
		if l.UID != "" {
			uid, made = l.UID, made+1
		}
		rows[i] = []string{l.Address, l.Name, uid, place}
	}
	var b strings.Builder
	report.Columns(&b, rows)
	if len(list) == 0 {
		b.WriteString("There are no agents.\n")
	} else {
		fmt.Fprintf(&b, "\n%s, %d made.\n", ui.Count(len(list), "agent"), made)
	}
	_, err := a.Out.Write([]byte(b.String()))
	return err
}
