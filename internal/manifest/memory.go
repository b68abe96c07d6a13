package manifest

import (
	"context"
	"errors"
	"fmt"

	"agentsync/internal/diag"
)

// Source is a manifest that is in memory: not written yet, or as it would be after an edit.
type Source struct {
	// Path is how problems name it.
	Path    string
	Content []byte
}

// Parse reads manifests from memory as Load does from files, one after the other, in the given order.
// The error is for Options that cannot be used and for a cancelled context.
func Parse(ctx context.Context, sources []Source, o Options) (*Fleet, diag.List, error) {
	if o.Env == nil {
		return nil, nil, errors.New("parse manifests: Options.Env is nil")
	}
	rules, err := newRules(o.Platforms)
	if err != nil {
		return nil, nil, fmt.Errorf("compile the schemas: %w", err)
	}
	l := &loader{env: o.Env, rules: rules, limits: o.Limits.withDefaults()}
	results := make([]fileResult, len(sources))
	for i, s := range sources {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		results[i].path = s.Path
		results[i].sections = l.decode(s.Path, s.Content, &results[i].problems)
	}
	var problems diag.List
	fleet := join(results, &problems)
	for _, r := range results {
		problems = append(problems, r.problems...)
		fleet.Files = append(fleet.Files, r.path)
	}
	problems.Sort()
	return fleet, problems, nil
}
