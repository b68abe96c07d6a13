package state

import (
	"time"

	"agentsync/internal/agent"
)

// Intent is a request that is about to be sent. It is open until a Result closes it; while it is
// open, nobody knows whether the platform carried it out.
type Intent struct {
	// ID is given by Run.Intend, unique in the journal.
	ID uint64
	// Address is the agent concerned.
	Address agent.Address
	// Action is "create", "update" or "delete".
	Action string
	// UID is the agent that an update or a delete is about; for a create that replaces, the old one.
	UID string
	// Fields are what is to be made (create) or the changed top-level fields (update), secrets sealed.
	Fields agent.Doc
	// At is when the request was about to be sent, by this machine's clock. The journal keeps it in
	// UTC to the nanosecond.
	At time.Time
	// NeverLeft reports that no byte of the request left this machine: the intent has no Leaving, and the
	// journal is the very file that the run wrote, on the same machine, which was not started anew since
	// (Handle.Instance). It is only true of a run that called Leaving for each request, and that has ended: so
	// ask under the lock. Where it is false, nothing is known.
	NeverLeft bool
	// Answered reports that the platform said that a delete is done, of an agent that a whole list had shown
	// before it. See the result Answered.
	Answered bool
}

// ResultKind says what a Result enters into the state.
type ResultKind int

const (
	// Recorded: Record is what is now known of the agent at Address. Where another uid stood there,
	// and Removed did not say before that it is gone, it becomes obsolete: the old half of a replace
	// survives a crash without the caller's doing. Obsolete uids of before stay in any case.
	Recorded ResultKind = iota
	// Removed: the agent UID of Address leaves the state, because it is gone or nobody's any more. An
	// empty UID stands for the one that the record has. Where the record has obsolete uids besides,
	// the last of them takes its place, without documents, since it may still be live.
	Removed
	// Moved: the record of From is now that of Address, where no agent stood before. Record replaces
	// it if it has a UID, which is then the same. The key of From
	// becomes one of its former keys.
	Moved
	// Voided: the request certainly had no effect. Nothing changes but that the intent is closed.
	Voided
	// Answered: the platform said that the delete of the intent is done, and no list has shown yet that the agent is
	// gone. The intent stays open and becomes Intent.Answered; the state does not change.
	Answered
	// Located: App is from now on reached at Origin. A zero Origin stands for none: the app is forgotten.
	Located
)

var kindNames = [...]string{Recorded: "recorded", Removed: "removed", Moved: "moved", Voided: "voided", Answered: "answered", Located: "located"}

// String returns the kind in lower case, as the journal spells it.
func (k ResultKind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "invalid"
	}
	return kindNames[k]
}

// Result is what became of an agent.
type Result struct {
	// Intent is the intent that this closes, 0 for none. One that is not open is no error. Answered closes none.
	Intent uint64
	// Address is the agent concerned. Voided and Answered do without, and Located has an App instead.
	Address agent.Address
	Kind    ResultKind
	// UID is the agent that Removed is about.
	UID string
	// From is where Moved takes the record from.
	From agent.Address
	// Record is what Recorded, and Moved if it likes, puts at Address.
	Record agent.Record
	// App and Origin are what Located is about.
	App    agent.AppID
	Origin agent.Origin
}
