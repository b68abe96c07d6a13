package manifest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/internal/validate"
	"agentsync/internal/yamltext"
)

// fileLoader is what all files of one Load share. Its methods are safe for concurrent use.
type fileLoader struct {
	env       secret.Lookup
	platforms []string                        // their names
	secret    []string                        // the names whose values are secret whatever they hold
	apiKeys   []string                        // the variables that hold their API keys unless a section names others
	rules     func() (*validate.Rules, error) // compiles the schemas when it is first called
	limits    Limits
	wanted    map[agent.Address][]string // the values whose places are asked for
	total     atomic.Int64               // bytes read so far
	files     textFiles
}

func newLoader(o Options) *fileLoader {
	l := &fileLoader{env: o.Env, limits: o.Limits.withDefaults(), wanted: o.Locate, secret: secretNames(o.Platforms)}
	for _, p := range o.Platforms {
		l.platforms = append(l.platforms, p.Name)
		l.apiKeys = append(l.apiKeys, p.APIKeyEnv)
	}
	l.rules = sync.OnceValues(func() (*validate.Rules, error) {
		r, err := validate.New(o.Platforms)
		if err != nil {
			return nil, fmt.Errorf("compile the schemas: %w", err)
		}
		return r, nil
	})
	return l
}

// fileResult is what one file gives.
type fileResult struct {
	path     string
	problems diag.List
	sections []platformSection
	uses     []variableUse
}

// load reads one file.
func (l *fileLoader) load(f foundFile) (result fileResult, err error) {
	result.path = f.display
	src, ok := l.readFile(f, &result.problems)
	if ok {
		if err = l.decode(Source{Path: f.display, Content: src}, &result); err != nil {
			return result, err
		}
	}
	result.problems.Sort()
	return result, nil
}

// text says what the text of a manifest may hold.
func (l *fileLoader) text() yamltext.Options {
	return yamltext.Options{Values: l.limits.Values, Secret: l.secret,
		Nothing: "the file holds no manifest; a manifest begins with `version: 1` and has a section per platform: " +
			diag.And(slices.Sorted(slices.Values(l.platforms)))}
}

// decode reads a file into result. The error is that of the schemas.
func (l *fileLoader) decode(source Source, result *fileResult) error {
	path, src, problems := source.Path, source.Content, &result.problems
	// The schemas are compiled beside this, so it comes before the wait for them.
	root := yamltext.Parse(path, src, l.text(), problems)
	rules, err := l.rules()
	if root == nil || err != nil {
		return err
	}
	file := &manifestFile{
		valueDecoder: valueDecoder{
			Places: yamltext.Places{Path: path, Src: src}, files: &l.files, texts: source.Texts,
			env: l.env, limits: l.limits, problems: problems,
		},
		rules:      rules,
		wanted:     l.wanted,
		inDefaults: map[toldError]*sharedProblem{},
	}
	file.hidden = sync.OnceValue(func() yamltext.Hidden { return yamltext.HiddenIn(src, root, l.secret...) })
	result.sections = file.read(root)
	result.uses = file.uses
	if !file.isComplete(result.sections) && !problems.HasErrors() {
		problems.Errorf(diag.Pos{File: path},
			"the file was not read to its end; this is a fault in agentsync, please report it")
	}
	return nil
}

// isComplete reports whether every agent of the file is in its sections. What is not must have an error: a
// fleet that is shorter than its files deletes agents.
func (f *manifestFile) isComplete(sections []platformSection) bool {
	n := 0
	for _, s := range sections {
		n += len(s.agents)
	}
	return !f.stopped && n == f.written
}

// manifestFile reads one file's root and sections.
type manifestFile struct {
	valueDecoder
	rules *validate.Rules
	// wanted are the values whose places are asked for.
	wanted map[agent.Address][]string
	// root is the file's root mapping.
	root *yaml.Node
	// inDefaults are the problems that agents have with values of their section's defaults, told
	// once for all agents.
	inDefaults map[toldError]*sharedProblem
	// written is how many agents the file's sections hold.
	written int
}

// sharedProblem is one problem with a value of the defaults that some agents have.
type sharedProblem struct {
	key    string // the first agent's
	line   int
	agents int
}

// read takes the root apart: the shell, which the manifest schema checks, and the sections' agents.
func (f *manifestFile) read(root *yaml.Node) []platformSection {
	f.root = root
	if yamltext.Deref(root).Kind != yaml.MappingNode {
		f.errorf(root, "a manifest is a mapping that begins with `version: 1`, not %s",
			yamltext.KindName(yamltext.Deref(root)))
		return nil
	}
	shell := map[string]any{}
	var parts []*sectionPart
	f.entries(root, 0, func(name string, _, value *yaml.Node) {
		p, ok := f.rules.Platforms[name]
		switch n := yamltext.Deref(value); {
		case len(name) > 2 && name[:2] == "x-": // a place for anchors; read where they are used
		case ok && n.Kind == yaml.MappingNode:
			// The version is looked up first: it says by which fields the rest of the section is read.
			part := f.sectionPart(p.Version(f.apiOf(value)), value)
			f.written += len(part.agents)
			shell[name] = part.shell
			parts = append(parts, part)
		default:
			shell[name] = f.value(value, 1)
		}
	})
	// The shell before the agents: what is wrong with a section's own settings is told once, before its agents repeat
	// it.
	f.checkShell(shell)
	f.checkPlatforms(shell)
	var sections []platformSection
	for _, part := range parts {
		if f.stopped {
			return nil
		}
		sections = append(sections, f.section(part))
	}
	// Last, when it is known how many agents share each of them.
	for _, e := range slices.SortedFunc(maps.Keys(f.inDefaults), toldError.compare) {
		f.report(e.pos, "%s (merged into %s)", e.sentence, f.inDefaults[e])
	}
	return sections
}

// apiOf returns the version of the platform's API that a section asks for, "" where it says nothing that can be read.
func (f *manifestFile) apiOf(section *yaml.Node) string {
	if p := f.Locate(section, "/api"); p.Found {
		return yamltext.Deref(p.Value).Value
	}
	return ""
}

// checkPlatforms refuses sections that the schema knows and this program does not: their agents would
// be passed over in silence.
func (f *manifestFile) checkPlatforms(shell map[string]any) {
	for name := range shell {
		if f.rules.KnowsSection(name) && f.rules.Platforms[name] == nil {
			f.errorf(f.Locate(f.root, "/"+name).Value, "this agentsync does not know the platform %s; it knows %s",
				name, diag.And(f.rules.Order))
		}
	}
}

func (s *sharedProblem) String() string {
	if s.agents == 1 {
		return fmt.Sprintf("agent %s, line %d", diag.Ticked(s.key), s.line)
	}
	return fmt.Sprintf("%s, first %s, line %d", diag.Plural(s.agents, "agent"), diag.Ticked(s.key), s.line)
}
