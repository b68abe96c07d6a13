// Package shared keeps one fleet's state and journal in a place that several machines reach (store.Store), under the
// same guarantee as the local file: what was acknowledged is read by whoever comes next, and a run that another one
// took over from can do no harm when it wakes up. It knows bytes: what stands in a state and in a journal's segments is
// its caller's.
//
// The objects:
//
//	head.json                       the only object that is ever replaced: lock, epoch and pointers in one
//	state/0000000012-NONCE.json     a state, immutable
//	journal/0000000007/0000000000   epoch 7, segment 0; each segment is put if absent
//	journal/0000000007/0000000042   the fence that a later epoch put there: never deleted
//	mark/0000000012-0000000007      a head of epoch 7 had serial 12: one with less was put back by somebody
//
// A run's life:
//
//	lease, err := place.Lock(ctx, holder) // head names this run; the journal before it is fenced, and read
//	lease.View()                          // the state, and the journal's bytes in order
//	err = lease.Begin(ctx, state, first)  // this epoch's journal counts from here
//	err = lease.Append(ctx, segment)      // durable when it returns
//	err = lease.Check()                   // the last thing before a request is sent
//	err = lease.Close(ctx, state, open)   // the state counts, and nobody holds the lock
//
// Words: the *head* is head.json. An *epoch* is one time that somebody had the lock. The *lease* is how long a holder
// may act after it last renewed. A *fence* is an object at the first free number of a journal, after which nothing can
// be appended there. A *takeover* is a lock of what somebody else held.
package shared
