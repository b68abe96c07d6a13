package state

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"strconv"
)

// Store is where a state lives. A file is the one there is; a bucket with conditional writes or a
// database row fits as well. There is no context: a store on a network bounds its own calls, since
// a save must not be given up because the run was interrupted. Waiting for the lock is the
// exception, and is not part of it.
type Store interface {
	// Name says to a person where the state is.
	Name() string
	// Load returns the state's content and its version, an opaque string that differs for different
	// content. What is absent has no content and the version "".
	Load() (content []byte, version string, err error)
	// Save replaces the content if its version is still the given one, and otherwise fails with an
	// error that matches ErrStale. A reader sees the old content or the new; when Save returns nil,
	// the new one is durable.
	Save(content []byte, version string) error
}

// fileStore keeps a state in a file. The condition of Save is checked by reading the file again
// just before the rename; between the two, the lock keeps other runs out.
type fileStore struct {
	fs   FS
	path string
}

func (s fileStore) Name() string { return s.path }

func (s fileStore) Load() (content []byte, version string, err error) {
	b, err := s.fs.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := needFolder(s.fs, s.path); err != nil {
			return nil, "", fmt.Errorf("read state: %w", err)
		}
		return nil, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("read state: %w", err)
	}
	return b, digest(b), nil
}

func (s fileStore) Save(content []byte, version string) error {
	_, now, err := s.Load()
	if err != nil {
		return err
	}
	if now != version {
		return fmt.Errorf("write state: %w: %s was written by someone else", ErrStale, s.path)
	}
	// 0600: the file holds hashes of secrets together with their key, so a weak secret could be guessed. Whoever
	// gave the file another mode, as git does, wants to read it; nobody runs it.
	perm := fs.FileMode(0o600)
	if info, err := s.fs.Stat(s.path); err == nil {
		perm = info.Mode().Perm() &^ 0o111
	}
	if err := replaceFile(s.fs, s.path, replacement{content: func(string) []byte { return content }, perm: perm}); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// seed makes digests differ from process to process: they are compared in one, and never kept.
var seed = maphash.MakeSeed()

// digest returns the version of a file's content.
func digest(b []byte) string { return strconv.FormatUint(maphash.Bytes(seed, b), 16) }
