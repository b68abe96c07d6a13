package export

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Puller writes what is live into the manifests of managed agents, in memory. It changes only values that somebody
// changed at the platform (drift), one by one, and reads each manifest back: nothing else may differ.
type Puller struct {
	Parser *manifest.Parser
	// Fleet is what the manifests want.
	Fleet *manifest.Fleet
	// Read returns the content of a file, by the name that problems call it.
	Read func(name string) ([]byte, error)
	// Files are the files that are to be written, by name: manifests and texts. Was is what they hold.
	Files, Was map[string][]byte

	// references are the texts among Files, by the manifest that refers to them and the path in the reference.
	references map[string]map[string]string
}

// Pull is what became of one agent.
type Pull struct {
	Address agent.Address
	// Fields are the names of the fields that the manifest has now as they are live, in the schema's order.
	Fields []string
	// Wanted are the agent's fields as the manifest has them now.
	Wanted agent.Fields
	// Left are the values that differ and were left as they are.
	Left []LeftValue
}

// LeftValue is a value that was not written, and why.
type LeftValue struct{ Path, Reason string }

// Agent pulls one agent. ch is its change in a plan made of what is live. The error is the context's, or that of Read.
func (p *Puller) Agent(ctx context.Context, s *schema.Platform, ch plan.Change) (Pull, error) {
	result := Pull{Address: ch.Address}
	i := slices.IndexFunc(p.Fleet.Agents, func(d agent.Desired) bool { return d.Address == ch.Address })
	if i < 0 {
		return result, nil
	}
	want := p.Fleet.Agents[i]
	result.Wanted = want.Fields.Clone()
	for _, f := range s.Fields {
		var drift []plan.FieldChange
		for _, fc := range ch.Differences() {
			if fc.Drift && (fc.Path == f.Pointer || strings.HasPrefix(fc.Path, f.Pointer+"/")) {
				drift = append(drift, fc)
			}
		}
		if len(drift) == 0 {
			continue
		}
		// A field is written whole or not at all: the state knows fields, and half of one would be neither.
		left, err := p.pullField(ctx, s, want, &f, drift, result.Wanted)
		if err != nil {
			return result, err
		}
		if left != nil {
			result.Left = append(result.Left, *left)
			continue
		}
		result.Fields = append(result.Fields, f.Name)
	}
	return result, nil
}

// pullField writes the differences of one field into the files, and what they make into wanted; or says why not.
func (p *Puller) pullField(
	ctx context.Context, s *schema.Platform, want agent.Desired, f *schema.Field, drift []plan.FieldChange,
	wanted agent.Fields,
) (*LeftValue, error) {
	before := maps.Clone(p.Files)
	undo := func(path, reason string) *LeftValue {
		p.Files = before
		return &LeftValue{path, reason}
	}
	next := wanted.Clone()
	for _, fc := range drift {
		switch {
		case fc.Secret:
			return undo(fc.Path, "it is a secret"), nil
		// Both sides have changed it: neither may be lost without a word.
		case !agent.Equal(fc.Before, fc.After):
			return undo(fc.Path, "the manifest was changed as well; apply that, or take it back"), nil
		case f.Immutable:
			return undo(fc.Path, "the platform cannot change it"), nil
		}
		names := agent.SplitPointer(fc.Path)
		value := fc.Live
		if len(names) == 1 && (agent.Equal(value, f.Default) || f.Default == nil && agent.Equal(value, f.Empty())) {
			value = nil // what the platform takes by itself
		}
		reason, err := p.writeValue(ctx, s, want, names, value, fc.Live, next)
		if err != nil || reason != "" {
			return undo(fc.Path, reason), err
		}
	}
	// Only now that all of them are written: wanted is what the next field is read back with.
	clear(wanted)
	maps.Copy(wanted, next)
	return nil, nil
}

// writeValue writes one value. The ways are tried in order, and the first after which the manifest reads as it should
// is taken: a value that is nil is taken out, or stands as it is live, or is null, where a default would take its
// place.
func (p *Puller) writeValue(
	ctx context.Context, s *schema.Platform, want agent.Desired, names []string, value, live any, next agent.Fields,
) (reason string, err error) {
	file := want.Source.File
	src, err := p.fileContent(file)
	if err != nil {
		return "", err
	}
	ways := []Edit{{Path: names, Value: value}}
	if value == nil {
		ways = append(ways, Edit{Path: names, Value: live}, Edit{Path: names, Null: true})
	}
	for _, e := range ways {
		after, err := Change(src, s, want.Address.Key, e)
		var text *TextFileError
		switch {
		case errors.As(err, &text):
			return p.writeText(ctx, want, text.Path, names, live, next)
		case err != nil:
			reason = err.Error()
			continue
		}
		expected := next.Clone()
		setValue(expected, names, e.Value)
		if reason, err = p.readBack(ctx, file, src, after, want.Address, expected); err != nil || reason == "" {
			if err == nil {
				// Only what was read back, for the next value is written into it.
				p.Files[file] = after
				setValue(next, names, e.Value)
			}
			return reason, err
		}
	}
	return reason, nil
}

