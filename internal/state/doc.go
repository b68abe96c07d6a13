// Package state keeps what agentsync knows of the agents it made: the state file, its versions, its
// lock and its atomic replacement, and beside it the journal of a run. It promises that what was
// acknowledged survives a crash at any instruction, that a reader sees the old file or the new one
// and never something in between, and that no uid leaves the state unless somebody said so. It
// refuses files that it does not fully understand, and writers whose file changed under them.
//
// A File's life in a run:
//
//	f := state.NewFile("state.json")    // or NewShared
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
//
// In a shared place (package shared) the same bytes are objects: the state, and one for each time that the journal
// syncs. Lines, replay, merge and run do not know where they are kept; that is the keeper's.
//
// Words:
//
//   - An agent is what a platform runs, known by the uid that the platform gave it. An address is its name in
//     manifests.
//   - A record is what the state knows of the agent at an address: uid, what was applied, what was observed.
//   - An intent is a request that is about to be sent; its result is what became of it. An intent without a result is
//     open: nobody knows whether the platform carried it out.
//   - Recovery finds out what became of open intents. A listing is what a platform answers to the question which agents
//     there are; one is trusted where nothing speaks against its being whole, and only then counts what it does not
//     show.
//   - Grace is how long a request without an answer may still take effect. Until it is over, nothing is made again.
//   - The serial counts the writes of a state, the lineage names the fleet that it is of.
//   - A lease is how long the holder of a shared place's lock may act after its last sign of life. An epoch is one
//     journal of one holder. A fence ends the journal of a holder that was taken over from: it can append nothing
//     behind it. A segment is what the journal wrote at once.
package state
