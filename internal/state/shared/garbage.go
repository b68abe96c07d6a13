package shared

import (
	"slices"
	"strings"
	"time"
)

// garbageKeys returns what may be deleted once whoever locks after h has written a head of its own, of all the sorted
// keys that were there before: old states, and what runs that died had put there before a head named it, or had not yet
// deleted.
func garbageKeys(h head, all []string, now time.Time) []string {
	journals, states := keysBelow(all, journalPrefix), keysBelow(all, statePrefix)
	keys := outdatedStates(states, h.State, now)
	for i, key := range states {
		// A state counts from when a head names it. One of a later serial than the head's never did, nor did one whose
		// serial a later epoch wrote again; what each knew is in the journal that it was folded from.
		again := i+1 < len(states) && savedAt(states[i+1]).Serial == savedAt(key).Serial
		if key != h.State && (savedAt(key).Serial > h.Serial || again) && epochOf(key) > 0 &&
			!slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if marks := keysBelow(all, markPrefix); len(marks) > 1 {
		keys = append(keys, marks[:len(marks)-1]...) // the newest says what the others do
	}
	for i, key := range journals {
		epoch := epochOf(key)
		if epoch == 0 || epoch == h.Journal { // foreign; or it counts, and is deleted by whoever begins the next one
			continue
		}
		// The last object of a journal may be its fence, which stays for ever; number 0 never is one.
		isLast := i+1 == len(journals) || epochOf(journals[i+1]) != epoch
		if !isLast || strings.HasSuffix(key, segmentKey(epoch, 0)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// keysBelow returns which of the sorted keys begin with prefix.
func keysBelow(keys []string, prefix string) []string {
	from, _ := slices.BinarySearch(keys, prefix)
	to := from
	for to < len(keys) && strings.HasPrefix(keys[to], prefix) {
		to++
	}
	return keys[from:to]
}
