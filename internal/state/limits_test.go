package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
)

// A folder takes a hundred rescued states, each under a name of its own.
func TestLimitOfRescues(t *testing.T) {
	dir, names := t.TempDir(), map[string]bool{}
	for n := 1; n <= 101; n++ {
		name, err := rescueInto(dir, []byte("{}"))
		if (err == nil) != (n <= 100) || err != nil && !strings.Contains(err.Error(), "100 rescued states already") {
			t.Errorf("rescue %d: %v", n, err)
		}
		names[name] = true
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 100 || len(names) != 101 { // no name for the last one
		t.Errorf("%d files under %d names, %v", len(files), len(names), err)
	}
}

// Of a lock file 4096 bytes are read. What is longer names nobody, and a person is told of another run.
func TestLimitOfAHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json.lock")
	for over := -1; over <= 1; over++ {
		empty, err := json.Marshal(Holder{PID: 1, Command: "x"})
		if err != nil {
			t.Fatal(err)
		}
		want := Holder{PID: 1, Command: strings.Repeat("x", maxHolder+over-len(empty)+1)}
		b, err := json.Marshal(want)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil || len(b) != maxHolder+over {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if over > 0 {
			want = Holder{}
		}
		if got := readHolder(path); got != want {
			t.Errorf("%d bytes: the holder is %.60s", len(b), got)
		}
	}
}

// A document is taken as deep as it can be read again, in a line of the journal as in the state file: what is deeper
// would poison every later run.
func TestLimitOfDepth(t *testing.T) {
	const deepest = agent.MaxTextDepth - depthOfDocs
	for over := -1; over <= 1; over++ {
		f := NewFile(filepath.Join(t.TempDir(), "state.json"))
		snap, err := f.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		run, err := f.Begin(t.Context(), snap, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The document's own object, and the lists in it.
		doc := agent.Doc(fmt.Sprintf(`{"a":%s%s}`, strings.Repeat("[", deepest-1+over),
			strings.Repeat("]", deepest-1+over)))
		err = run.Commit(Result{Kind: Recorded, Address: at("a"), Record: agent.Record{UID: "1", Observed: doc}})
		if (err == nil) != (over <= 0) || errors.Is(err, ErrBroken) {
			t.Errorf("%d levels: %v", deepest+over, err)
		}
		for _, when := range []string{"journal", "state"} {
			if snap, err := f.Load(t.Context()); err != nil || (len(snap.State.Agents) == 1) != (over <= 0) {
				t.Errorf("%d levels in the %s: %v", deepest+over, when, err)
			}
			if err := run.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// After a batch the next one waits for company, sixteen times as long as an fsync takes and two milliseconds at the
// most; who writes alone waits for nobody.
func TestLimitOfARest(t *testing.T) {
	for _, tt := range []struct {
		payloads    int
		fsync, want time.Duration
	}{
		{1, time.Millisecond, 0}, {2, 0, 0}, {2, 124 * time.Microsecond, 1984 * time.Microsecond},
		{2, 125 * time.Microsecond, 2 * time.Millisecond}, {2, 126 * time.Microsecond, 2 * time.Millisecond},
		{100, time.Second, 2 * time.Millisecond},
	} {
		if got := restAfter(tt.payloads, tt.fsync); got != tt.want {
			t.Errorf("after %d payloads and an fsync of %v: %v, want %v", tt.payloads, tt.fsync, got, tt.want)
		}
	}
}
