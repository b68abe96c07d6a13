package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is what a File needs of the file system. The real one is used unless WithFS says otherwise; the
// other one there is, statetest, forgets at a crash whatever was not synced. No method opens a file through
// a symbolic link: git stores links, so whoever opens a pull request chooses where one leads.
type FS interface {
	// CheckPath returns a *FormatError where name is a link, or where its folder is reached through one that
	// leads out of the working folder, although name does not say so.
	CheckPath(name string) error
	// ReadFile returns a file's content. The error of one that is absent matches fs.ErrNotExist; that of a link
	// is a *FormatError.
	ReadFile(name string) ([]byte, error)
	// Stat follows symbolic links: it is for folders, and for the mode of a file that was read.
	Stat(name string) (fs.FileInfo, error)
	// Open opens a file that exists for writing.
	Open(name string) (Handle, error)
	// CreateTemp makes a new file beside path, under a name that nobody can have made before.
	CreateTemp(path string) (name string, h Handle, err error)
	// Temps returns what CreateTemp made beside path and a crash left there.
	Temps(path string) []string
	// Rename puts oldname in newname's place, at once for every reader.
	Rename(oldname, newname string) error
	Remove(name string) error
	// SyncDir makes the folder's entries durable: names that were made, renamed or removed in it.
	SyncDir(name string) error
	// Instance is Handle.Instance of the file with the name.
	Instance(name string) string
}

// Handle is a file open for writing.
type Handle interface {
	WriteAt(b []byte, offset int64) (int, error)
	// Reserve makes sure that the first size bytes can be written without running out of space. What
	// was not written yet reads as zeros.
	Reserve(size int64) error
	Chmod(mode fs.FileMode) error
	// Sync makes the content durable, not the name.
	Sync() error
	// Instance names this file of this machine since it was started: no copy of the file, on this machine
	// or another, and no file found after a power cut has the same. As long as it is the same, a write
	// that returned is in the file, synced or not, whatever became of the process that wrote. It is
	// empty where the system cannot promise that.
	Instance() string
	Close() error
}

// osFS is the real file system.
type osFS struct{}

func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) Rename(oldname, newname string) error  { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error              { return os.Remove(name) }
func (osFS) SyncDir(name string) error             { return syncDir(name) }

func (osFS) CheckPath(name string) error {
	if target, err := os.Readlink(name); err == nil {
		return linkRefused(name, target)
	}
	dir := filepath.Dir(name)
	if dir == "." || !filepath.IsLocal(dir) {
		return nil // whoever names another folder means it
	}
	here, err := filepath.EvalSymlinks(".")
	if err != nil {
		return err
	}
	there, err := filepath.EvalSymlinks(dir)
	if err != nil || filepath.IsLocal(there) {
		return nil //nolint:nilerr // a folder that is missing is told where it is needed
	}
	if within, err := filepath.Rel(here, there); err == nil && filepath.IsLocal(within) {
		return nil
	}
	return &FormatError{Name: name, Reason: Linked,
		Detail: fmt.Sprintf("the folder %s is a link that leads out of the working folder, to %s", dir, there),
		Hint:   "a link in a repository can lead anywhere; if this one is meant, name its target with --state:\n  --state " + quotePath(filepath.Join(there, filepath.Base(name)))}
}

func (osFS) ReadFile(name string) ([]byte, error) {
	f, err := openFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) { // it was cut meanwhile
		err = nil
	}
	return b[:n], err
}

func (osFS) Open(name string) (Handle, error) {
	f, err := openFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return osHandle{f}, nil
}

// tempPattern is how CreateTemp names files, after the name of the file that they are to become.
const tempPattern = ".*.tmp"

func (osFS) CreateTemp(path string) (string, Handle, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+tempPattern)
	if err != nil {
		return "", nil, err
	}
	return f.Name(), osHandle{f}, nil
}

func (osFS) Temps(path string) []string {
	entries, _ := os.ReadDir(filepath.Dir(path)) // what cannot be listed is not tidied up
	var names []string
	for _, e := range entries {
		if ok, _ := filepath.Match(filepath.Base(path)+tempPattern, e.Name()); ok {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names
}

func (osFS) Instance(name string) string {
	f, err := openFile(name, os.O_RDONLY, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	return fileInstance(f)
}

// openFile opens a regular file, and never what a link leads to.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if target, err := os.Readlink(name); err == nil {
		return nil, linkRefused(name, target)
	}
	f, err := os.OpenFile(name, flag|noFollow, perm) // noFollow: somebody may make one at this moment
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		detail := "this is no regular file"
		if info.IsDir() {
			detail = "this is a folder"
		}
		err = &FormatError{Name: name, Reason: Foreign, Detail: detail, Hint: "name a file with --state"}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// linkRefused is the error of a file that is a link.
func linkRefused(name, target string) error {
	e := &FormatError{Name: name, Reason: Linked,
		Detail: "this is a symbolic link, to " + target + ", and agentsync does not read or write through one"}
	switch filepath.Ext(name) {
	case ".lock", ".journal":
		e.Hint = "agentsync makes this file itself, and never as a link; see who put it there, and remove it:\n  rm " +
			quotePath(name)
	default:
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name), target)
		}
		e.Hint = "a link in a repository can lead anywhere; if this one is meant, name its target:\n  --state " +
			quotePath(target)
	}
	return e
}

type osHandle struct{ *os.File }

func (h osHandle) Reserve(size int64) error { return reserveSpace(h.File, size) }
func (h osHandle) Instance() string         { return fileInstance(h.File) }

// writeZeros reserves space where the file system has no call for it.
func writeZeros(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<16)
	for at := info.Size(); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// needFolder returns an error that says so if the folder of path is missing.
func needFolder(fsys FS, path string) error {
	dir := filepath.Dir(path)
	info, err := fsys.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder %s does not exist; make it first: %w", dir, err)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	}
	return nil
}

// replacement is a file's content on its way to the disk.
type replacement struct {
	content func(instance string) []byte // of the file that has the given Handle.Instance
	reserve int64                        // bytes beyond the content for which space is made sure
	perm    fs.FileMode                  // whatever the umask
}

// replaceFile puts r in path's place so that every reader, and every crash, sees the old content or
// the new one: temporary file, fsync, rename, fsync of the folder. When it fails, path has either of
// the two; before the rename always the old. What a crash leaves, removeTemps removes.
func replaceFile(fsys FS, path string, r replacement) error {
	tmp, f, err := fsys.CreateTemp(path)
	if err != nil {
		return err
	}
	// Synced before it gets its name: after a crash the name could lead to a file without its content.
	err = writeTemp(f, r)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(tmp, path)
	}
	if err != nil {
		_ = fsys.Remove(tmp) // the first error matters
		return err
	}
	// Until the folder is synced, a crash brings the old content back, and what was reported would be gone.
	return fsys.SyncDir(filepath.Dir(path))
}

func writeTemp(f Handle, r replacement) error {
	if err := f.Chmod(r.perm); err != nil { // before anything stands in it that not everybody may read
		return err
	}
	content := r.content(f.Instance())
	if _, err := f.WriteAt(content, 0); err != nil {
		return err
	}
	if r.reserve > 0 {
		if err := f.Reserve(int64(len(content)) + r.reserve); err != nil {
			return err
		}
	}
	return f.Sync()
}

// removeTemps removes what crashes left beside path. The caller holds the lock.
func removeTemps(fsys FS, path string) {
	for _, name := range fsys.Temps(path) {
		_ = fsys.Remove(name) // it is in nobody's way
	}
}
