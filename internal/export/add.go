package export

import (
	"context"
	"fmt"
	"reflect"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
)

// OtherAppError says that a manifest's section of the platform is that of another app.
type OtherAppError struct{ App agent.AppID }

// Error names the other app.
func (e *OtherAppError) Error() string {
	return fmt.Sprintf("the section %s is that of %s", e.App.Platform, e.App)
}

// Add returns a manifest with the draft's first agent in it, or what keeps the manifest from being read. What is
// made is read back: nothing but the new agent may differ, or the error wraps ErrSplice.
func (d *Draft) Add(ctx context.Context, src manifest.Source) ([]byte, diag.List, error) {
	was, problems, err := d.parser.Parse(ctx, src)
	if err != nil || problems.HasErrors() {
		return nil, problems, err
	}
	for id := range was.Apps {
		if id.Platform == d.App.ID.Platform && id != d.App.ID {
			return nil, nil, &OtherAppError{App: id}
		}
	}
	after, err := Splice(src.Content, d.Platform, d.App, d.Agents[0])
	if err != nil {
		return nil, nil, err
	}
	is, problems, err := d.parser.Parse(ctx, manifest.Source{Path: src.Path, Content: after})
	if err != nil {
		return nil, nil, err
	}
	addr := agent.Address{Platform: d.App.ID.Platform, App: d.App.ID.App, Key: d.Agents[0].Key}
	kept, added := withoutAgent(is.Agents, addr)
	old, before := withoutAgent(was.Agents, addr)
	if added != 1 || before != 0 || !reflect.DeepEqual(kept, old) {
		return nil, nil, ErrSplice
	}
	for _, p := range problems {
		if p.Severity == diag.Error && p.Address != addr.String() {
			return nil, nil, ErrSplice
		}
	}
	return after, nil, nil
}

// withoutAgent returns the agents but those at addr, which it counts, and takes no notice of where they are written.
func withoutAgent(agents []agent.Desired, addr agent.Address) (others []agent.Desired, at int) {
	for _, d := range agents {
		if d.Address == addr {
			at++
			continue
		}
		d.Source = diag.Pos{}
		others = append(others, d)
	}
	return others, at
}
