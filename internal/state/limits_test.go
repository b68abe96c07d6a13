package state

import (
	"os"
	"strings"
	"testing"
)

// A folder takes a hundred rescued states, each under a name of its own.
func TestLimitOfRescues(t *testing.T) {
	dir, names := t.TempDir(), map[string]bool{}
	for n := 1; n <= 101; n++ {
		name, err := rescueInto(dir, []byte("{}"))
		if (err == nil) != (n <= 100) || err != nil && !strings.Contains(err.Error(), "100 rescued states already") {
			t.Errorf("rescue %d: %v", n, err)
		}
		names[name] = true
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 100 || len(names) != 101 { // no name for the last one
		t.Errorf("%d files under %d names, %v", len(files), len(names), err)
	}
}
