package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is what a File needs of the file system. The real one is used unless WithFS says otherwise; the
// other one there is, statetest, forgets at a crash whatever was not synced.
type FS interface {
	// ReadFile returns a file's content. The error of one that is absent matches fs.ErrNotExist.
	ReadFile(name string) ([]byte, error)
	// Readlink returns where a symbolic link leads; the error of anything else does not matter.
	Readlink(name string) (string, error)
	// Stat follows symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// OpenFile opens for writing, as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (Handle, error)
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

func (osFS) ReadFile(name string) ([]byte, error)  { return os.ReadFile(name) }
func (osFS) Readlink(name string) (string, error)  { return os.Readlink(name) }
func (osFS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (osFS) Rename(oldname, newname string) error  { return os.Rename(oldname, newname) }
func (osFS) Remove(name string) error              { return os.Remove(name) }
func (osFS) SyncDir(name string) error             { return syncDir(name) }

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (Handle, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osHandle{f}, nil
}

func (osFS) Instance(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	return instance(f)
}

type osHandle struct{ *os.File }

func (h osHandle) Reserve(size int64) error { return reserve(h.File, size) }
func (h osHandle) Instance() string         { return instance(h.File) }

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

// maxLinks bounds a chain of symbolic links.
const maxLinks = 40

// follow returns the path of the file that path leads to, which need not exist: a symbolic link is
// followed, so that replacing the file does not replace the link.
func follow(fsys FS, path string) (string, error) {
	for range maxLinks {
		target, err := fsys.Readlink(path)
		if err != nil {
			return path, nil //nolint:nilerr // no link: this is the file
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
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
	perm    fs.FileMode                  // of a new file; one that exists keeps its own
}

// replaceFile puts r in path's place so that every reader, and every crash, sees the old content or
// the new one: temporary file, fsync, rename, fsync of the folder. When it fails, path has either of
// the two; before the rename always the old. Callers hold the lock, so the temporary name is fixed
// and no crash leaves more than one.
func replaceFile(fsys FS, path string, r replacement) error {
	tmp := path + ".tmp"
	if err := writeTemp(fsys, path, tmp, r); err != nil {
		_ = fsys.Remove(tmp) // the first error matters
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		_ = fsys.Remove(tmp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

func writeTemp(fsys FS, path, tmp string, r replacement) (err error) {
	perm, keep := r.perm, false
	if info, statErr := fsys.Stat(path); statErr == nil {
		perm, keep = info.Mode().Perm(), true
	}
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if keep { // the umask, or a left file, may have given it another mode
		if err := f.Chmod(perm); err != nil {
			return err
		}
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
