package manifest

import (
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
)

const (
	// spreadLeast is how many agents one goroutine is worth.
	spreadLeast = 64
	// spreadParts is how many parts each processor gets, so that none waits long for another's.
	spreadParts = 4
)

// spread reads a section's agents on all processors. It is false where they are few, and where
// anything is wrong with one of them or worth a warning: the caller then reads them in turn, so that
// problems and limits are told of as if there were one processor.
func (f *file) spread(part *sectionPart, id agent.AppID) ([]loaded, bool) {
	procs := runtime.GOMAXPROCS(0)
	parts := slices.Collect(slices.Chunk(part.agents, max(spreadLeast, len(part.agents)/(spreadParts*procs)+1)))
	if len(parts) < 2 || procs == 1 {
		return nil, false
	}
	forks := make([]*file, len(parts))
	agents := make([][]loaded, len(parts))
	var group errgroup.Group
	group.SetLimit(procs)
	for i, nodes := range parts {
		forks[i] = f.fork(len(parts))
		group.Go(func() error {
			agents[i] = forks[i].inTurn(part, id, nodes)
			return nil
		})
	}
	_ = group.Wait() // no goroutine returns an error
	return slices.Concat(agents...), f.join(forks)
}

// fork returns a file that reads a part of f's agents. It stops at the first problem, and at twice its
// share of the values that f may still hold: whatever the aliases, the parts cost no more together
// than reading them in turn.
func (f *file) fork(parts int) *file {
	fork := *f
	fork.problems, fork.bad, fork.aliases = &diag.List{}, maps.Clone(f.bad), nil
	fork.limits.Problems = 0
	fork.values = 0
	fork.limits.Values = 2 * (f.limits.Values - f.values) / parts
	fork.inDefaults = map[string]*shared{}
	fork.members = map[*yaml.Node]map[string]int{}
	return &fork
}

// join takes over what forks have read, if they have read everything and found nothing to report.
func (f *file) join(forks []*file) bool {
	values, hasTexts := f.values, f.hasTexts
	for _, fork := range forks {
		if fork.stopped || len(*fork.problems) > 0 || len(fork.inDefaults) > 0 {
			return false
		}
		values += fork.values
		hasTexts = hasTexts || fork.hasTexts
	}
	if values > f.limits.Values {
		return false
	}
	f.values, f.hasTexts = values, hasTexts
	return true
}
