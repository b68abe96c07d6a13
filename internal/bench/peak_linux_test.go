package bench

import (
	"os"
	"syscall"
)

// peak returns the most memory that a process had, in MiB; Linux counts in KiB.
func peak(s *os.ProcessState) float64 {
	return float64(s.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}
