package heap_test

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"agentsync/internal/heap"
)

// TestHeapGrowsInHugePages asks the system what it was told of memory that was made after Prepare.
func TestHeapGrowsInHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no huge pages")
	}
	keep := heap.Prepare()
	made := make([]byte, 32*mebibyte) // its middle is beyond what was free before
	flags := flagsOf(t, uintptr(unsafe.Pointer(&made[len(made)/2])))
	if !slices.Contains(flags, "hg") {
		t.Errorf("the memory's flags are %q, without hg", flags)
	}
	runtime.KeepAlive(keep)
	runtime.KeepAlive(made)
}

// flagsOf returns what the system notes of the memory at an address.
func flagsOf(t *testing.T, address uintptr) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from <= address && address < to
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags: "); ok && inside {
			return strings.Fields(flags)
		}
	}
	t.Skip("the system does not say what it notes of memory")
	return nil
}
