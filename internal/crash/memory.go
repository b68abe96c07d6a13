package crash

import (
	"os"
	"strconv"
	"strings"
)

// machineMemory returns how many bytes of memory the container or the machine has, 0 where it does not say.
func machineMemory() int64 {
	has := int64(0)
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && (has == 0 || n < has) {
			has = n
		}
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return has
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && (has == 0 || n<<10 < has) {
				has = n << 10
			}
		}
	}
	return has
}
