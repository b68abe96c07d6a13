package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/validate"
	"agentsync/internal/yamltext"
)

// textFiles reads the files that ${file:PATH} names, each once: many agents may share one. It is safe for
// concurrent use.
type textFiles struct {
	mu    sync.Mutex
	files map[string]*textFile // by real path
	roots map[string]string    // the repository of a folder, by the folder's real path
}

// textFile is a file that was read as a text.
type textFile struct {
	shown string // how problems name it
	text  string
	pos   diag.Pos // where it is wrong, if it is
	wrong string   // what is wrong with it, empty where nothing is
	// root and path are how it is opened, empty where it must not be.
	root, path string
}

// textOf returns the text of the file that ${file:path} at n names, which is the value of n, or "" after a
// problem. What is in the file is text: ${ in it refers to nothing.
func (d *valueDecoder) textOf(n *yaml.Node, path string) any {
	pos := d.Pos(n)
	if path == "" || strings.Contains(path, `\`) || filepath.IsAbs(filepath.FromSlash(path)) ||
		strings.HasPrefix(path, "/") {
		d.errorAt(n, pos,
			"%s is no path for ${file:…}; write one that is relative to this manifest, with /, like ${file:prompts/coach.md}",
			diag.Quoted(path))
		return ""
	}
	folder := filepath.Dir(filepath.FromSlash(d.Path))
	var f *textFile
	if src, ok := d.texts[path]; ok {
		f = &textFile{shown: shownPath(filepath.Join(folder, filepath.FromSlash(path)))}
		f.setText(src)
	} else {
		f = d.files.read(folder, filepath.FromSlash(path), d.limits.TextBytes)
	}
	switch {
	case f.wrong != "" && f.pos.Line > 0:
		d.report(f.pos, "%s (the text is used at %s)", f.wrong, pos)
		d.errorAt(n, pos, "the text at %s: %s", f.pos, f.wrong)
	case f.wrong != "":
		d.errorAt(n, pos, "%s %s", f.shown, f.wrong)
	case d.countText(n, 0, len(f.text)):
		if d.textAt == nil {
			d.textAt = map[*yaml.Node]*textFile{}
		}
		d.textAt[n] = f
		d.hasTexts = true
		return &validate.Text{Value: f.text, Pos: pos, File: f.shown}
	}
	return ""
}

// read returns the file at path below folder, both as the system writes them.
func (t *textFiles) read(folder, path string, limit int) *textFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &textFile{shown: shownPath(filepath.Join(folder, path))}
	real, err := realPath(folder)
	if err != nil {
		f.wrong = "cannot be read: " + innerCause(err)
		return f
	}
	whole := filepath.Join(real, path)
	if known := t.files[whole]; known != nil {
		return known
	}
	root := t.repository(real)
	rel, err := filepath.Rel(root, whole)
	if err != nil || !filepath.IsLocal(rel) {
		f.wrong = "is outside of the repository; a text must be inside it"
		return f
	}
	f.root, f.path = root, rel
	src, err := readInside(root, rel, int64(limit))
	switch {
	case errors.Is(err, errTooLarge):
		f.wrong = "is longer than " + diag.Size(int64(limit)) + "; shorten it"
	case errors.Is(err, errNotRegular):
		f.wrong = "is not a regular file; name a text file"
	case err != nil:
		f.wrong = "cannot be read: " + innerCause(err)
	default:
		f.setText(src)
	}
	if t.files == nil {
		t.files = map[string]*textFile{}
	}
	t.files[whole] = f
	return f
}

// openedAs returns how the text that problems call name is opened; a zero one where it must not be.
func (t *textFiles) openedAs(name string) foundFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		if f.shown == name {
			return foundFile{root: f.root, path: f.path, display: name}
		}
	}
	return foundFile{}
}

// setText makes the text of a file's bytes: line ends as YAML has them, without a byte order mark and without the one
// line end that every editor leaves at the end.
func (f *textFile) setText(src []byte) {
	text := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n")
	for i, n := 0, 0; i < len(text); i += n {
		var r rune
		bad := ""
		switch r, n = utf8.DecodeRuneInString(text[i:]); {
		case r == utf8.RuneError && n == 1:
			bad = fmt.Sprintf("the byte %#02x is not valid UTF-8; save the file as UTF-8", text[i])
		case unicode.IsControl(r) && r != '\n' && r != '\t' && r != 0x85:
			bad = fmt.Sprintf("the control character %U cannot be in a text; take it out", r)
		}
		if bad != "" {
			f.pos, f.wrong = yamltext.NewLines([]byte(text)).Pos(f.shown, i), bad
			return
		}
	}
	f.text = strings.TrimSuffix(text, "\n")
}

// repository returns the folder that texts must be inside: the nearest one above that git knows, else the working
// folder, else the manifest's own.
func (t *textFiles) repository(folder string) string {
	if root, ok := t.roots[folder]; ok {
		return root
	}
	root := folder
	if here, err := realPath("."); err == nil && isInside(here, folder) {
		root = here
	}
	for above := folder; ; above = filepath.Dir(above) {
		if _, err := os.Lstat(filepath.Join(above, ".git")); err == nil {
			root = above
			break
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	if t.roots == nil {
		t.roots = map[string]string{}
	}
	t.roots[folder] = root
	return root
}

// warnUnused warns of files that nobody refers to beside those that somebody does: a prompt that was renamed, or
// whose reference was forgotten.
func (t *textFiles) warnUnused(problems *diag.List) {
	type group struct{ folder, ext string }
	shown := map[group]string{}
	for whole, f := range t.files {
		shown[group{filepath.Dir(whole), filepath.Ext(whole)}] = filepath.Dir(filepath.FromSlash(f.shown))
	}
	for g, folder := range shown {
		entries, err := os.ReadDir(g.folder)
		if err != nil || isManifestName("x"+g.ext) {
			continue
		}
		for _, e := range entries {
			odd := strings.HasPrefix(e.Name(), ".") || slices.Contains([]string{"README.md", "CHANGELOG.md"}, e.Name())
			if e.Type().IsRegular() && filepath.Ext(e.Name()) == g.ext && !odd &&
				t.files[filepath.Join(g.folder, e.Name())] == nil {
				problems.Warnf(diag.Pos{File: shownPath(filepath.Join(folder, e.Name()))},
					"no manifest refers to this text; write ${file:…} where it belongs, or remove it")
			}
		}
	}
}
