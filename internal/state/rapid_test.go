package state_test

import (
	"fmt"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// randomScript draws steps that a correct program could take, from what is there at each moment.
func randomScript(t *rapid.T) []step {
	m := agents{}
	var script []step
	keys := []string{"a", "b", "c"}
	for i := range rapid.IntRange(1, 25).Draw(t, "steps") {
		key := rapid.SampledFrom(keys).Draw(t, "key")
		a := addr(key)
		rec, there := m[a]
		s := step{about: a}
		switch kind := rapid.IntRange(0, 10).Draw(t, "kind"); {
		case kind == 0:
			s.endRun = true
		case kind == 1:
			s.request = "create" // stays open
		case kind == 2:
			s.request, s.results = "create", []state.Result{{Address: a, Kind: state.Voided}}
		case kind == 3 && there && len(rec.Obsolete) > 0:
			s.request, s.results = "delete", []state.Result{{Address: a, Kind: state.Removed, UID: rec.Obsolete[0]}}
		case kind == 4 && there:
			s.request, s.results = "delete", []state.Result{{Address: a, Kind: state.Removed}}
		case kind == 5 && there:
			to := addr(rapid.SampledFrom(keys).Draw(t, "to"))
			if _, taken := m[to]; taken {
				continue
			}
			s.results = []state.Result{{Address: to, Kind: state.Moved, From: a}}
		case kind == 6 && there: // vanished and made again
			s.request, s.results = "create", []state.Result{{Address: a, Kind: state.Removed},
				recorded(key, fmt.Sprint("u", i))}
		case kind == 7 && there: // an update
			r := recorded(key, rec.UID)
			r.Record.Observed = doc(fmt.Sprint("seen ", i))
			s.request, s.results = "update", []state.Result{r}
		case kind == 8: // beside another result, or alone, or forgetting
			o := agent.Origin{BaseURL: rapid.SampledFrom([]string{"", "https://one.example.com",
				"https://two.example.com"}).Draw(t, "url")}
			s.results = []state.Result{{Kind: state.Located, App: a.ID(), Origin: o}}
		case kind == 9 && there:
			s.request, s.results = "delete", []state.Result{{Address: a, Kind: state.Answered}} // stays open
		default: // a create, or a replace
			s.request, s.results = "create", []state.Result{recorded(key, fmt.Sprint("u", i))}
		}
		for _, r := range s.results {
			m = m.after(r)
		}
		script = append(script, s)
	}
	return script
}

// TestRandomRuns plays random scripts with a fault at a random call and a crash after it.
func TestRandomRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		script := randomScript(t)
		whole := statetest.New()
		if o := play(whole, script); o.err != nil {
			t.Fatal(o.err)
		} else if err := o.recoverOn(whole); err != nil {
			t.Fatal(err)
		}
		disk := statetest.New()
		n := rapid.IntRange(1, whole.Calls()).Draw(t, "call")
		if rapid.Bool().Draw(t, "crash") {
			disk.CrashAt(n)
		} else {
			disk.FailAt(n, syscall.EIO)
		}
		o := play(disk, script)
		if o.saved {
			o.acked = len(o.history) - 1
		}
		if err := o.recoverOn(disk.Crash(statetest.LoseSome(rapid.Uint64().Draw(t, "loss")))); err != nil {
			t.Fatalf("call %d (%s): %v", n, last(disk.Log()), err)
		}
	})
}

// TestGitNeverLosesUIDs puts every earlier state file back beside a left journal: either the two are
// brought together, with every uid that the journal recorded, or the difference is refused.
func TestGitNeverLosesUIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		script := randomScript(t)
		disk := statetest.New()
		if o := play(disk, script); o.err != nil {
			t.Fatal(o.err)
		}
		older, err := disk.ReadFile(statePath)
		if err != nil {
			return // nothing was ever made
		}
		f := state.NewFile(statePath, state.WithFS(disk))
		serials := rapid.IntRange(1, 3).Draw(t, "runs before the crash")
		var made []string
		for n := range serials {
			snap, err := f.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			run, err := f.Begin(t.Context(), snap, 0)
			if err != nil {
				t.Fatal(err)
			}
			key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
			uid := fmt.Sprint("new", n)
			if err := run.Commit(recorded(key, uid)); err != nil {
				t.Fatal(err)
			}
			if n == serials-1 { // killed
				made = append(made, uid)
				left := disk.Crash(statetest.LoseAll)
				left.Put(statePath, older)
				checkUIDs(t, left, made)
			}
			if err := run.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func checkUIDs(t *rapid.T, disk *statetest.FS, made []string) {
	snap, err := state.NewFile(statePath, state.WithFS(disk)).Load(t.Context())
	if err != nil {
		return // refused: nothing is lost, and the journal is kept
	}
	found := map[string]bool{}
	for _, r := range snap.State.Agents {
		for _, uid := range append([]string{r.UID}, r.Obsolete...) {
			if found[uid] {
				t.Fatalf("the uid %s stands twice: %s", uid, uids(snap.State))
			}
			found[uid] = true
		}
	}
	for _, uid := range made {
		if !found[uid] {
			t.Fatalf("the uid %s is lost: %s", uid, uids(snap.State))
		}
	}
}
