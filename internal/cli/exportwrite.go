package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"agentsync/internal/agent"
	"agentsync/internal/compose"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/state"
)

// maxPerFile is how many agents one exported file holds at the most.
const maxPerFile = 500

// cut puts an app's agents into files.
func (ex *exporter) cut(c *composed) []exportFile {
	var files []exportFile
	total := (len(c.agents) + maxPerFile - 1) / maxPerFile
	for n := range total {
		agents := c.agents[n*maxPerFile : min((n+1)*maxPerFile, len(c.agents))]
		name := c.app.ID.Platform + "-" + c.app.ID.App
		if total > 1 {
			name += fmt.Sprintf("-%0*d", len(fmt.Sprint(total)), n+1)
		}
		path := filepath.Join(ex.flags.out, name+".yaml")
		defaults, rest := compose.Share(c.platform, agents)
		content := compose.File(c.platform, schemaURL(path), compose.Section{App: c.app, Defaults: defaults, Agents: rest})
		files = append(files, exportFile{path: path, agents: len(agents), content: content})
	}
	return files
}

// carryOut writes the files and then the state: in the other order, a run that ends in between would
// leave agents in state that no manifest names.
func (ex *exporter) carryOut(ctx context.Context) error {
	records, err := ex.records(ctx)
	if err != nil {
		return err
	}
	if err := ex.checkAbsent(); err != nil {
		return err
	}
	for _, p := range ex.parts {
		for _, f := range p.files {
			if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
				return fmt.Errorf("write manifests: %w", err)
			}
			if err := replaceFile(f.path, f.content); err != nil {
				return err
			}
		}
	}
	err = ex.file.Edit(ctx, ex.snap, func(s *state.State) error {
		for addr, rec := range records {
			s.Agents[addr] = rec
		}
		return nil
	})
	if err != nil {
		return stateError(err)
	}
	return nil
}

// checkAbsent refuses to overwrite.
func (ex *exporter) checkAbsent() error {
	if ex.flags.force {
		return nil
	}
	for _, p := range ex.parts {
		for _, f := range p.files {
			if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
				return &Failure{Code: ExitUsage, Err: fmt.Errorf("%s is there already; nothing was written", f.path),
					Hint: "name another folder with --out; --force overwrites the file, and the agents in it leave the manifests"}
			}
		}
	}
	return nil
}

// records returns what the state keeps of the exported agents. What is applied is what the files say,
// read as the next plan reads them, and that must be what is live.
func (ex *exporter) records(ctx context.Context) (map[agent.Address]agent.Record, error) {
	records := map[agent.Address]agent.Record{}
	for _, p := range ex.parts {
		var sources []manifest.Source
		for _, f := range p.files {
			sources = append(sources, manifest.Source{Path: f.path, Content: f.content})
		}
		fleet, problems, err := ex.parse(ctx, sources...)
		if err != nil {
			return nil, err
		}
		p.problems = problems
		if len(fleet.Agents) != len(p.agents) {
			_ = ex.app.reportProblems(problems)
			return nil, fmt.Errorf("the agents of %s cannot be written as manifests; nothing was written", p.app.ID)
		}
		for _, d := range fleet.Agents {
			rec, err := p.record(d, secret.Sealer{Key: []byte(ex.snap.State.Lineage), Lookup: p.lookup})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.Address, err)
			}
			records[d.Address] = rec
		}
	}
	return records, nil
}

func (p *part) record(d agent.Desired, s secret.Sealer) (rec agent.Record, err error) {
	live := p.live[d.Address.Key]
	resolved, err := d.Fields.Resolve(p.lookup)
	want := compose.Tidy(p.platform, live.Content.Fields())
	if err == nil && !agent.Equal(map[string]any(resolved), map[string]any(want)) { // with an error, a secret is hidden
		return rec, errors.New("its manifest would not read back as what is live; nothing was written")
	}
	rec.UID, rec.Mark = live.UID, live.Mark
	if rec.Applied, err = plan.AppliedDoc(d, agent.Record{}, s); err != nil {
		return rec, err
	}
	rec.Observed, err = agent.Encode(plan.SealAnswer(live.Content.Fields(), d.Fields, s))
	return rec, err
}

// tell writes the result: which files, how many agents, and which variables must be set.
func (ex *exporter) tell() error {
	agents := 0
	for _, p := range ex.parts {
		agents += len(p.agents)
		p.warn(ex.app)
	}
	if ex.flags.format.value == formatJSON {
		return ex.tellJSON(agents)
	}
	out := ex.app.streams.Out
	for _, p := range ex.parts {
		for _, f := range p.files {
			if ex.flags.dryRun {
				fmt.Fprintf(out, "# %s\n%s\n", f.path, f.content)
			} else {
				fmt.Fprintf(out, "wrote %s: %s\n", f.path, count(f.agents, "agent"))
			}
		}
	}
	summary := fmt.Sprintf("%s taken into the state", count(agents, "agent"))
	switch {
	case agents == 0:
		summary = "Nothing to export: every live agent is managed"
	case ex.flags.dryRun:
		fmt.Fprintf(ex.app.streams.Err, "%s would be taken over; nothing was written\n", count(agents, "agent"))
		return nil
	}
	_, err := fmt.Fprintf(out, "%s.\n", summary)
	return err
}

func (ex *exporter) tellJSON(agents int) error {
	type fileDoc struct {
		Path    string `json:"path"`
		Agents  int    `json:"agents"`
		Content string `json:"content,omitempty"`
	}
	doc := struct {
		FormatVersion string        `json:"formatVersion"`
		DryRun        bool          `json:"dryRun"`
		Agents        int           `json:"agents"`
		Files         []fileDoc     `json:"files"`
		Secrets       []variableDoc `json:"secrets"`
	}{report.FormatVersion, ex.flags.dryRun, agents, []fileDoc{}, []variableDoc{}}
	for _, p := range ex.parts {
		doc.Secrets = append(doc.Secrets, p.variableDocs()...)
		for _, f := range p.files {
			d := fileDoc{Path: f.path, Agents: f.agents}
			if ex.flags.dryRun {
				d.Content = string(f.content)
			}
			doc.Files = append(doc.Files, d)
		}
	}
	ex.app.answered = true
	return writeJSON(ex.app.streams.Out, doc)
}
