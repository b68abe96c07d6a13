package manifest

import (
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/yamltext"
	"agentsync/schema"
)

// Sources finds the lines that problems are at, in the manifests and in the texts that they refer to. A file is read
// again when a line of it is asked for first: most runs ask for none. It is safe for concurrent use.
type Sources struct {
	options   Options
	manifests []foundFile
	texts     *textFiles
	memory    []Source

	mu   sync.Mutex // guards read
	read map[string]*sourceFile
}

// sourceFile is a file that was read to show lines of it.
type sourceFile struct {
	lines  *yamltext.Lines
	hidden yamltext.Hidden
	prose  bool
}

// SourcesOf returns the Sources of manifests that Find found.
func SourcesOf(files []File, o Options) *Sources {
	s := &Sources{options: o}
	for _, f := range files {
		s.manifests = append(s.manifests, f.found)
	}
	return s
}

// SourcesIn returns the Sources of manifests in memory.
func SourcesIn(memory []Source, o Options) *Sources { return &Sources{options: o, memory: memory} }

// secretNames are the names of the members whose values are secret whatever they hold.
func secretNames(platforms []*schema.Platform) []string {
	var names []string
	for _, p := range platforms {
		for _, v := range p.Versions() {
			for _, f := range v.Fields {
				for _, pointer := range f.Secret {
					if name := pointer[strings.LastIndex(pointer, "/")+1:]; !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// content returns a file's bytes, false where it is none of those that were read, or cannot be read any more.
func (s *Sources) content(name string) ([]byte, bool) {
	if i := slices.IndexFunc(s.memory, func(m Source) bool { return m.Path == name }); i >= 0 {
		return s.memory[i].Content, true
	}
	limits := s.options.Limits.withDefaults()
	f, limit := foundFile{}, limits.FileBytes
	if i := slices.IndexFunc(s.manifests, func(m foundFile) bool { return m.display == name }); i >= 0 {
		f = s.manifests[i]
	} else if s.texts != nil {
		f, limit = s.texts.openedAs(name), int64(limits.TextBytes)
	}
	if f.root == "" {
		return nil, false
	}
	src, err := readInside(f.root, f.path, limit)
	return src, err == nil
}

// Line returns the line of a place.
func (s *Sources) Line(pos diag.Pos) (diag.Line, bool) {
	if s == nil || pos.Line < 1 {
		return diag.Line{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.open(pos.File)
	if file == nil {
		return diag.Line{}, false
	}
	start := file.lines.Offset(pos.Line, 1)
	text := strings.TrimSuffix(string(file.lines.Rest(start)), "\r")
	line := diag.Line{Text: text, Hidden: file.hidden.In(start, start+len(text))}
	if at := file.lines.Offset(pos.Line, max(pos.Column, 1)) - start; at < len(text) {
		line.Token = 1
		if !file.prose {
			line.Token = yamltext.TokenLength(text, at)
		}
	}
	return line, true
}

// isText reports whether a file is a text that a manifest refers to.
func (s *Sources) isText(name string) bool {
	return s.texts != nil && s.texts.openedAs(name).root != ""
}

// open returns a file, nil where it cannot be read.
func (s *Sources) open(name string) *sourceFile {
	if f, known := s.read[name]; known {
		return f
	}
	if s.read == nil {
		s.read = map[string]*sourceFile{}
	}
	s.read[name] = nil
	src, ok := s.content(name)
	if !ok {
		return nil
	}
	f := &sourceFile{lines: yamltext.NewLines(src), prose: s.isText(name)}
	var root *yaml.Node
	if !f.prose {
		root, _ = Tree(name, src, s.options)
	}
	f.hidden = yamltext.HiddenIn(src, root, secretNames(s.options.Platforms)...)
	s.read[name] = f
	return f
}

// Masked returns a manifest with (secret) in place of what may be a credential, to be shown.
func Masked(name string, src []byte, o Options) []byte {
	root, _ := Tree(name, src, o)
	var masked []byte
	at := 0
	for _, part := range yamltext.HiddenIn(src, root, secretNames(o.Platforms)...).In(0, len(src)) {
		masked = append(append(masked, src[at:part[0]]...), "(secret)"...)
		at = part[1]
	}
	return append(masked, src[at:]...)
}
