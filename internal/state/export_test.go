package state

// RealFS returns the real file system, for the tests of what it promises.
func RealFS() FS { return osFS{} }

// ExplainLock is what Lock says of a lock file that cannot be opened.
func ExplainLock(path string, err error) error { return explainLock(path, err) }
