// Package statetest is a disk for tests: a file system in memory that keeps what was synced apart
// from what was not. It promises that a crash loses everything that no fsync made durable (content
// without an fsync of the file, names without an fsync of the folder), or, as the test likes, some of
// it in the worst order; and that the n-th call fails if the test says so. It has one folder deep
// enough for a state file, its journal and their temporary files, and refuses what they do not need.
package statetest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"agentsync/internal/state"
)

// ErrCrashed is what every call returns after the crash.
var ErrCrashed = errors.New("the machine crashed")

// FS is the disk. It implements state.FS and is safe for concurrent use.
type FS struct {
	mu      sync.Mutex // guards what follows
	names   map[string]*inode
	durable map[string]*inode // names as the disk has them
	pending []func(map[string]*inode)
	calls   int
	syncs   int
	written int64
	crashAt int
	crashed bool
	failAt  int
	failErr error
	log     []string
	boot    int // how often the machine was started
	made    int // how many files were made
}

// inode is a file's content. synced is what the disk has of it.
type inode struct {
	data, synced []byte
	mode         fs.FileMode
	number       int  // no other file of this boot had it, and no copy has it
	lost         bool // an fsync failed: the kernel forgot that the content is not on disk
}

// New returns an empty disk.
func New() *FS {
	return &FS{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// CrashAt lets the machine crash at the n-th call from now, counting from 1: it takes effect in
// memory, and its caller and all later ones get ErrCrashed.
func (f *FS) CrashAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = f.calls + n
}

// Crashed reports whether the machine has crashed: no call works any more.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// FailAt lets the n-th call from now, counting from 1, fail with err. A write that fails has written
// half; an fsync that fails has lost the content for good, whatever later ones say.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt, f.failErr = f.calls+n, err
}

// Calls returns how many calls were made.
func (f *FS) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Syncs returns how many files were synced, folders not counted.
func (f *FS) Syncs() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.syncs
}

// Written returns how many bytes were written.
func (f *FS) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// Log returns the calls that change something, in order, for messages: "sync state.json.tmp".
func (f *FS) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Names returns the files that there are, sorted.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.names))
}

// Put makes a durable file, as if git had put it there.
func (f *FS) Put(name string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := &inode{data: slices.Clone(content), synced: slices.Clone(content), mode: 0o644, number: f.nextNumber()}
	f.names[name], f.durable[name] = n, n
}

// Delete removes a file durably.
func (f *FS) Delete(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.names, name)
	delete(f.durable, name)
}

// countCall counts a call and returns the error that it has to fail with. fail is true where the call has
// to fail without having worked; after a crash err is set and fail is not for the call that crashes.
func (f *FS) countCall(op, name string) (fail bool, err error) {
	f.calls++
	if op != "read" && op != "stat" {
		f.log = append(f.log, op+" "+filepath.Base(name))
	}
	switch {
	case f.crashed:
		return true, ErrCrashed
	case f.calls == f.crashAt:
		f.crashed = true
		return false, ErrCrashed
	case f.calls == f.failAt:
		return true, &fs.PathError{Op: op, Path: name, Err: f.failErr}
	}
	return false, nil
}

// ReadFile returns a file's content.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.countCall("read", name); err != nil {
		return nil, err
	}
	n, ok := f.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(n.data), nil
}

// CheckPath says that nothing is a link.
func (f *FS) CheckPath(string) error { return nil }

// Stat returns a file's mode. Every name without a dot is a folder.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.countCall("stat", name); err != nil {
		return nil, err
	}
	if n, ok := f.names[name]; ok {
		return fileInfo{name: filepath.Base(name), size: int64(len(n.data)), mode: n.mode}, nil
	}
	if filepath.Ext(name) == "" || name == "." {
		return fileInfo{name: name, mode: fs.ModeDir | 0o755}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// Open opens a file that there is.
func (f *FS) Open(name string) (state.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.countCall("open", name); err != nil {
		return nil, err
	}
	n, ok := f.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openHandle{fs: f, name: name, inode: n}, nil
}

// CreateTemp makes a file. Its name is not durable before SyncDir.
func (f *FS) CreateTemp(path string) (string, state.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, err := f.countCall("create", path+tempEnd)
	if fail {
		return "", nil, err
	}
	n := &inode{mode: 0o600, number: f.nextNumber()}
	name := fmt.Sprint(path, ".", n.number, tempEnd)
	f.changeNames(func(names map[string]*inode) { names[name] = n })
	if err != nil {
		return "", nil, err
	}
	return name, &openHandle{fs: f, name: path + tempEnd, inode: n}, nil
}

// tempEnd ends the names of temporary files.
const tempEnd = ".tmp"

// Temps returns the temporary files beside path.
func (f *FS) Temps(path string) (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.names {
		if middle, ok := strings.CutSuffix(name, tempEnd); ok && strings.HasPrefix(middle, path+".") &&
			strings.Count(middle[len(path):], ".") == 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Rename is not durable before SyncDir.
func (f *FS) Rename(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, err := f.countCall("rename", newname)
	if fail {
		return err
	}
	n, ok := f.names[oldname]
	if !ok {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	f.changeNames(func(names map[string]*inode) {
		delete(names, oldname)
		names[newname] = n
	})
	return err
}

// Remove is not durable before SyncDir.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, err := f.countCall("remove", name)
	if fail {
		return err
	}
	if _, ok := f.names[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	f.changeNames(func(names map[string]*inode) { delete(names, name) })
	return err
}

// changeNames changes the names now, and on the disk at the next SyncDir.
func (f *FS) changeNames(apply func(map[string]*inode)) {
	apply(f.names)
	f.pending = append(f.pending, apply)
}

// SyncDir makes all names durable.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, err := f.countCall("syncdir", name)
	if fail {
		return err
	}
	for _, apply := range f.pending {
		apply(f.durable)
	}
	f.pending = nil
	return err
}

// nextNumber returns a number for a new file.
func (f *FS) nextNumber() int {
	f.made++
	return f.made
}

// Instance names the file that has the name.
func (f *FS) Instance(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, ok := f.names[name]; ok {
		return f.instanceOf(n)
	}
	return ""
}

func (f *FS) instanceOf(n *inode) string { return fmt.Sprintf("boot %d, file %d", f.boot, n.number) }

type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }
