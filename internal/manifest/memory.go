package manifest

import (
	"context"
	"errors"

	"agentsync/internal/diag"
)

// Source is a manifest that is in memory: not written yet, or as it would be after an edit.
type Source struct {
	// Path is how problems name it.
	Path    string
	Content []byte
}

// Parser reads manifests from memory. It is safe for concurrent use.
type Parser struct{ loader *loader }

// NewParser returns a Parser. The error is for Options that cannot be used.
func NewParser(o Options) (*Parser, error) {
	if o.Env == nil {
		return nil, errors.New("parse manifests: Options.Env is nil")
	}
	l := newLoader(o)
	if _, err := l.rules(); err != nil {
		return nil, err
	}
	return &Parser{l}, nil
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
		if err := p.loader.decode(s.Content, &results[i]); err != nil {
			return nil, nil, err
		}
	}
	var problems diag.List
	fleet := join(results, p.loader.apiKeys, &problems)
	for _, r := range results {
		problems = append(problems, r.problems...)
		fleet.Files = append(fleet.Files, r.path)
	}
	problems.Sort()
	return fleet, problems, nil
}

// Parse reads the sources once, with a Parser of their own.
func Parse(ctx context.Context, sources []Source, o Options) (*Fleet, diag.List, error) {
	p, err := NewParser(o)
	if err != nil {
		return nil, nil, err
	}
	return p.Parse(ctx, sources...)
}
