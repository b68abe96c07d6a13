package statetest

import (
	"io/fs"
	"slices"
)

// handle is a file open for writing.
type handle struct {
	fs    *FS
	name  string
	inode *inode
}

// WriteAt changes what readers see; the disk gets it at Sync. One that fails writes half.
func (h *handle) WriteAt(b []byte, offset int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.call("write", h.name)
	switch {
	case fail && h.fs.crashed:
		return 0, err
	case fail:
		b = b[:len(b)/2]
	}
	h.grow(offset + int64(len(b)))
	copy(h.inode.data[offset:], b)
	h.fs.written += int64(len(b))
	return len(b), err
}

// grow makes the content at least size bytes long.
func (h *handle) grow(size int64) {
	if missing := int(size) - len(h.inode.data); missing > 0 {
		h.inode.data = append(h.inode.data, make([]byte, missing)...)
	}
}

// Reserve fills up with zeros.
func (h *handle) Reserve(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.call("reserve", h.name)
	if fail {
		return err
	}
	h.grow(size)
	return err
}

// Chmod is durable at once: no test depends on it.
func (h *handle) Chmod(mode fs.FileMode) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.call("chmod", h.name)
	if !fail {
		h.inode.mode = mode
	}
	return err
}

// Sync makes the content durable. After one that failed, later ones succeed and do nothing, as
// kernels do that mark the pages clean.
func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	fail, err := h.fs.call("sync", h.name)
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
func (h *handle) Instance() string {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.instance(h.inode)
}

// Close makes nothing durable.
func (h *handle) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	_, err := h.fs.call("close", h.name)
	return err
}
