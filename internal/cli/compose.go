package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/compose"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/report"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// found is a live agent that is to be managed from now on.
type found struct {
	key, uid string
	fields   agent.Fields
}

// composed are agents of one app in the form of manifests.
type composed struct {
	app       agent.App
	platform  *schema.Platform
	agents    []compose.Agent
	variables []compose.Variable
	lookup    secret.Lookup
	// fleet is what the manifests want, read back as the next plan will read them.
	fleet    *manifest.Fleet
	problems diag.List
}

// compose turns live agents of one app into manifests, and reads them back. inUse are the variables that
// have a value already.
func (w *workspace) compose(ctx context.Context, id agent.AppID, live []found, inUse secret.Lookup) (*composed, error) {
	c := &composed{app: w.fleet.Apps[id], platform: w.schemaOf(id)}
	for _, f := range live {
		c.agents = append(c.agents, compose.Agent{Key: f.key, Fields: compose.Tidy(c.platform, f.fields)})
	}
	slices.SortFunc(c.agents, func(a, b compose.Agent) int { return strings.Compare(a.Key, b.Key) })
	c.agents, c.variables = compose.Secrets(id, c.agents, inUse)
	c.lookup = compose.LookupIn(c.variables)
	content := compose.File(c.platform, "", compose.Section{App: c.app, Agents: c.agents})
	var err error
	c.fleet, c.problems, err = w.parse(ctx, manifest.Source{Path: id.String(), Content: content})
	return c, err
}

// wanted returns the fields that the composed manifest wants of an agent.
func (c *composed) wanted(addr agent.Address) agent.Fields {
	for _, d := range c.fleet.Agents {
		if d.Address == addr {
			return d.Fields
		}
	}
	return nil
}

// item returns the YAML of the first agent, indented as in a manifest.
func (c *composed) item() []byte { return compose.Item(c.platform, c.agents[0], 4) }

// maxListed is how many variables are named one by one.
const maxListed = 20

// warn says what keeps the manifests from being valid, and which variables have to be set.
func (c *composed) warn(a *app) {
	style := a.style(a.streams.Err)
	for _, p := range c.problems {
		if p.Severity == diag.Error {
			report.Warning(a.streams.Err, style, fmt.Sprintf("%s would not pass validation as it is: %s", p.Address, p.Summary), "")
		}
	}
	sayVariables(a, c.app.ID, c.variables)
}

func sayVariables(a *app, id agent.AppID, variables []compose.Variable) {
	if len(variables) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("before apply, set each variable to the value that the platform has:")
	for i, v := range variables {
		if i == maxListed && !a.common.verbose {
			fmt.Fprintf(&b, "\nand %s more, -v lists all", count(len(variables)-i, "variable"))
			break
		}
		where := fmt.Sprintf("%s in %s/%s", fieldName(v.Path), id, v.Key)
		if v.Agents > 1 {
			where += fmt.Sprintf(" and %s more", count(v.Agents-1, "agent"))
		}
		if v.Hidden {
			where += "; the platform hides its value"
		}
		fmt.Fprintf(&b, "\n  export %s=…   # %s", v.Name, where)
	}
	report.Warning(a.streams.Err, a.style(a.streams.Err), fmt.Sprintf("%s of %s written as ${secret:NAME}", count(len(variables), "secret"), id), b.String())
}

// variableDoc is a variable in JSON.
type variableDoc struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Path    string `json:"path"`
	Agents  int    `json:"agents"`
	Hidden  bool   `json:"hidden"`
}

func (c *composed) variableDocs() []variableDoc {
	docs := make([]variableDoc, len(c.variables))
	for i, v := range c.variables {
		docs[i] = variableDoc{v.Name, c.app.ID.String() + "/" + v.Key, v.Path, v.Agents, v.Hidden}
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
