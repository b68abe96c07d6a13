package bench

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	what, target, measured string
}

// table is what the benchmarks of this run have found, in their order.
var table []row

func found(what, target, measured string, args ...any) {
	table = append(table, row{what, target, fmt.Sprintf(measured, args...)})
}

// printTable prints the table as docs/performance.md holds it.
func printTable() {
	if len(table) == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d processors, %s %s/%s\n\n| what | target | measured |\n|---|---|---|\n",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, r := range table {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.what, r.target, r.measured)
	}
	fmt.Println(b.String())
}

// ratio is how many times as long a took as b.
func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000) }
