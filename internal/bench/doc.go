// Package bench measures the whole program: the real binary as a process, beside a yardstick that is
// measured in the same run, so that a figure is a ratio or a count and not the speed of a machine. It
// holds tests alone. `make bench` prints the table that docs/performance.md shows and asserts nothing of
// it; the one test asserts, by counting, that no part of the work grows faster than the fleet.
package bench
