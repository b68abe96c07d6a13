package state

import (
	"fmt"
	"slices"
)

// Leave puts a signpost in the place of a state file whose state, as snap has it, is now in the place that a URL names. No
// agentsync reads a signpost as a state, not even an older one. The caller holds the lock.
func (f *File) Leave(snap *Snapshot, to string) error {
	if err := f.unchanged(snap); err != nil {
		return fmt.Errorf("leave a signpost: %w", err)
	}
	w := writer{pretty: true}
	w.open('{')
	w.key("version")
	w.uint(Version + 1) // what an older agentsync refuses
	w.key("movedTo")
	w.text(to)
	w.key("agents")
	w.open('{')
	w.end('}')
	w.end('}')
	_, err := f.keeper.fold(append(w.buf, '\n'), snap.version, nil)
	if err != nil {
		return fmt.Errorf("leave a signpost: %w", err)
	}
	return nil
}

// TakeOver brings what other knows of the same fleet into the state that snap was loaded of: records as State.Merge does, and open
// intents. What is there already, because it was taken over before, is no error. The caller holds the lock.
func (f *File) TakeOver(snap, other *Snapshot) error {
	if err := f.unchanged(snap); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	merged, open, lastID := snap.State.Clone(), slices.Clone(snap.Open), snap.lastID
	if err := merged.Merge(other.State); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	for _, i := range other.Open {
		if slices.ContainsFunc(open, func(o Intent) bool { return sameIntent(o, i) }) {
			continue
		}
		lastID++
		i.ID, i.NeverLeft = lastID, false // another machine cannot know that
		open = append(open, i)
	}
	if equalContent(merged, snap.State) && !snap.Pending && len(open) == len(snap.Open) {
		return nil
	}
	merged.Serial, merged.Lineage = snap.State.Serial, snap.State.Lineage
	s, content, err := merged.successor()
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	if _, err := f.keeper.fold(content, snap.version, openLines(s, open)); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

// sameIntent reports whether two intents are one, whatever their ids.
func sameIntent(a, b Intent) bool {
	return a.Address == b.Address && a.Action == b.Action && a.UID == b.UID && a.At.Equal(b.At) && slices.Equal(a.Fields, b.Fields)
}

// Restore makes old the state that counts, under a new serial, which it returns. Open intents stay where they can be read.
// The caller holds the lock.
func (f *File) Restore(old *State) (serial uint64, err error) {
	on, err := f.keeper.read()
	if err != nil {
		return 0, err
	}
	if on.lineage != "" && old.Lineage != on.lineage {
		return 0, fmt.Errorf("restore: the state is of another fleet than %s", f.Name())
	}
	var open []Intent
	if snap, err := f.load(on); err == nil {
		open = snap.Open
	}
	next := old.Clone()
	next.Serial = max(on.serial, old.Serial)
	next, content, err := next.successor()
	if err != nil {
		return 0, err
	}
	if _, err := f.keeper.fold(content, on.version, openLines(next, open)); err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	return next.Serial, nil
}
