package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// rescueName is the file that a state goes to that could not be written where it belongs.
const rescueName = "errored.state"

// maxRescues bounds how many rescued states may lie in one folder.
const maxRescues = 100

// Rescue writes s to a new file, errored.state.json, in the folder of the state file, for a shared place in the working
// folder, or, where that fails, in the system's folder for temporary files. It returns the file's path; it never
// writes over an earlier one. The file is a complete state file, one serial on, so that it can be
// put in the state file's place, or taken in by Merge.
func (f *File) Rescue(s *State) (string, error) {
	_, content, err := s.successor()
	if err != nil {
		return "", err
	}
	name, err := rescueInto(f.keeper.folder(), content)
	if err == nil {
		return name, nil
	}
	name, tempErr := rescueTemp(content)
	if tempErr == nil {
		return name, nil
	}
	return "", fmt.Errorf("rescue state: %w", errors.Join(err, tempErr))
}

// rescueTemp uses a name that nobody can know: others write into the folder for temporary files.
func rescueTemp(content []byte) (string, error) {
	f, err := os.CreateTemp("", rescueName+".*.json")
	if err != nil {
		return "", err
	}
	return f.Name(), fill(f, content)
}

func rescueInto(dir string, content []byte) (string, error) {
	for n := range maxRescues {
		name := filepath.Join(dir, rescueName+".json")
		if n > 0 {
			name = filepath.Join(dir, fmt.Sprintf("%s.%d.json", rescueName, n+1))
		}
		err := writeNew(name, content)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("%s: there are %d rescued states already", dir, maxRescues)
}

// writeNew writes a file that must not exist yet, not even as a link.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(f, content)
}

// fill writes a file's content durably, and removes the file where it cannot.
func fill(f *os.File, content []byte) (err error) {
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil { // whatever the umask
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}
