package manifest

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Fleet is what a set of manifests wants: the apps and their agents. Agents may share values that
// came from the same defaults or anchor, so their Fields are for reading: Clone before changing.
type Fleet struct {
	// Apps holds every app that a section names, with or without agents.
	Apps map[agent.AppID]agent.App
	// Agents are sorted by address, each address once.
	Agents []agent.Desired
	// Files are the manifests that were read, sorted, as paths are shown in problems.
	Files []string
	// Sources finds the lines that problems are at.
	Sources *Sources
	// Places are where the values stand that Options.Locate asked for, in an agent or in its section's defaults.
	Places map[agent.Address]map[string]diag.Pos

	secrets []secretUse
}

// Load reads the manifests at paths, each a file or a folder, and returns what they want together
// with every problem in them, sorted. The Fleet can be relied on only if the list holds no error.
// The error is for what is no manifest's fault: a path that does not exist or cannot be read, no path
// at all, a cancelled context.
func Load(ctx context.Context, paths []string, o Options) (*Fleet, diag.List, error) {
	if o.Env == nil {
		return nil, nil, errors.New("load manifests: Options.Env is nil")
	}
	found, problems, err := findFiles(paths, o.Limits.withDefaults())
	if err != nil {
		return nil, nil, err
	}
	l := newLoader(o)
	go func() { // while the first files are read
		defer crash.Guard()
		_, _ = l.rules() // whoever needs them gets the error
	}()
	results, err := readAll(ctx, found, l)
	if err != nil {
		return nil, nil, err
	}
	fleet := joinFiles(results, l.apiKeys, &problems)
	fleet.Sources = &Sources{options: o, manifests: found, texts: &l.files}
	// Behind all files: only now is it known which texts none of them uses.
	l.files.warnUnused(&problems)
	problems.Sort()
	return fleet, problems, nil
}

// readAll loads every file, as many at once as there are processors. A file's node tree is garbage as
// soon as its result is there.
func readAll(ctx context.Context, files []foundFile, l *fileLoader) ([]fileResult, error) {
	results := make([]fileResult, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		group.Go(func() error {
			defer crash.Guard()
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			results[i], err = l.load(f)
			return err
		})
	}
	return results, group.Wait()
}

// joinFiles puts the files' sections and problems together and checks what no file can know alone.
func joinFiles(results []fileResult, apiKeys []string, problems *diag.List) *Fleet {
	total := 0
	for _, r := range results {
		for _, s := range r.sections {
			total += len(s.agents)
		}
	}
	j := newJoiner(total, problems)
	var files []string
	for _, r := range results {
		files = append(files, r.path)
		*problems = append(*problems, r.problems...)
		for _, s := range r.sections {
			j.addSection(s)
		}
	}
	// Behind the last section: each check holds an agent against all others, whatever file they are in.
	j.checkCredentials(results, apiKeys)
	j.checkPreviousKeys()
	j.checkNamesakes()
	fleet := j.fleet()
	fleet.Files = files
	return fleet
}

func sortAgents(agents []loadedAgent) {
	slices.SortFunc(agents, func(a, b loadedAgent) int {
		return cmp.Or(a.Address.Compare(b.Address), a.Source.Compare(b.Source))
	})
}

// Options say how manifests are read.
type Options struct {
	// Env fills ${env:NAME}. It must not be nil and must be safe for concurrent use.
	Env secret.Lookup
	// Platforms are the platforms that sections may name, as schema.Load gives them.
	Platforms []*schema.Platform
	// Locate asks for the places of values, by address and by JSON pointers from the agent's root: see Fleet.Places. A
	// look costs some time for each value, so a caller asks for those that a problem is about, and reads once more.
	Locate map[agent.Address][]string
	// Limits bound what is read; the zero value stands for the defaults.
	Limits Limits
}

// Limits bound the cost of reading manifests, so that a file that is too large, or grows when its
// aliases are followed, costs a sentence and not the machine. A field that is zero takes its default.
type Limits struct {
	// FileBytes is the largest file that is read, in bytes (32 MiB).
	FileBytes int64
	// TotalBytes is the most that all files may hold together, in bytes (1 GiB).
	TotalBytes int64
	// Files is the largest number of files (200,000).
	Files int
	// Values is the largest number of values in one file, after aliases are followed (1,000,000). Merging
	// defaults may make four times as many of them.
	Values int
	// TextBytes is the longest text, in bytes, once its variables are filled in (1 MiB).
	TextBytes int
	// ContentBytes is the most that the texts of one file may hold together, in bytes, once aliases are
	// followed, defaults are merged and variables are filled in (64 MiB).
	ContentBytes int
	// Depth is how deep values may be nested (100).
	Depth int
	// Problems is how many errors are told of one file, which is not read on from there (1,000). Warnings
	// are not counted.
	Problems int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes:    cmp.Or(l.FileBytes, 32<<20),
		TotalBytes:   cmp.Or(l.TotalBytes, 1<<30),
		Files:        cmp.Or(l.Files, 200_000),
		Values:       cmp.Or(l.Values, 1_000_000),
		TextBytes:    cmp.Or(l.TextBytes, 1<<20),
		ContentBytes: cmp.Or(l.ContentBytes, 64<<20),
		Depth:        cmp.Or(l.Depth, agent.MaxDepth),
		Problems:     cmp.Or(l.Problems, 1_000),
	}
}

// Source is a manifest that is in memory: not written yet, or as it would be after an edit.
type Source struct {
	// Path is how problems name it.
	Path    string
	Content []byte
	// Texts are files that ${file:} names, by the path in the reference. They are read in place of the disk's.
	Texts map[string][]byte
}

// Parser reads manifests from memory. It is safe for concurrent use.
type Parser struct {
	loader  *fileLoader
	options Options
}

// NewParser returns a Parser. The error is for Options that cannot be used.
func NewParser(o Options) (*Parser, error) {
	if o.Env == nil {
		return nil, errors.New("parse manifests: Options.Env is nil")
	}
	l := newLoader(o)
	if _, err := l.rules(); err != nil {
		return nil, err
	}
	return &Parser{l, o}, nil
}

// Parse returns what the sources want together and every problem in them, as Load does for files. The
// error is that of a cancelled context.
func (p *Parser) Parse(ctx context.Context, sources ...Source) (*Fleet, diag.List, error) {
	results := make([]fileResult, len(sources))
	for i, s := range sources {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		results[i].path = s.Path
		if err := p.loader.decode(s, &results[i]); err != nil {
			return nil, nil, err
		}
	}
	var problems diag.List
	fleet := joinFiles(results, p.loader.apiKeys, &problems)
	fleet.Sources = SourcesIn(sources, p.options)
	problems.Sort()
	return fleet, problems, nil
}
