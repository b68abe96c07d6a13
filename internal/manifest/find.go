package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
	"agentsync/internal/yamltext"
)

// foundFile is one manifest file: the folder that it is read through, its path in there, and how a user is told
// of it. A link that leads out of the folder is not followed: whoever can write a manifest could name any
// file of the machine.
type foundFile struct {
	root, path, display string
}

// fileFinder walks folders. Files and folders are known by their real paths, so that one reached twice,
// by two arguments or by a symbolic link, is read once and a loop of links ends.
type fileFinder struct {
	limits Limits
	seen   map[string]bool
	// root is the folder that is walked, realRoot the same without links.
	root, realRoot string
	files          []foundFile
	problems       diag.List
}

// findFiles lists the manifests at paths, sorted by the path that is shown. The error is for a path that
// is not there or cannot be read; a folder without manifests is a problem that names the folder.
func findFiles(paths []string, limits Limits) ([]foundFile, diag.List, error) {
	if len(paths) == 0 {
		return nil, nil, errors.New("no path to read manifests from: name a file or a folder")
	}
	f := &fileFinder{limits: limits, seen: map[string]bool{}}
	for _, p := range paths {
		if err := f.addArgument(p); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(f.files, func(a, b foundFile) int { return cmp.Compare(a.display, b.display) })
	if len(f.files) > limits.Files {
		f.problems.Errorf(diag.Pos{File: f.files[limits.Files].display},
			"there are more than %s manifest files; put more agents into each file", diag.Count(limits.Files))
		f.files = nil
	}
	return f.files, f.problems, nil
}

// missingPath is the error for a path that leads nowhere. It is fs.ErrNotExist without its words.
type missingPath string

func (m missingPath) Error() string { return "there is no file or folder " + string(m) }

func (m missingPath) Is(target error) bool { return target == fs.ErrNotExist }

// addArgument takes one path that the user named. A file is taken whatever its name; a folder is
// searched.
func (f *fileFinder) addArgument(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missingPath(path)
	}
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%s cannot be read: %s", path, innerCause(err))
	}
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	f.root = path
	if !info.IsDir() {
		f.root = filepath.Dir(path)
	}
	// Held against the real paths of what is found: a root that is a link itself leads nowhere else.
	if f.realRoot, err = realPath(f.root); err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if !info.IsDir() {
		f.addFile(filepath.Base(path), shownPath(path))
		return nil
	}
	n, err := f.walkFolder(".")
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if n == 0 {
		f.problems.Errorf(diag.Pos{File: shownPath(path)},
			"the folder holds no manifests, which are files that end in .yaml or .yml; agentsync init writes a first one")
	}
	return nil
}

// addFile takes a file of the root unless it was taken before.
func (f *fileFinder) addFile(path, shown string) {
	real, err := realPath(filepath.Join(f.root, path))
	switch {
	case err == nil && !isInside(f.realRoot, real):
		f.reportOutside(shown, real)
	case err != nil || f.firstVisit(real): // what cannot be followed is told when it is read
		f.files = append(f.files, foundFile{root: f.root, path: path, display: shown})
	}
}

// reportOutside reports a link that leads out of the root. Passed over in silence it would be a shorter fleet.
func (f *fileFinder) reportOutside(shown, real string) {
	f.problems.Errorf(diag.Pos{File: shown},
		"this link leads out of %s, to %s; a manifest must be inside the folder that is read: copy it there, or name it "+
			"as a path of its own",
		diag.Clip(shownPath(f.root)), diag.Clip(filepath.ToSlash(real)))
}

// walkFolder takes the manifests below a folder of the root and returns how many names it met, taken before or
// not.
func (f *fileFinder) walkFolder(path string) (int, error) {
	full := filepath.Join(f.root, path)
	real, err := realPath(full)
	if err != nil {
		return 0, err
	}
	// Before the folder counts as visited: the same folder, named as a path of its own, is to be read.
	if !isInside(f.realRoot, real) {
		f.reportOutside(shownPath(full), real)
		return 1, nil
	}
	if !f.firstVisit(real) {
		return 1, nil // read through another path: not empty as far as anyone knows
	}
	entries, err := os.ReadDir(full)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		below, err := f.walkEntry(filepath.Join(path, e.Name()), e)
		if err != nil {
			return n, err
		}
		// Ends the walk of a folder without end; findFiles tells it.
		if n += below; len(f.files) > f.limits.Files {
			return n, nil
		}
	}
	return n, nil
}

