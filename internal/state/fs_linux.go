package state

import (
	"errors"
	"os"
	"syscall"
)

// reserve allocates the blocks. File systems without fallocate get zeros written instead.
func reserve(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return writeZeros(f, size)
		case err != nil:
			return &os.PathError{Op: "reserve space for", Path: f.Name(), Err: err}
		}
		return nil
	}
}
