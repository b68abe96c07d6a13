// Package mutants finds out what the tests of a room do not notice: it makes small faults in the room's code, one at a
// time, and counts those that leave all its tests green. It has tests alone: no line of it is in the binary. A sample
// is drawn by a fixed seed, so that two runs try the same faults as long as the code is the same.
package mutants
