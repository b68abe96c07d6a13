package plan

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"agentsync/internal/agent"
	"agentsync/internal/crash"
)

// spreadPart is how many agents are planned in one go by one processor.
const spreadPart = 256

// wantAll plans the selected agents of the manifests, on all processors: each part of them makes a plan
// of its own, and these are put together in the order of the addresses.
func (b *builder) wantAll(selected func(agent.Address) bool) error {
	var parts []*builder
	for desired := range slices.Chunk(b.desired, spreadPart) {
		parts = append(parts, &builder{in: b.in, plan: &Plan{}, desired: desired, from: b.from, live: b.live, marks: b.marks})
	}
	errs := make([]error, len(parts))
	each(len(parts), func(i int) { errs[i] = parts[i].wantInTurn(selected) })
	changes := 0
	for _, part := range parts {
		changes += len(part.plan.Changes)
	}
	b.plan.Changes = make([]Change, 0, changes)
	for i, part := range parts {
		if errs[i] != nil {
			return errs[i]
		}
		for _, ch := range part.plan.Changes {
			b.add(ch)
		}
		b.plan.Touches = append(b.plan.Touches, part.plan.Touches...)
		b.plan.Summary.Unchanged += part.plan.Summary.Unchanged
		b.used += part.used
	}
	return nil
}

// wantInTurn plans the builder's agents one after the other.
func (b *builder) wantInTurn(selected func(agent.Address) bool) error {
	for _, d := range b.desired {
		if !selected(d.Address) {
			continue
		}
		if err := b.want(d); err != nil {
			return err
		}
	}
	return nil
}

// each calls do for 0 to n-1 on all processors, and returns when all calls have.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			defer crash.Guard()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}
