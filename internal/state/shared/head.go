package shared

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"agentsync/internal/state/store"
)

const (
	headKey       = "head.json"
	statePrefix   = "state/"
	journalPrefix = "journal/"
	// markPrefix begins the keys of marks: a mark is written behind a head that named another state, or ended a
	// journal, and says the serial and the epoch of that head. A head of before is known by it for one that was put
	// back.
	markPrefix = "mark/"
)

// headVersion is the version of head.json that this package reads and writes.
const headVersion = 1

// head is head.json.
type head struct {
	Version int    `json:"version"`
	Lineage string `json:"lineage"`
	// Epoch rises by one with each lock, and is never used twice.
	Epoch  uint64 `json:"epoch"`
	Serial uint64 `json:"serial"`
	// State and Digest name the state that counts, and its SHA-256; both are empty before the first.
	State  string `json:"state,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Journal is the epoch of the journal that counts, 0 for none.
	Journal uint64 `json:"journal,omitempty"`
	// Ended says that the journal of the head's own epoch counted, and counts no more.
	Ended  bool    `json:"ended,omitempty"`
	Holder *Holder `json:"holder,omitempty"`
	// Grace is how long after a lock requests of runs that were taken over from may still take effect, 0 where no run
	// that was taken over from can have one under way.
	Grace Duration `json:"grace,omitzero"`
	// Nonce is never the same: a store may give equal contents equal tags, and a writer knows its own head by it.
	Nonce string `json:"nonce"`
}

// DamageError says that what lies in the place is not what was written there, and the way back.
type DamageError struct {
	// Place is the store's name, Key the object.
	Place, Key   string
	Detail, Hint string

	endsLease bool // a run had the lock meanwhile, and matches ErrLost
}

// Is lets the end of a lease by somebody's hand match ErrLost.
func (e *DamageError) Is(target error) bool { return e.endsLease && target == ErrLost }

// Error names the object and what is wrong.
func (e *DamageError) Error() string { return fmt.Sprintf("%s, %s: %s", e.Place, e.Key, e.Detail) }

// ErrNotInitialised: there is no head, and nothing else.
var ErrNotInitialised = errors.New("no shared state was made here yet")

// nextEpoch begins an epoch.
func (h *head) nextEpoch() {
	h.Epoch++
	h.Ended = false
}

// endJournal says that no journal counts any more.
func (h *head) endJournal() {
	h.Ended = h.Ended || h.Journal == h.Epoch
	h.Journal = 0
}

func (h head) encode() []byte {
	b, _ := json.MarshalIndent(h, "", "  ") // texts, numbers and one time, which always encode
	return append(b, '\n')
}

func decodeHead(place string, b []byte) (head, error) {
	var h head
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(&h)
	damaged := &DamageError{Place: place, Key: headKey,
		Hint: "put the last good version back, if the place keeps versions; otherwise keep what is there, and ask somebody who knows agentsync"}
	var version struct{ Version int }
	switch {
	case json.Unmarshal(b, &version) == nil && version.Version > headVersion:
		damaged.Detail = fmt.Sprintf("written by a newer agentsync: its version is %d, and this agentsync knows %d",
			version.Version, headVersion)
		damaged.Hint = "use the agentsync that wrote it, or a later one"
	case err != nil:
		damaged.Detail = "it cannot be read: " + err.Error()
	case h.Version != headVersion || h.Lineage == "" || h.Nonce == "":
		damaged.Detail = "this is not the head of a shared state of agentsync"
	default:
		return h, nil
	}
	return head{}, damaged
}

// stateKey is a new key: two runs that are both about to write a serial never have the same.
func stateKey(serial, epoch uint64) string {
	return fmt.Sprintf("%s%010d-%010d-%s-%s.json", statePrefix, serial, epoch, time.Now().UTC().Format(keyTime),
		newNonce()[:10])
}

// markKey is the same for every head of a serial in an epoch.
func markKey(serial, epoch uint64) string {
	return fmt.Sprintf("%s%010d-%010d", markPrefix, serial, epoch)
}

// checkNewest refuses a head that somebody put back to an older version: something is there that only a run with a
// later one can have written. keys are all that the place holds, sorted, listed while h was the head.
func (p *Place) checkNewest(h head, keys []string) error {
	i := slices.IndexFunc(keys, h.isBefore)
	if i < 0 {
		return nil
	}
	later := keys[i]
	hint := putBackHint
	if states := keysBelow(keys, statePrefix); len(states) > 0 {
		later = states[len(states)-1]
		hint += fmt.Sprintf("; otherwise make the newest state count:\n  agentsync state history\n  agentsync state rollback %d", savedAt(later).Serial)
	}
	return &DamageError{Place: p.Name(), Key: headKey, Hint: hint,
		Detail: fmt.Sprintf("it was put back to an older version: it is of epoch %d and serial %d, and %s was written later", h.Epoch, h.Serial, later)}
}

const putBackHint = "put the newest version back, if the place keeps versions: the older one does not know which agents were made since"

// isBefore reports whether what stands at key shows that a later head than h was there. A state does not show it of a
// head in its own epoch: the run may have died before its head named that state.
func (h *head) isBefore(key string) bool {
	switch epoch := epochOf(key); {
	case epoch > h.Epoch:
		return true
	case strings.HasPrefix(key, markPrefix):
		return savedAt(key).Serial > h.Serial
	case strings.HasPrefix(key, journalPrefix) && epoch == h.Epoch:
		// Segment 0 is written before the head that names its journal, every other one behind it.
		return h.Journal != epoch && !h.Ended && key != segmentKey(epoch, 0)
	}
	return false
}

func journalOf(epoch uint64) string { return fmt.Sprintf("%s%010d/", journalPrefix, epoch) }

func segmentKey(epoch uint64, n int) string { return fmt.Sprintf("%s%010d", journalOf(epoch), n) }

// epochOf returns the epoch in which a state, a mark or a segment was written, 0 where its key does not say.
func epochOf(key string) (epoch uint64) {
	var serial uint64
	if rest, ok := strings.CutPrefix(key, journalPrefix); ok {
		_, _ = fmt.Sscanf(rest, "%010d/", &epoch)
	} else {
		_, _ = fmt.Sscanf(afterPrefix(key), "%d-%010d", &serial, &epoch)
	}
	return epoch
}

// afterPrefix returns what stands in the key of a state or a mark behind its prefix, "" for any other.
func afterPrefix(key string) string {
	for _, prefix := range []string{statePrefix, markPrefix} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			return rest
		}
	}
	return ""
}

// segmentPrefix begins a segment, before the digest of what follows after the first line: an object that is cut, even
// at the end of a line, must not pass for a shorter one.
const segmentPrefix = `{"segment":"`

func encodeSegment(b []byte) []byte {
	return append([]byte(segmentPrefix+digestOf(b)+"\"}\n"), b...)
}

// decodeSegment returns what a segment holds, and whether it is what was written.
func decodeSegment(content []byte) ([]byte, bool) {
	first, b, _ := bytes.Cut(content, []byte("\n"))
	return b, string(first) == segmentPrefix+digestOf(b)+`"}`
}

// fencePrefix begins a fence; no segment begins so.
const fencePrefix = `{"fence":`

// fenceContent is the content of a fence: nobody else's is equal.
func fenceContent(epoch uint64, nonce string) []byte {
	return fmt.Appendf(nil, "%s%d,\"nonce\":%q}\n", fencePrefix, epoch, nonce)
}

func isFence(b []byte) bool { return bytes.HasPrefix(b, []byte(fencePrefix)) }

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// isLasting reports whether there is no answer of the store's for a reason that asking again does not mend.
func isLasting(err error) bool {
	_, unconnected := errors.AsType[*store.ConnectError](err)
	answer, answered := errors.AsType[*store.AnswerError](err)
	return unconnected || answered && answer.Foreign
}

// isAnswer reports whether an error is what the store said, so that the request is known not to have been carried out.
func isAnswer(err error) bool {
	return errors.Is(err, store.ErrAbsent) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrChanged) ||
		errors.Is(err, store.ErrDenied) || errors.Is(err, store.ErrNoPlace) || isLasting(err)
}
