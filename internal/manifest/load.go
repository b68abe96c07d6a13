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
	found, problems, err := find(paths, o.Limits.withDefaults())
	if err != nil {
		return nil, nil, err
	}
	l := newLoader(o)
	go func() { // while the first files are read
		defer crash.Guard()
		l.rules()
	}()
	results, err := readAll(ctx, found, l)
	if err != nil {
		return nil, nil, err
	}
	fleet := join(results, l.apiKeys, &problems)
	for _, r := range results {
		problems = append(problems, r.problems...)
		fleet.Files = append(fleet.Files, r.path)
	}
	problems.Sort()
	return fleet, problems, nil
}

// readAll loads every file, as many at once as there are processors. A file's node tree is garbage as
// soon as its result is there.
func readAll(ctx context.Context, files []found, l *loader) ([]fileResult, error) {
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

// join puts the files' sections together and checks what no file can know alone.
func join(results []fileResult, apiKeys []string, problems *diag.List) *Fleet {
	total := 0
	for _, r := range results {
		for _, s := range r.sections {
			total += len(s.agents)
		}
	}
	j := newJoiner(total, problems)
	for _, r := range results {
		for _, s := range r.sections {
			j.addSection(s)
		}
	}
	j.checkCredentials(results, apiKeys)
	j.checkPreviousKeys()
	j.checkNamesakes()
	return j.fleet()
}

func sortAgents(agents []loaded) {
	slices.SortFunc(agents, func(a, b loaded) int {
		return cmp.Or(a.Address.Compare(b.Address), a.Source.Compare(b.Source))
	})
}
