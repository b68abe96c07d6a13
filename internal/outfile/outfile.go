// Package outfile writes the files that a user names, in a folder that may hold what somebody else committed. It
// promises that a reader sees the old content or the new; that nothing is written through a symbolic link; that a new
// file has the mode that its writer asks for, whatever mode an older file had; and that nobody can guess the name of
// the temporary file. A path below the working folder stays below it, whatever the folders on the way are links to.
package outfile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is a file under way: nothing of it is at its path before Commit.
type File struct {
	path string   // as the user wrote it, for messages
	root *os.Root // the folder of the file, or one above it; nil for a device
	name string   // of the file in root
	temp string   // of the temporary file in root, "" for a device
	f    *os.File
}

// Create makes sure now that content can be written to path later. The caller must end it with Commit or Discard.
// A path that is absolute, or that leads out of the working folder, is the user's own word and followed as far as its
// folder; what comes after must not be a link. A device or a pipe is written to as it is.
func Create(path string, mode fs.FileMode) (*File, error) {
	folder, name := ".", filepath.Clean(path)
	if !filepath.IsLocal(path) {
		folder, name = filepath.Split(filepath.Clean(path))
	}
	return createIn(folder, name, path, mode)
}

// createIn is Create for the file name in folder, and never outside of it. shown is what messages call the file.
func createIn(folder, name, shown string, mode fs.FileMode) (*File, error) {
	o := &File{path: shown, name: name}
	err := o.openTemp(folder, mode)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", shown, errors.Join(innerReason(err), o.close()))
	}
	return o, nil
}

func (o *File) openTemp(folder string, mode fs.FileMode) (err error) {
	if whole := filepath.Join(folder, o.name); isDevice(whole) {
		o.f, err = os.OpenFile(whole, os.O_WRONLY, 0)
		return err
	}
	if o.root, err = os.OpenRoot(cmp.Or(folder, ".")); err != nil {
		return err
	}
	if info, err := o.root.Lstat(o.name); err == nil && info.IsDir() {
		return errors.New("it is a folder")
	}
	// The mode is the umask's to narrow; O_EXCL follows no link, and the name cannot be guessed.
	temp := filepath.Join(filepath.Dir(o.name), ".agentsync-"+strings.ToLower(rand.Text()))
	if o.f, err = o.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode); err != nil {
		return err
	}
	o.temp = temp
	return nil
}

// isDevice reports whether path names a device, a pipe, or a descriptor of this process, as /dev/stdout does. A link to
// one counts only by these names: in a repository it is somebody's trap.
func isDevice(path string) bool {
	for _, own := range []string{"/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/"} {
		if path == own || strings.HasSuffix(own, "/") && strings.HasPrefix(path, own) {
			return true
		}
	}
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeCharDevice) != 0
}

// innerReason leaves out the path of the temporary file, which tells a user nothing.
func innerReason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// Write appends to the file.
func (o *File) Write(p []byte) (int, error) { return o.f.Write(p) }

// Commit puts what was written in its place. A link of that name is replaced, and what it leads to is left alone.
func (o *File) Commit() error {
	if o.temp == "" {
		return o.writeError(o.close())
	}
	err := o.f.Sync()
	if err = errors.Join(err, o.f.Close()); err == nil {
		o.f = nil
		if err = o.root.Rename(o.temp, o.name); err == nil {
			o.temp = ""
		}
	}
	return o.writeError(errors.Join(err, o.close()))
}

func (o *File) writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %s: %w", o.path, err)
}

// Discard ends the file without a trace. After Commit it does nothing.
func (o *File) Discard() { _ = o.close() }

// close releases what is open and removes the temporary file.
func (o *File) close() (err error) {
	if o.f != nil {
		err = o.f.Close()
		o.f = nil
	}
	if o.temp != "" {
		err = errors.Join(err, o.root.Remove(o.temp))
		o.temp = ""
	}
	if o.root != nil {
		err = errors.Join(err, o.root.Close())
		o.root = nil
	}
	return err
}

// Write puts content into the file at path; see Create.
func Write(path string, mode fs.FileMode, content []byte) error {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	return f.finishWith(content)
}

// WriteDeep is Write of a file for everybody, and makes the folders on the way.
func WriteDeep(path string, content []byte) error {
	const mode fs.FileMode = 0o644
	if filepath.IsLocal(path) {
		return WriteIn(".", filepath.Clean(path), mode, content)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Write(path, mode, content)
}

// WriteIn puts content into the file name in folder, and never outside of it. Folders between them are made.
func WriteIn(folder, name string, mode fs.FileMode, content []byte) error {
	shown := filepath.Join(folder, name)
	if dir := filepath.Dir(name); dir != "." {
		root, err := os.OpenRoot(folder)
		if err == nil {
			err = errors.Join(root.MkdirAll(dir, 0o755), root.Close())
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", shown, err)
		}
	}
	f, err := createIn(folder, name, shown, mode)
	if err != nil {
		return err
	}
	return f.finishWith(content)
}

func (o *File) finishWith(content []byte) error {
	defer o.Discard()
	if _, err := o.Write(content); err != nil {
		return o.writeError(err)
	}
	return o.Commit()
}

// Replace puts content in the place of the file at path, with the same mode. A link is refused by the name of what it
// leads to, and so is a file that may not be written: putting another in its place would ask nobody.
func Replace(path string, content []byte) error {
	mode := fs.FileMode(0o644)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("write %s: %w", path, innerReason(err))
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(path) // shown, not followed
		return fmt.Errorf("%s is a link to %s, and nothing is written through a link; name the file itself", path,
			target)
	default:
		mode = info.Mode().Perm()
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", path, innerReason(err))
		}
	}
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	if err := f.f.Chmod(mode); err != nil {
		f.Discard()
		return f.writeError(err)
	}
	return f.finishWith(content)
}
