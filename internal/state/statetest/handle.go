package statetest

import (
	"io/fs"
	"slices"
)

// openHandle is a file open for writing.
type openHandle struct {
	fs    *FS
	name  string
	inode *inode
}

// WriteAt changes what readers see; the disk gets it at Sync. One that fails writes half.
func (h *openHandle) WriteAt(b []byte, offset int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.countCall("write", h.name)
	switch {
	case fail && h.fs.crashed:
		return 0, err
	case fail:
		b = b[:len(b)/2]
	}
	h.growTo(offset + int64(len(b)))
	copy(h.inode.data[offset:], b)
	h.fs.written += int64(len(b))
	return len(b), err
}

// growTo makes the content at least size bytes long.
func (h *openHandle) growTo(size int64) {
	if missing := int(size) - len(h.inode.data); missing > 0 {
		h.inode.data = append(h.inode.data, make([]byte, missing)...)
	}
}

// Reserve fills up with zeros.
func (h *openHandle) Reserve(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.countCall("reserve", h.name)
	if fail {
		return err
	}
	h.growTo(size)
	return err
}

// Chmod is durable at once: no test depends on it.
func (h *openHandle) Chmod(mode fs.FileMode) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.countCall("chmod", h.name)
	if !fail {
		h.inode.mode = mode
	}
	return err
}

// Sync makes the content durable. After one that failed, later ones succeed and do nothing, as
// kernels do that mark the pages clean.
func (h *openHandle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.countCall("sync", h.name)
	if fail {
		h.inode.lost = true
		return err
	}
	h.fs.syncs++
	if !h.inode.lost {
		h.inode.synced = slices.Clone(h.inode.data)
	}
	return err
}

// Instance names the file that is open.
func (h *openHandle) Instance() string {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.instanceOf(h.inode)
}

// Close makes nothing durable.
func (h *openHandle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	_, err := h.fs.countCall("close", h.name)
	return err
}
