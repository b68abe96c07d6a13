package platformtest

import (
	"context"
	"errors"
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
	// NeverSent, Stale, Status, RetryAfter and Err are the error's, see platform.Error.
	NeverSent, Stale bool
	Status           int
	RetryAfter       time.Duration
	Err              error
	// Hold, where it is not nil, keeps the call waiting (after its effect with After, before it
	// otherwise) until Hold is closed or the context ends; then it goes on as Class says.
	Hold <-chan struct{}
	// Slow is how long after its arrival the effect happens, whether somebody still waits for the answer or not;
	// Limit is the time limit of a request. A call that is slower than its limit is given up there, and its class is
	// Unknown; else Class says what is answered when the effect has happened. See Faulty.Wait.
	Slow, Limit time.Duration
	// Ignored: an update or a delete is answered as done and is not.
	Ignored bool
	// Odd: the answer holds a uid that can be read, and content that cannot.
	Odd bool
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
	script func(Call) Fault // decides where no fault strikes, if it is not nil
	faults []Fault
	slow   sync.WaitGroup // effects that are still to happen

	mu    sync.Mutex
	calls []Call
	count map[Op]int
}

// WithFaults returns client with the faults. Where several strike the same call the first decides.
func WithFaults(client platform.Client, faults ...Fault) *Faulty {
	return &Faulty{inner: client, faults: faults, count: map[Op]int{}}
}

// WithScript returns client with the fault that script returns for each call, which is asked in the order of their
// arrival; the zero Fault changes nothing.
func WithScript(client platform.Client, script func(Call) Fault) *Faulty {
	return &Faulty{inner: client, script: script, count: map[Op]int{}}
}

var _ platform.Client = (*Faulty)(nil)

// Properties implements platform.Client.
func (f *Faulty) Properties() platform.Properties { return f.inner.Properties() }

// Wait returns when every effect has happened, those that nobody waits for included.
func (f *Faulty) Wait() { f.slow.Wait() }

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
	fault, err := f.callWith(ctx, Call{Op: OpList}, "GET", func(Fault) (err error) {
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
func (f *Faulty) Read(ctx context.Context, uid string) (platform.Remote, error) {
	return f.callOne(ctx, Call{Op: OpRead, UID: uid}, "GET", func(ctx context.Context) (platform.Remote, error) {
		return f.inner.Read(ctx, uid)
	})
}

// Create implements platform.Client.
func (f *Faulty) Create(ctx context.Context, wanted agent.Content) (platform.Remote, error) {
	call := Call{Op: OpCreate, Fields: wanted.Fields().Clone()}
	return f.callOne(ctx, call, "POST",
		func(ctx context.Context) (platform.Remote, error) { return f.inner.Create(ctx, wanted) })
}

// Update implements platform.Client.
func (f *Faulty) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	call := Call{Op: OpUpdate, UID: uid, Fields: fields.Clone()}
	return f.callOne(ctx, call, "PATCH", func(ctx context.Context) (platform.Remote, error) {
		return f.inner.Update(ctx, uid, fields)
	})
}

// Delete implements platform.Client.
func (f *Faulty) Delete(ctx context.Context, uid string) error {
	_, err := f.callOne(ctx, Call{Op: OpDelete, UID: uid}, "DELETE", func(ctx context.Context) (platform.Remote,
		error) {
		return platform.Remote{}, f.inner.Delete(ctx, uid)
	})
	return err
}

// callOne is a call about one agent. An effect that happens late is carried out under a context of its own: the
// request has left, once.
func (f *Faulty) callOne(ctx context.Context, call Call, method string,
	effect func(context.Context) (platform.Remote, error)) (r platform.Remote, err error) {
	fault, err := f.callWith(ctx, call, method, func(fault Fault) (err error) {
		switch {
		case fault.Ignored:
			r = platform.Remote{UID: call.UID}
			return platform.Leaving(ctx)
		case fault.Slow == 0:
			r, err = effect(ctx)
			return err
		}
		if err := platform.Leaving(ctx); err != nil {
			return unsentError(method, "/agents/"+call.UID, err)
		}
		type result struct {
			r   platform.Remote
			err error
		}
		happened := make(chan result, 1)
		f.slow.Add(1)
		time.AfterFunc(fault.Slow, func() {
			defer f.slow.Done()
			r, err := effect(context.Background())
			happened <- result{r, err}
		})
		select {
		case got := <-happened:
			r, err = got.r, got.err
			return err
		case <-afterEffect(fault.Limit):
			return &platform.Error{Class: platform.Unknown, Method: method, Path: "/agents/" + call.UID,
				Err: context.DeadlineExceeded}
		}
	})
	if err != nil {
		return platform.Remote{}, err
	}
	if fault.Odd {
		return platform.Remote{UID: r.UID, Unreadable: errOdd, CreatedAt: r.CreatedAt}, nil
	}
	return r, nil
}

var errOdd = errors.New("a list where a text should be")

// afterEffect fires after d, and never where d is 0.
func afterEffect(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// callWith records the call, makes it and applies the fault that strikes it, which it returns.
func (f *Faulty) callWith(ctx context.Context, call Call, method string, effect func(Fault) error) (Fault, error) {
	fault := f.faultOf(call)
	if fault.After {
		if err := effect(fault); err != nil && fault.Class == platform.Done {
			return fault, err // else it is lost with the answer
		}
	}
	path := "/agents/" + call.UID
	if left := fault.Class != platform.Done && !fault.NeverSent && !fault.After; left && method != "GET" {
		if err := platform.Leaving(ctx); err != nil {
			return fault, unsentError(method, path, err)
		}
	}
	if err := waitUntil(ctx, fault.Hold); err != nil {
		return fault, &platform.Error{Class: platform.Unknown, Method: method, Path: path, Err: err}
	}
	if fault.Class != platform.Done {
		return fault, &platform.Error{
			Class: fault.Class, Method: method, Path: path, Status: fault.Status,
			NeverSent: fault.NeverSent, Stale: fault.Stale, RetryAfter: fault.RetryAfter, Err: fault.Err,
		}
	}
	if fault.After {
		return fault, nil
	}
	return fault, effect(fault)
}

func (f *Faulty) faultOf(call Call) Fault {
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
	if f.script != nil {
		return f.script(call)
	}
	return Fault{}
}

func waitUntil(ctx context.Context, until <-chan struct{}) error {
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
