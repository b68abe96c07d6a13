package shared

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"agentsync/internal/state/store"
)

const (
	// keptStates and keptFor: of the states that no longer count, these many and those of this time are kept, for
	// 'state history' and 'state rollback'.
	keptStates = 20
	keptFor    = 30 * 24 * time.Hour
	// keyTime is how a state's key says when it was written, by the clock of the machine that wrote it: for people.
	keyTime = "20060102T150405Z"
)

// Saved is a state that a place keeps.
type Saved struct {
	Serial uint64 `json:"serial"`
	// At is when it was written, by the clock of the machine that wrote it; zero where the key does not say.
	At time.Time `json:"at"`
	// Current reports that it is the one that counts.
	Current bool `json:"current"`

	key string
}

// ErrNoSuchState: the place does not keep a state of that serial.
var ErrNoSuchState = errors.New("no state of that serial is kept")

// History returns the states that are kept, the newest first: also one that a run wrote just before it lost its lease,
// and those that are newer than a head that was put back. It needs to read alone.
func (p *Place) History(ctx context.Context) ([]Saved, error) {
	h, _, _, err := p.readHead(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := p.list(ctx, statePrefix)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.Name(), err)
	}
	bySerial := map[uint64]Saved{}
	for _, key := range keys { // of two with one serial the later epoch counted: the earlier one's run lost its lease
		if s := savedAt(key); !bySerial[s.Serial].Current {
			s.Current = h.State == key
			bySerial[s.Serial] = s
		}
	}
	return slices.SortedFunc(maps.Values(bySerial), func(a, b Saved) int { return int(b.Serial) - int(a.Serial) }), nil
}

// Saved returns the content of the state with the serial: ErrNoSuchState.
func (p *Place) Saved(ctx context.Context, serial uint64) ([]byte, error) {
	all, err := p.History(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Serial != serial {
			continue
		}
		o, err := p.get(ctx, s.key)
		if err == nil {
			return o.Content, nil
		}
		if !errors.Is(err, store.ErrAbsent) {
			return nil, fmt.Errorf("read %s: %w", p.Name(), err)
		}
	}
	return nil, fmt.Errorf("%s, serial %d: %w", p.Name(), serial, ErrNoSuchState)
}

// savedAt reads what the key of a state, or of a mark, says.
func savedAt(key string) Saved {
	s := Saved{key: key}
	parts := strings.SplitN(afterPrefix(key), "-", 4)
	_, _ = fmt.Sscanf(parts[0], "%d", &s.Serial) // 0 where somebody put another object there
	if len(parts) == 4 {
		s.At, _ = time.Parse(keyTime, parts[2])
	}
	return s
}

// outdatedStates returns those of the sorted keys of states that are kept no longer: neither the newest nor the one
// that counts.
func outdatedStates(keys []string, counts string, now time.Time) []string {
	if len(keys) <= keptStates {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(keys[:len(keys)-keptStates]), func(key string) bool {
		return key == counts || now.Sub(savedAt(key).At) < keptFor
	})
}

// Probe checks that the place keeps the contract of store.Store, and writes nothing but below store.ProbePrefix.
func (p *Place) Probe(ctx context.Context) error { return store.Probe(ctx, p.store) }