func (f *fileFinder) walkEntry(path string, e fs.DirEntry) (int, error) {
	isDir, named := e.IsDir(), isManifestName(e.Name())
	if e.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(filepath.Join(f.root, path)) // an error is told when the file is read
		isDir = err == nil && info.IsDir()
	}
	switch {
	case isDir:
		return f.walkFolder(path)
	case named:
		f.addFile(path, shownPath(filepath.Join(f.root, path)))
		return 1, nil
	case filepath.Ext(e.Name()) == ".json" && f.looksLikeManifest(path):
		f.problems.Warnf(diag.Pos{File: shownPath(filepath.Join(f.root, path))},
			"this looks like a manifest and is not read: in a folder, manifests end in .yaml or .yml; rename it, or name it "+
				"as a path of its own")
	}
	return 0, nil
}

// jsonSection is the beginning of a platform's section in JSON.
var jsonSection = regexp.MustCompile(`"(?:cometchat|mindset)"\s*:\s*\{\s*` +
	`"(?:appId|appUid|region|host|defaults|agents|api|apiKeyEnv|endpoint|marker)"`)

// looksLikeManifest reports whether a JSON file of the root has a section of a platform.
func (f *fileFinder) looksLikeManifest(path string) bool {
	src, err := readInside(f.root, path, 1<<20)
	return err == nil && jsonSection.Match(src)
}

// realPath returns the absolute path without links.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// isInside reports whether a real path is root or below it.
func isInside(root, real string) bool {
	rel, err := filepath.Rel(root, real)
	return err == nil && filepath.IsLocal(rel)
}

func (f *fileFinder) firstVisit(real string) bool {
	if f.seen[real] {
		return false
	}
	f.seen[real] = true
	return true
}

func isManifestName(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// shownPath is how a path is shown: as the user wrote it, cleaned, with slashes on every system.
func shownPath(path string) string { return filepath.ToSlash(filepath.Clean(path)) }

// readFile returns the bytes of a manifest, or false after it added the problem that stops it.
func (l *fileLoader) readFile(f foundFile, problems *diag.List) ([]byte, bool) {
	whole := diag.Pos{File: f.display}
	b, err := readInside(f.root, f.path, l.limits.FileBytes)
	switch {
	case errors.Is(err, errTooLarge):
		problems.Errorf(whole, "the file is larger than %s; split it into several files", diag.Size(l.limits.FileBytes))
	case errors.Is(err, errNotRegular):
		problems.Errorf(whole, "this is not a regular file; a manifest is a YAML file")
	case err != nil:
		problems.Errorf(whole, "the file cannot be read: %s", innerCause(err))
	case l.total.Add(int64(len(b))) > l.limits.TotalBytes:
		problems.Errorf(whole, "the manifests hold more than %s together; split the fleet and run it in parts",
			diag.Size(l.limits.TotalBytes))
	default:
		return b, true
	}
	return nil, false
}

var (
	errTooLarge   = errors.New("the file is too large")
	errNotRegular = errors.New("this is not a regular file")
)

// readInside returns the bytes of the file at path in the folder root, at most limit. The system itself follows
// no link out of root here, whatever has been exchanged since the folder was searched.
func readInside(root, path string, limit int64) ([]byte, error) {
	folder, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	info, err := folder.Stat(path) // opening a named pipe would wait for its writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() > limit:
		return nil, errTooLarge
	}
	file, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// The size is not trusted: a file can grow, and some report none.
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(file, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, errTooLarge
	}
	return b.Bytes(), nil
}

// innerCause is an error's innermost text: the path in it is already in front of the sentence.
func innerCause(err error) string {
	if errors.Is(err, syscall.ELOOP) {
		return "its links lead in a circle"
	}
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return strings.Replace(err.Error(), "path escapes from parent",
				"its link leads out of the folder that is read", 1)
		}
		err = u.Unwrap()
	}
}

// File is a manifest that Find found.
type File struct {
	// Path opens it, Name is how problems call it.
	Path, Name string
	found      foundFile
}

// Find lists the manifests at paths as Load does, sorted by name, without reading them. Of o only
// Limits matter.
func Find(paths []string, o Options) ([]File, diag.List, error) {
	found, problems, err := findFiles(paths, o.Limits.withDefaults())
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
	return yamltext.Parse(name, src, newLoader(o).text(), &problems), problems
}