// fileContent returns a file as it is to be, or is.
func (p *Puller) fileContent(name string) ([]byte, error) {
	if content, ok := p.Files[name]; ok {
		return content, nil
	}
	content, err := p.Read(name)
	if err == nil {
		p.Was[name] = content
	}
	return content, err
}

// readBack reads a manifest back. It returns what is wrong with it, if anything: what is live may not be valid, and
// nothing but the one agent may differ.
func (p *Puller) readBack(ctx context.Context, file string, before, after []byte, addr agent.Address,
	expected agent.Fields) (string, error) {
	texts := map[string][]byte{}
	for reference, name := range p.references[file] {
		if content, ok := p.Files[name]; ok { // else it was taken back
			texts[reference] = content
		}
	}
	was, _, err := p.Parser.Parse(ctx, manifest.Source{Path: file, Content: before, Texts: texts})
	if err != nil {
		return "", err
	}
	// With the same texts as before, or every one that is to be written would count as a difference.
	is, problems, err := p.Parser.Parse(ctx, manifest.Source{Path: file, Content: after, Texts: texts})
	if err != nil {
		return "", err
	}
	for _, problem := range problems {
		if problem.Severity == diag.Error {
			return "what is live would not be valid: " + problem.Summary, nil
		}
	}
	others, _ := withoutAgent(was.Agents, addr)
	kept, n := withoutAgent(is.Agents, addr)
	i := slices.IndexFunc(is.Agents, func(d agent.Desired) bool { return d.Address == addr })
	if n != 1 || !reflect.DeepEqual(others, kept) || !reflect.DeepEqual(is.Agents[i].Fields, expected) {
		return "it is written in a way that leaves no safe place for it; write it by hand", nil
	}
	return "", nil
}

// writeText writes a value into the file that the manifest takes it from.
func (p *Puller) writeText(
	ctx context.Context, want agent.Desired, reference string, names []string, live any, next agent.Fields,
) (reason string, err error) {
	file := want.Source.File
	name := path.Join(path.Dir(file), reference)
	text, ok := live.(string)
	switch {
	case !ok || !fitsTextFile(text):
		return "what is live cannot be a text in " + name, nil
	case p.usedByOthers(want.Address, names, name):
		return "other values are the text of " + name + " as well", nil
	}
	was, err := p.fileContent(name)
	if err != nil {
		return "", err
	}
	content := text + "\n"
	// An editor's line ends and byte order mark stay: a diff of the whole file would hide the one line.
	if strings.Contains(string(was), "\r\n") {
		content = strings.ReplaceAll(content, "\n", "\r\n")
	}
	if strings.HasPrefix(string(was), "\ufeff") {
		content = "\ufeff" + content
	}
	p.Files[name] = []byte(content)
	if p.references == nil {
		p.references = map[string]map[string]string{}
	}
	if p.references[file] == nil {
		p.references[file] = map[string]string{}
	}
	p.references[file][reference] = name
	src, err := p.fileContent(file)
	if err != nil {
		return "", err
	}
	setValue(next, names, live)
	return p.readBack(ctx, file, src, src, want.Address, next)
}

// usedByOthers reports whether another value of the fleet comes from the same file.
func (p *Puller) usedByOthers(addr agent.Address, names []string, file string) bool {
	at := agent.JoinPointer(names)
	for _, d := range p.Fleet.Agents {
		for pointer, name := range d.TextFiles {
			if name == file && (d.Address != addr || pointer != at) {
				return true
			}
		}
	}
	return false
}

// setValue sets or deletes the value at a path.
func setValue(fields agent.Fields, names []string, v any) {
	at := map[string]any(fields)
	for _, name := range names[:len(names)-1] {
		below, ok := at[name].(map[string]any)
		if !ok {
			below = map[string]any{}
			at[name] = below
		}
		at = below
	}
	if last := names[len(names)-1]; v == nil {
		delete(at, last)
	} else {
		at[last] = v
	}
}

// Record returns the record of a pulled agent: the fields that were written are as wanted and as observed, and
// everything else stays as it was, so that what was left still shows as drift.
func (r Pull) Record(was agent.Record, live agent.Content, s secret.Sealer) (agent.Record, error) {
	applied, err := was.Applied.Fields()
	if err != nil {
		return was, fmt.Errorf("%s: %w", r.Address, err)
	}
	if applied == nil {
		applied = agent.Fields{}
	}
	sealed := r.Wanted.Seal(s)
	for _, name := range r.Fields {
		if v, ok := sealed[name]; ok {
			applied[name] = v
		} else {
			delete(applied, name)
		}
	}
	if was.Applied, err = agent.Encode(applied); err != nil {
		return was, fmt.Errorf("%s: %w", r.Address, err)
	}
	was.Observed, err = plan.ObservedAfter(was.Observed, live, r.Wanted, r.Fields, s)
	return was, err
}
