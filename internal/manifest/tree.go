package manifest

import (
	"path/filepath"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// File is a manifest that Find found.
type File struct {
	// Path opens it, Name is how problems call it.
	Path, Name string
	found      found
}

// Find lists the manifests at paths as Load does, sorted by name, without reading them. Of o only
// Limits matter.
func Find(paths []string, o Options) ([]File, diag.List, error) {
	found, problems, err := find(paths, o.Limits.withDefaults())
	files := make([]File, len(found))
	for i, f := range found {
		files[i] = File{Path: filepath.Join(f.root, f.path), Name: f.display, found: f}
	}
	return files, problems, err
}

// Read returns a manifest's content, or the problem that stops it: it is not there, no regular file,
// or larger than Limits.FileBytes.
func Read(f File, o Options) ([]byte, diag.List) {
	var problems diag.List
	l := newLoader(o)
	src, _ := l.readFile(f.found, &problems)
	return src, problems
}

// Tree returns the root node of the one document in a manifest, or the problem that stops it: it is no
// UTF-8, no YAML, empty, more than one document, or beyond Limits. Nothing is decoded or validated.
func Tree(name string, src []byte, o Options) (*yaml.Node, diag.List) {
	var problems diag.List
	return newLoader(o).parse(name, src, &problems), problems
}
