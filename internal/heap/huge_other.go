//go:build !linux

package heap

// adviseHuge does nothing: no other system is asked for huge pages so.
func adviseHuge([]byte) {}
