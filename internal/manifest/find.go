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

	"agentsync/internal/diag"
)

// found is one manifest file: where it is, and how a user is told of it.
type found struct {
	path, display string
}

// finder walks folders. Files and folders are known by their real paths, so that one reached twice,
// by two arguments or by a symbolic link, is read once and a loop of links ends.
type finder struct {
	limits   Limits
	seen     map[string]bool
	files    []found
	problems diag.List
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
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if !info.IsDir() {
		return f.file(path)
	}
	n, err := f.folder(path)
	if err != nil {
		return fmt.Errorf("find manifests: %w", err)
	}
	if n == 0 {
		f.problems.Errorf(diag.Pos{File: display(path)}, "the folder holds no manifests; they are files that end in .yaml or .yml")
	}
	return nil
}

// file takes a file unless it was taken before.
func (f *finder) file(path string) error {
	first, err := f.firstVisit(path)
	if err != nil || !first {
		return err
	}
	f.files = append(f.files, found{path: path, display: display(path)})
	return nil
}

// folder takes the manifests below path and returns how many names it met, taken before or not.
func (f *finder) folder(path string) (int, error) {
	first, err := f.firstVisit(path)
	if err != nil {
		return 0, err
	}
	if !first {
		return 1, nil // read through another path: not empty as far as anyone knows
	}
	entries, err := os.ReadDir(path)
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
		info, err := os.Stat(path)
		if err != nil && named {
			return 1, f.file(path) // a link that leads nowhere: reading it will say so
		}
		isDir = err == nil && info.IsDir()
	}
	switch {
	case isDir:
		return f.folder(path)
	case named:
		return 1, f.file(path)
	default:
		return 0, nil
	}
}

func (f *finder) firstVisit(path string) (bool, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	real, err = filepath.Abs(real)
	if err != nil {
		return false, err
	}
	if f.seen[real] {
		return false, nil
	}
	f.seen[real] = true
	return true, nil
}

func isManifestName(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// display is how a path is shown: as the user wrote it, cleaned, with slashes on every system.
func display(path string) string { return filepath.ToSlash(filepath.Clean(path)) }
