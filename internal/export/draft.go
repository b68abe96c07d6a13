package export

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Draft is live agents of one app in the form of manifests: tidy, without secrets, and read back.
type Draft struct {
	App      agent.App
	Platform *schema.Platform
	// Agents are in the order of their keys.
	Agents []Agent
	// Variables stand in for the agents' secrets; Lookup has the values of those that the platform shows.
	Variables []Variable
	Lookup    secret.Lookup
	// Fleet is what the manifests want, read as the next plan will read it. Problems are what that run would
	// say of it: what the platform allowed may not pass validation.
	Fleet    *manifest.Fleet
	Problems diag.List
	// Names are the comments of Files; see Section.
	Names DisplayNames

	live   map[string]plan.Live // by key
	parser *manifest.Parser
}

// NewDraft writes the live agents of an app as manifests. inUse are the variables that have a value already,
// which no secret with another value is named after. The error is the context's.
func NewDraft(
	ctx context.Context, parser *manifest.Parser, p *schema.Platform, app agent.App, live []Live, inUse secret.Lookup,
) (*Draft, error) {
	d := &Draft{App: app, Platform: p, live: make(map[string]plan.Live, len(live)), parser: parser}
	for _, l := range live {
		d.live[l.Key] = l.Live
		d.Agents = append(d.Agents, Agent{Key: l.Key, Fields: Tidy(p, l.Content.Fields())})
	}
	// Before Secrets, which numbers variables in this order.
	slices.SortFunc(d.Agents, func(a, b Agent) int { return strings.Compare(a.Key, b.Key) })
	d.Agents, d.Variables = Secrets(app.ID, d.Agents, inUse)
	d.Lookup = LookupIn(d.Variables)
	source := manifest.Source{Path: app.ID.String(), Content: File(p, "", Section{App: app, Agents: d.Agents})}
	var err error
	d.Fleet, d.Problems, err = parser.Parse(ctx, source)
	return d, err
}

// Wanted returns the fields that the draft's manifest wants of the agent at an address, nil for one that it does
// not have.
func (d *Draft) Wanted(addr agent.Address) agent.Fields {
	for _, a := range d.Fleet.Agents {
		if a.Address == addr {
			return a.Fields
		}
	}
	return nil
}

// Refers reports whether any agent refers to something of its app by name.
func (d *Draft) Refers() bool {
	for _, f := range d.Platform.Fields {
		if f.RefersTo != "" && slices.ContainsFunc(d.Agents, func(a Agent) bool { return a.Fields[f.Name] != nil }) {
			return true
		}
	}
	return false
}

// Item returns the YAML of the first agent, indented as in a manifest.
func (d *Draft) Item() []byte { return Item(d.Platform, d.Agents[0], 2*indentStep) }

// MaxPerFile is how many agents one file of an export holds at the most.
const MaxPerFile = 500

// ManifestFile is one manifest of an export.
type ManifestFile struct {
	// Name is the file's name: the app's, and a number where there are several.
	Name    string
	Agents  int
	Content []byte
	// Texts are the files that its ${file:} name, by the path in the reference, which is relative to this file.
	Texts map[string][]byte
}

// Files writes the agents as whole manifests of MaxPerFile agents at the most, what they share as defaults.
// schemaRef is what their modelines point to; see File.
func (d *Draft) Files(schemaRef string) []ManifestFile {
	var files []ManifestFile
	total := (len(d.Agents) + MaxPerFile - 1) / MaxPerFile
	for n := range total {
		name := d.App.ID.Platform + "-" + d.App.ID.App
		if total > 1 {
			name += fmt.Sprintf("-%0*d", len(fmt.Sprint(total)), n+1)
		}
		agents := d.Agents[n*MaxPerFile : min((n+1)*MaxPerFile, len(d.Agents))]
		// File by file: a manifest's defaults hold for its own agents alone.
		defaults, rest := Share(d.Platform, agents)
		content := File(d.Platform, schemaRef, Section{App: d.App, Defaults: defaults, Agents: rest, Names: d.Names})
		files = append(files, ManifestFile{Name: name + ".yaml", Agents: len(agents), Content: content})
	}
	return files
}

// ErrUnwritable is returned by Records where files do not hold all the agents of the draft.
var ErrUnwritable = errors.New("cannot be written as manifests")

// Records returns what the state keeps of the agents once files are their manifests: what is applied is what
// the files say, read as the next plan reads them, and that must be what is live, or the next apply would
// change an agent that nobody touched. Problems is then what reading the files said.
func (d *Draft) Records(ctx context.Context, files []manifest.Source, lineage string) (map[agent.Address]agent.Record,
	error) {
	fleet, problems, err := d.parser.Parse(ctx, files...)
	if err != nil {
		return nil, err
	}
	d.Problems = problems
	// What is not in the files would be deleted by the next apply.
	if len(fleet.Agents) != len(d.Agents) {
		return nil, fmt.Errorf("the agents of %s %w", d.App.ID, ErrUnwritable)
	}
	records := make(map[agent.Address]agent.Record, len(fleet.Agents))
	for _, a := range fleet.Agents {
		rec, err := d.record(a, secret.Sealer{Key: []byte(lineage), Lookup: d.Lookup})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Address, err)
		}
		records[a.Address] = rec
	}
	return records, nil
}

// Unmarked returns how many of the agents do not carry the mark that their section asks for. An export only reads, so
// the next apply adds it.
func (d *Draft) Unmarked() int {
	n := 0
	for key, live := range d.live {
		own := agent.Address{Platform: d.App.ID.Platform, App: d.App.ID.App, Key: key}.Mark()
		if d.App.Marker && live.Mark != own {
			n++
		}
	}
	return n
}

