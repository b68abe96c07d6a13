//go:build !unix

package crash

// forbidCore does nothing: there are no core files.
func forbidCore() {}
