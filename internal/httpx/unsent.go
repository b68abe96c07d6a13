package httpx

import "errors"

// unsent is the error of a layer that stopped a request before it left.
type unsent struct{ err error }

func (e unsent) Error() string { return e.err.Error() }
func (e unsent) Unwrap() error { return e.err }

// NeverSent reports whether err comes from a layer of this package that stopped the request before
// any byte of it left: a wait for the pace that was called off, a foreign host.
func NeverSent(err error) bool {
	_, ok := errors.AsType[unsent](err)
	return ok
}
