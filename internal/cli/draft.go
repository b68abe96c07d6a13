package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/export"
	"agentsync/internal/manifest"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/internal/ui"
	"agentsync/schema"
)

// parser reads manifests from memory as loadFleet reads them from files.
func (w *workspace) parser() (*manifest.Parser, error) { return manifest.NewParser(w.inMemory()) }

// inMemory says how manifests are read that are in memory.
func (w *workspace) inMemory() manifest.Options {
	var all []*schema.Platform
	for _, s := range schemas(w.platforms) {
		all = append(all, s)
	}
	return manifest.Options{Env: w.app.Lookup, Platforms: all}
}

// draft writes live agents of an app as manifests; see export.NewDraft.
func (w *workspace) draft(ctx context.Context, id agent.AppID, live []export.Live, inUse secret.Lookup) (*export.Draft, error) {
	parser, err := w.parser()
	if err != nil {
		return nil, err
	}
	return export.NewDraft(ctx, parser, w.schemaOf(id), w.fleet.Apps[id], live, inUse)
}

// maxListed is how many variables are named one by one.
const maxListed = 20

// sayDraft says what keeps a draft's manifests from being valid, and which variables have to be set.
func (a *app) sayDraft(d *export.Draft) {
	style := a.Style(a.Err)
	for _, p := range d.Problems {
		if p.Severity == diag.Error {
			report.Warning(a.Err, style, fmt.Sprintf("%s would not pass validation as it is: %s", p.Address, p.Summary), "")
		}
	}
	sayVariables(a, d.App.ID, d.Variables)
}

func sayVariables(a *app, id agent.AppID, variables []export.Variable) {
	if len(variables) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("before apply, set each variable to the value that the platform has:")
	for i, v := range variables {
		if i == maxListed && !a.Verbose {
			fmt.Fprintf(&b, "\nand %s more, -v lists all", ui.Count(len(variables)-i, "variable"))
			break
		}
		where := fmt.Sprintf("%s in %s/%s", ui.FieldName(v.Path), id, v.Key)
		if v.Agents > 1 {
			where += fmt.Sprintf(" and %s more", ui.Count(v.Agents-1, "agent"))
		}
		if v.Hidden {
			where += "; the platform hides its value"
		}
		fmt.Fprintf(&b, "\n  export %s=…   # %s", v.Name, where)
	}
	a.Warn(fmt.Sprintf("%s of %s written as ${secret:NAME}", ui.Count(len(variables), "secret"), id), b.String())
}

// variableDoc is a variable in JSON.
type variableDoc struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Path    string `json:"path"`
	Agents  int    `json:"agents"`
	Hidden  bool   `json:"hidden"`
}

func variableDocs(d *export.Draft) []variableDoc {
	docs := make([]variableDoc, len(d.Variables))
	for i, v := range d.Variables {
		docs[i] = variableDoc{v.Name, d.App.ID.String() + "/" + v.Key, v.Path, v.Agents, v.Hidden}
	}
	return docs
}

// schemaURL returns what the modeline of a manifest points to: the schema that init put beside the
// manifests, seen from the file.
func schemaURL(path string) string {
	const file = "schema/manifest.schema.json"
	if rel, err := filepath.Rel(filepath.Dir(path), file); err == nil && !filepath.IsAbs(path) {
		return filepath.ToSlash(rel)
	}
	return ""
}
