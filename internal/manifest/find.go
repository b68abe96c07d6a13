package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"agentsync/internal/diag"
)

// found is one manifest file: the folder that it is read through, its path in there, and how a user is told
// of it. A link that leads out of the folder is not followed: whoever can write a manifest could name any
// file of the machine.
type found struct {
	root, path, display string
}

// finder walks folders. Files and folders are known by their real paths, so that one reached twice,
// by two arguments or by a symbolic link, is read once and a loop of links ends.
type finder struct {
	limits Limits
	seen   map[string]bool
	// root is the folder that is walked, realRoot the same without links.
	root, realRoot string
	files          []found
	problems       diag.List
}

// find lists the manifests at paths, sorted by the path that is shown. The error is for a path that
// is not there or cannot be read; a folder without manifests is a problem that names the folder.
func find(paths []string, limits Limits) ([]found, diag.List, error) {
	if len(paths) == 0 {
		return nil, nil, errors.New("no path to read manifests from: name a file or a folder")
	}
	f := &finder{limits: limits, seen: map[string]bool{}}
	for _, p := range paths {
		if err := f.argument(p); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(f.files, func(a, b found) int { return cmp.Compare(a.display, b.display) })
	if len(f.files) > limits.Files {
		f.problems.Errorf(diag.Pos{File: f.files[limits.Files].display},
			"there are more than %s manifest files; put more agents into each file", count(limits.Files))
		f.files = nil
	}
	return f.files, f.problems, nil
}

// missing is the error for a path that leads nowhere. It is fs.ErrNotExist without its words.
type missing string

func (m missing) Error() string { return "there is no file or folder " + string(m) }

func (m missing) Is(target error) bool { return target == fs.ErrNotExist }

// argument takes one path that the user named. A file is taken whatever its name; a folder is
// searched.
func (f *finder) argument(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path)
	}
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%s cannot be read: %s", path, cause(err))
	}
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	f.root = path
	if !info.IsDir() {
		f.root = filepath.Dir(path)
	}
	if f.realRoot, err = realPath(f.root); err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if !info.IsDir() {
		f.file(filepath.Base(path), display(path))
		return nil
	}
	n, err := f.folder(".")
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if n == 0 {
		f.problems.Errorf(diag.Pos{File: display(path)}, "the folder holds no manifests; they are files that end in .yaml or .yml")
	}
	return nil
}

// file takes a file of the root unless it was taken before.
func (f *finder) file(path, shown string) {
	real, err := realPath(filepath.Join(f.root, path))
	switch {
	case err == nil && !isInside(f.realRoot, real):
		f.leaves(shown, real)
	case err != nil || f.firstVisit(real): // what cannot be followed is told when it is read
		f.files = append(f.files, found{root: f.root, path: path, display: shown})
	}
}

// leaves reports a link that leads out of the root. Passed over in silence it would be a shorter fleet.
func (f *finder) leaves(shown, real string) {
	f.problems.Errorf(diag.Pos{File: shown}, "this link leads out of %s, to %s; a manifest must be inside the folder that is read: copy it there, or name it as a path of its own",
		clip(display(f.root)), clip(filepath.ToSlash(real)))
}

// folder takes the manifests below a folder of the root and returns how many names it met, taken before or
// not.
func (f *finder) folder(path string) (int, error) {
	full := filepath.Join(f.root, path)
	real, err := realPath(full)
	if err != nil {
		return 0, err
	}
	if !isInside(f.realRoot, real) {
		f.leaves(display(full), real)
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
		below, err := f.entry(filepath.Join(path, e.Name()), e)
		if err != nil {
			return n, err
		}
		if n += below; len(f.files) > f.limits.Files {
			return n, nil
		}
	}
	return n, nil
}

func (f *finder) entry(path string, e fs.DirEntry) (int, error) {
	isDir, named := e.IsDir(), isManifestName(e.Name())
	if e.Type()&fs.ModeSymlink != 0 {
		info, err := os.Stat(filepath.Join(f.root, path)) // an error is told when the file is read
		isDir = err == nil && info.IsDir()
	}
	switch {
	case isDir:
		return f.folder(path)
	case named:
		f.file(path, display(filepath.Join(f.root, path)))
		return 1, nil
	default:
		return 0, nil
	}
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

func (f *finder) firstVisit(real string) bool {
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

// display is how a path is shown: as the user wrote it, cleaned, with slashes on every system.
func display(path string) string { return filepath.ToSlash(filepath.Clean(path)) }
