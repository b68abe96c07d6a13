// Package store is what a place must be able to do in which several machines keep one fleet's state: a bucket under a
// prefix, or a table. It holds the contract, an implementation in memory with faults for tests, and the probe that
// refuses a place which does not keep the contract. It knows nothing of states and journals.
package store

import (
	"context"
	"errors"
	"time"
)

// Store is a shared place for one fleet's objects. Every method is one request and is never repeated by a library.
// An error that matches none of the errors below means that nobody knows: the request may have been carried out, or
// may still be.
type Store interface {
	// Name says to people where the objects are, without credentials.
	Name() string
	// Get returns an object: ErrAbsent.
	Get(ctx context.Context, key string) (Object, error)
	// Create puts an object where none is: ErrExists. Of several at once exactly one succeeds.
	Create(ctx context.Context, key string, b []byte) (Tag, error)
	// Replace puts an object in the place of the one that has the tag: ErrChanged, also where it is absent. Of several
	// at once exactly one succeeds.
	Replace(ctx context.Context, key string, b []byte, old Tag) (Tag, error)
	// List returns all keys that begin with prefix, sorted. What was created before the call is in it.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes objects; one that is absent is no error. It is for what nothing can reach any more: nobody may
	// rely on when it happens.
	Delete(ctx context.Context, keys ...string) error
}

// Object is what Get returns.
type Object struct {
	Content []byte
	Tag     Tag
	// Age is how long ago the object was written, by the store's clock alone.
	Age time.Duration
}

// Tag tells one content of an object from another. Stores may give equal contents equal tags, so what is replaced
// holds something that is never the same.
type Tag string

var (
	// ErrAbsent: there is no such object.
	ErrAbsent = errors.New("there is no such object")
	// ErrExists: an object stands there already; nothing was written.
	ErrExists = errors.New("the object exists already")
	// ErrChanged: the object is not the one that was read; nothing was written.
	ErrChanged = errors.New("the object changed since it was read")
	// ErrUnreachable: nothing was sent, because nobody listens where the store should be, or nothing is called that.
	ErrUnreachable = errors.New("the store cannot be reached")
	// ErrConnection: the connection ended before there was an answer, so nobody knows.
	ErrConnection = errors.New("the connection failed")
	// ErrNoPlace: there is no such bucket or database, or it is in another region; nothing was done.
	ErrNoPlace = errors.New("there is no such place")
	// ErrDenied: the credentials do not allow the request; nothing was done.
	ErrDenied = errors.New("the store refused the credentials")
)

// ConnectError says why there is no connection to a store that can be trusted, for a reason that asking again does not
// mend. Nothing was done. It matches ErrUnreachable.
type ConnectError struct {
	// Detail is one sentence, without a full stop; Hint says what to do.
	Detail, Hint string
	Err          error
}

// Error says why.
func (e *ConnectError) Error() string {
	text := ErrUnreachable.Error() + ": " + e.Detail
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

// Unwrap returns ErrUnreachable and the reason.
func (e *ConnectError) Unwrap() []error { return []error{ErrUnreachable, e.Err} }

// AnswerError is what a store said that is none of the errors of Store: it has its reasons, or something else answers
// in its place. Nobody knows what became of the request.
type AnswerError struct {
	// Detail is what was said.
	Detail string
	// Foreign reports that these are not a store's words.
	Foreign bool
}

// Error returns what was said.
func (e *AnswerError) Error() string { return e.Detail }
