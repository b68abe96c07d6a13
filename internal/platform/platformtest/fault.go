package platformtest

import (
	"context"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// Op is one of the calls of the contract.
type Op string

// The calls of platform.Client.
const (
	OpList   Op = "list"
	OpRead   Op = "read"
	OpCreate Op = "create"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Fault makes one call, or every call, of one operation go wrong.
type Fault struct {
	Op Op
	// Nth is the call that is struck, counted from 1 for each Op; 0 strikes every call.
	Nth int
	// UID strikes only calls about this agent, where it is not empty. Nth counts all calls of Op.
	UID string
	// After lets the call take effect first: the answer is lost, not the request.
	After bool
	// Class is what becomes of the call; Done leaves its result alone (with Hold: a slow call).
	Class platform.Class
	// NeverSent, Status, RetryAfter and Err are the error's, see platform.Error.
	NeverSent  bool
	Status     int
	RetryAfter time.Duration
	Err        error
	// Hold, where it is not nil, keeps the call waiting (after its effect with After, before it
	// otherwise) until Hold is closed or the context ends; then it goes on as Class says.
	Hold <-chan struct{}
	// List, where it is not nil, changes what a list answers: cut it short, empty it, add to it.
	List func([]platform.Remote) []platform.Remote
}

// Call is one call that was made.
type Call struct {
	Op     Op
	UID    string       // of Read, Update and Delete
	Fields agent.Fields // of Create and Update, a copy
}

// Faulty is a client that fails as its faults say and remembers every call. It is safe for
// concurrent use; calls are numbered in the order in which they arrive.
type Faulty struct {
	inner  platform.Client
	faults []Fault

	mu    sync.Mutex
	calls []Call
	count map[Op]int
}

// WithFaults returns client with the faults. Where several strike the same call the first decides.
func WithFaults(client platform.Client, faults ...Fault) *Faulty {
	return &Faulty{inner: client, faults: faults, count: map[Op]int{}}
}

var _ platform.Client = (*Faulty)(nil)

// Properties implements platform.Client.
func (f *Faulty) Properties() platform.Properties { return f.inner.Properties() }

// Calls returns how many calls of op were made.
func (f *Faulty) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[op]
}

// Log returns every call in the order of arrival.
func (f *Faulty) Log() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// List implements platform.Client.
func (f *Faulty) List(ctx context.Context) ([]platform.Remote, error) {
	var list []platform.Remote
	fault, err := f.do(ctx, Call{Op: OpList}, "GET", func() (err error) {
		list, err = f.inner.List(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if fault.List != nil {
		list = fault.List(list)
	}
	return list, nil
}

// Read implements platform.Client.
func (f *Faulty) Read(ctx context.Context, uid string) (r platform.Remote, err error) {
	_, err = f.do(ctx, Call{Op: OpRead, UID: uid}, "GET", func() (err error) {
		r, err = f.inner.Read(ctx, uid)
		return err
	})
	return onSuccess(r, err)
}

// Create implements platform.Client.
func (f *Faulty) Create(ctx context.Context, wanted agent.Content) (r platform.Remote, err error) {
	_, err = f.do(ctx, Call{Op: OpCreate, Fields: wanted.Fields().Clone()}, "POST", func() (err error) {
		r, err = f.inner.Create(ctx, wanted)
		return err
	})
	return onSuccess(r, err)
}

// Update implements platform.Client.
func (f *Faulty) Update(ctx context.Context, uid string, fields agent.Fields) (r platform.Remote, err error) {
	_, err = f.do(ctx, Call{Op: OpUpdate, UID: uid, Fields: fields.Clone()}, "PATCH", func() (err error) {
		r, err = f.inner.Update(ctx, uid, fields)
		return err
	})
	return onSuccess(r, err)
}

// Delete implements platform.Client.
func (f *Faulty) Delete(ctx context.Context, uid string) error {
	_, err := f.do(ctx, Call{Op: OpDelete, UID: uid}, "DELETE", func() error { return f.inner.Delete(ctx, uid) })
	return err
}

// do records the call, makes it and applies the fault that strikes it, which it returns.
func (f *Faulty) do(ctx context.Context, call Call, method string, effect func() error) (Fault, error) {
	fault := f.strike(call)
	if fault.After {
		if err := effect(); err != nil && fault.Class == platform.Done {
			return fault, err // else it is lost with the answer
		}
	}
	path := "/agents/" + call.UID
	if err := hold(ctx, fault.Hold); err != nil {
		return fault, &platform.Error{Class: platform.Unknown, Method: method, Path: path, Err: err}
	}
	if fault.Class != platform.Done {
		return fault, &platform.Error{
			Class: fault.Class, Method: method, Path: path, Status: fault.Status,
			NeverSent: fault.NeverSent, RetryAfter: fault.RetryAfter, Err: fault.Err,
		}
	}
	if fault.After {
		return fault, nil
	}
	return fault, effect()
}

func (f *Faulty) strike(call Call) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	f.count[call.Op]++
	for _, fault := range f.faults {
		if fault.Op == call.Op && (fault.Nth == 0 || fault.Nth == f.count[call.Op]) &&
			(fault.UID == "" || fault.UID == call.UID) {
			return fault
		}
	}
	return Fault{}
}

func hold(ctx context.Context, until <-chan struct{}) error {
	if until == nil {
		return nil
	}
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func onSuccess(r platform.Remote, err error) (platform.Remote, error) {
	if err != nil {
		return platform.Remote{}, err
	}
	return r, nil
}
