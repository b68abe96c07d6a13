// Package state keeps what agentsync knows of the agents it made: the state file, its versions, its
// lock and its atomic replacement, and beside it the journal of a run. It promises that what was
// acknowledged survives a crash at any instruction, that a reader sees the old file or the new one
// and never something in between, and that no uid leaves the state unless somebody said so. It
// refuses files that it does not fully understand, and writers whose file changed under them.
//
// A File's life in a run:
//
//	f := state.NewFile("state.json")
//	unlock, err := f.Lock(ctx, holder)  // waits for another run
//	snap, err := f.Load()               // state.json with the journal replayed
//	run, err := f.Begin(snap, reserve)  // a fresh journal, space reserved
//	id, err := run.Intend(intent)       // on disk
//	err = run.Leaving(id)               // the request may leave
//	err = run.Commit(result)            // on disk, so it may be reported
//	err = run.Close()                   // folded into state.json, journal gone
//
// Four files beside each other: state.json, to be committed; state.json.lock, never removed;
// state.json.journal, there while a run goes on, after a crash, and while an outcome is open; and
// state.json.N.tmp and state.json.journal.N.tmp, there for an instant. All but the first belong into
// .gitignore. None is ever opened through a symbolic link.
package state