func (d *Draft) record(a agent.Desired, s secret.Sealer) (rec agent.Record, err error) {
	live := d.live[a.Address.Key]
	fields := live.Content.Fields()
	resolved, err := a.Fields.Resolve(d.Lookup)
	// With an error a secret is hidden, and nothing can be compared.
	if err == nil && !agent.Equal(map[string]any(resolved), map[string]any(Tidy(d.Platform, fields))) {
		return rec, errors.New("its manifest would not read back as what is live; nothing was written")
	}
	rec.UID, rec.Mark, rec.API = live.UID, live.Mark, d.Platform.Recorded()
	if rec.Applied, err = plan.AppliedDoc(a, agent.Record{}, s); err != nil {
		return rec, err
	}
	rec.Observed, err = agent.Encode(plan.SealAnswer(fields, a.Fields, s))
	return rec, err
}

// maxInline is how many lines of text stay in the manifest of a split export.
const maxInline = 4

// plainName is a name that can stand in a path on every system, and is no other name's there.
var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// SplitFiles writes each agent as a manifest of its own, in a folder of the app, and its texts of more than a few lines
// as Markdown files beside the manifests, where ${file:} names them. schemaRef is as in Files, for a file in that
// folder.
func (d *Draft) SplitFiles(schemaRef string) []ManifestFile {
	folder := d.App.ID.Platform + "-" + d.App.ID.App
	files := make([]ManifestFile, len(d.Agents))
	for i, a := range d.Agents {
		texts := map[string][]byte{}
		fields := splitTexts(map[string]any(a.Fields), path.Join("prompts", a.Key), texts)
		section := Section{App: d.App, Agents: []Agent{{Key: a.Key, Fields: fields}}, Names: d.Names}
		files[i] = ManifestFile{
			Name: path.Join(folder, a.Key+".yaml"), Agents: 1, Content: File(d.Platform, schemaRef, section),
			Texts: texts,
		}
	}
	return files
}

// splitTexts returns a copy of fields whose long texts are references to files below folder, and adds these to texts.
func splitTexts(fields map[string]any, folder string, texts map[string][]byte) map[string]any {
	fields = maps.Clone(fields)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !plainName.MatchString(name) {
			continue
		}
		below := path.Join(folder, name)
		switch v := fields[name].(type) {
		case map[string]any:
			fields[name] = splitTexts(v, below, texts)
		case string:
			if strings.Count(v, "\n") >= maxInline && fitsTextFile(v) {
				file := below + ".md"
				texts[file] = []byte(v + "\n") // the one line end that reading takes away
				fields[name] = Reference("${file:" + file + "}")
			}
		}
	}
	return fields
}

// fitsTextFile reports whether a text file that is read gives back the text.
func fitsTextFile(s string) bool {
	return utf8.ValidString(s) && !strings.HasPrefix(s, "\ufeff") &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' })
}

// Agent is one agent as a manifest will hold it.
type Agent struct {
	Key string
	// Fields are what is written, in the values of agent.Fields; a Reference stands where a secret
	// stood. A secret.Text is not written: Secrets comes first.
	Fields agent.Fields
}

// Tidy returns what of a live agent is worth writing: not what the platform takes by itself where the
// field is missing, which is its default or, in a field without one, empty. The values are live's own.
func Tidy(p *schema.Platform, live agent.Fields) agent.Fields {
	fields := make(agent.Fields, len(live))
	for _, f := range p.Fields {
		v := live[f.Name]
		if v == nil || agent.Equal(v, f.Default) || f.Default == nil && agent.Equal(v, emptyLike(v)) {
			continue
		}
		fields[f.Name] = v
	}
	return fields
}

// emptyLike returns the empty value of v's own type, nil where the type has none: false is a value like
// another.
func emptyLike(v any) any {
	switch v.(type) {
	case string:
		return ""
	case []any:
		return []any{}
	case map[string]any:
		return map[string]any{}
	}
	return nil
}

// minShared is from how many agents on a value that all of them have becomes a default.
const minShared = 2

// Share takes the fields that all agents hold alike out of them, to be written once as the section's
// defaults. What tells agents apart, and what holds secrets, stays. agents is left as it is.
func Share(p *schema.Platform, agents []Agent) (defaults agent.Fields, rest []Agent) {
	if len(agents) < minShared {
		return nil, agents
	}
	defaults = agent.Fields{}
	for _, f := range p.Fields {
		if v := agents[0].Fields[f.Name]; v != nil && !f.Identity && !hasReference(v) && allHold(agents, f.Name, v) {
			defaults[f.Name] = v
		}
	}
	if len(defaults) == 0 {
		return nil, agents
	}
	rest = make([]Agent, len(agents))
	for i, a := range agents {
		rest[i] = Agent{Key: a.Key, Fields: make(agent.Fields, len(a.Fields))}
		for name, v := range a.Fields {
			if _, shared := defaults[name]; !shared {
				rest[i].Fields[name] = v
			}
		}
	}
	return defaults, rest
}

func allHold(agents []Agent, name string, v any) bool {
	for _, a := range agents {
		if !agent.Equal(a.Fields[name], v) {
			return false
		}
	}
	return true
}

// hasReference reports whether v holds a Reference.
func hasReference(v any) bool {
	for leaf := range agent.Leaves(v) {
		if _, is := leaf.(Reference); is {
			return true
		}
	}
	return false
}
