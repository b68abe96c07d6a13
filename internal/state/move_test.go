package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/internal/state"
	"agentsync/internal/state/statetest"
)

// begun is a state with the agents on a disk of its own, and the intents open, of which none left for what the journal
// says.
func begun(t *testing.T, m agents, intents ...state.Intent) (*statetest.FS, *state.File) {
	t.Helper()
	disk := statetest.New()
	disk.Put(statePath, file(t, 5, m))
	f := state.NewFile(statePath, state.WithFS(disk))
	run, err := f.Begin(t.Context(), loaded(t, f), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range intents {
		id, err := run.Intend(i)
		if err == nil && i.Answered {
			err = run.Commit(state.Result{Kind: state.Answered, Intent: id, Address: i.Address})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return disk, f
}

func loaded(t *testing.T, f *state.File) *state.Snapshot {
	t.Helper()
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// A state that is taken over brings its agents and open requests, each once, however often it is taken over.
func TestTakeOverBringsAgentsAndOpenRequests(t *testing.T) {
	at := time.Unix(1000, 0).UTC()
	create := state.Intent{Address: addr("x"), Action: "create", Fields: doc("x"), At: at}
	remove := state.Intent{Address: addr("a"), Action: "delete", UID: "a1", At: at, Answered: true}
	_, from := begun(t, agents{addr("a"): {UID: "a1"}}, create, remove)
	_, to := begun(t, agents{addr("b"): {UID: "b1"}}, state.Intent{Address: addr("y"), Action: "create", At: at})
	for range 2 {
		if err := to.TakeOver(t.Context(), loaded(t, to), loaded(t, from)); err != nil {
			t.Fatal(err)
		}
	}
	snap := loaded(t, to)
	if got := uids(snap.State); got != "a=a1 b=b1" || snap.State.Serial != 6 || snap.Pending || len(snap.Open) != 3 {
		t.Errorf("%s, serial %d, pending %v, open %+v", got, snap.State.Serial, snap.Pending, snap.Open)
	}
	seen := map[uint64]bool{}
	for _, i := range snap.Open {
		if seen[i.ID] || i.NeverLeft && i.Address != addr("y") || i.Answered != (i.Action == "delete") ||
			!i.At.Equal(at) {
			t.Errorf("%+v", i)
		}
		seen[i.ID] = true
	}
	for name, other := range map[string]state.Intent{
		"another agent":  {Address: addr("z"), Action: "create", Fields: doc("x"), At: at},
		"another action": {Address: addr("x"), Action: "update", Fields: doc("x"), At: at},
		"another uid":    {Address: addr("x"), Action: "create", UID: "1", Fields: doc("x"), At: at},
		"another time":   {Address: addr("x"), Action: "create", Fields: doc("x"), At: at.Add(1)},
		"other fields":   {Address: addr("x"), Action: "create", Fields: doc("y"), At: at},
		"the same":       create,
	} {
		t.Run(name, func(t *testing.T) {
			_, more := begun(t, agents{addr("a"): {UID: "a1"}}, other)
			_, to := begun(t, agents{addr("a"): {UID: "a1"}}, create)
			if err := to.TakeOver(t.Context(), loaded(t, to), loaded(t, more)); err != nil {
				t.Fatal(err)
			}
			if n := len(loaded(t, to).Open); (n == 1) != (name == "the same") {
				t.Errorf("%d open", n)
			}
		})
	}
}

// Nothing is taken over into a state that somebody wrote meanwhile, or that has other agents at the same addresses.
func TestTakeOverRefuses(t *testing.T) {
	_, from := begun(t, agents{addr("a"): {UID: "a1"}})
	disk, to := begun(t, agents{addr("b"): {UID: "b1"}})
	snap := loaded(t, to)
	disk.Put(statePath, file(t, 9, agents{addr("b"): {UID: "b2"}}))
	if err := to.TakeOver(t.Context(), snap, loaded(t, from)); !errors.Is(err, state.ErrStale) {
		t.Errorf("a state that was written meanwhile: %v", err)
	}
	if err := to.Leave(t.Context(), snap, "s3://bucket/state"); !errors.Is(err, state.ErrStale) {
		t.Errorf("a signpost in its place: %v", err)
	}
	_, to = begun(t, agents{addr("a"): {UID: "other"}})
	if err := to.TakeOver(t.Context(), loaded(t, to), loaded(t, from)); err == nil {
		t.Error("two agents at one address were taken for one")
	}
	if got := uids(loaded(t, to).State); got != "a=other" {
		t.Errorf("the state is %s", got)
	}
}

// A signpost is no state, and says where the state is.
func TestSignpost(t *testing.T) {
	disk, f := begun(t, agents{addr("a"): {UID: "a1"}}, state.Intent{Address: addr("x"), Action: "create"})
	if err := f.Leave(t.Context(), loaded(t, f), "s3://bucket/state"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Load(t.Context())
	e, ok := errors.AsType[*state.FormatError](err)
	if !ok || e.Reason != state.Elsewhere || !strings.Contains(e.Detail, "s3://bucket/state") ||
		!strings.Contains(e.Hint, "state: s3://bucket/state") {
		t.Errorf("%v, %+v", err, e)
	}
	b, err := disk.ReadFile(statePath)
	if want := "{\n  \"version\": 2,\n  \"movedTo\": \"s3://bucket/state\",\n  \"agents\": {}\n}\n"; err != nil ||
		string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if names := disk.Names(); len(names) != 1 {
		t.Errorf("files are left: %v", names)
	}
}

// An old state that counts again has a serial of its own, and what is open stays open.
func TestRestore(t *testing.T) {
	_, f := begun(t, agents{addr("a"): {UID: "a2"}}, state.Intent{Address: addr("x"), Action: "create"})
	old, err := state.Decode("old", file(t, 3, agents{addr("a"): {UID: "a1"}}))
	if err != nil {
		t.Fatal(err)
	}
	serial, err := f.Restore(t.Context(), old)
	snap := loaded(t, f)
	if got := uids(snap.State); err != nil || serial != snap.State.Serial || got != "a=a1" || len(snap.Open) != 1 ||
		snap.Pending {
		t.Errorf("%v, serial %d: %s in serial %d, open %v", err, serial, got, snap.State.Serial, snap.Open)
	}
	if old.Serial != 3 {
		t.Errorf("the old state is now of serial %d", old.Serial)
	}
}

// After its end a run says under which serial its state was written; where nothing changed, that is the one from
// before.
func TestSerialAfterARun(t *testing.T) {
	for changes, want := range map[bool]uint64{true: 6, false: 5} {
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			disk := statetest.New()
			disk.Put(statePath, file(t, 5, agents{addr("a"): {UID: "a1"}}))
			f := state.NewFile(statePath, state.WithFS(disk))
			run, err := f.Begin(t.Context(), loaded(t, f), 0)
			if err == nil && changes {
				err = run.Commit(recorded("b", "b1"))
			}
			if err == nil {
				err = run.Close(t.Context())
			}
			if got := run.State().Serial; err != nil || got != want || loaded(t, f).State.Serial != want {
				t.Errorf("changes %v: serial %d, %v", changes, got, err)
			}
		})
	}
}

// An agent that was removed, and nothing else, is out of the file, and its uid is nobody's.
func TestARemovalAloneIsWritten(t *testing.T) {
	disk := statetest.New()
	disk.Put(statePath, file(t, 5, agents{addr("a"): {UID: "a2", Obsolete: []string{"a1"}}, addr("b"): {UID: "b1"}}))
	f := state.NewFile(statePath, state.WithFS(disk))
	for _, want := range []string{"a=a2 b=b1", "b=b1"} {
		run, err := f.Begin(t.Context(), loaded(t, f), 0)
		if err != nil {
			t.Fatal(err)
		}
		gone := map[string]string{"a=a2 b=b1": "a1", "b=b1": "a2"}[want]
		if err := run.Commit(state.Result{Kind: state.Removed, Address: addr("a"), UID: gone}); err != nil {
			t.Fatal(err)
		}
		if owner, owned := run.Fleet().Owner(addr("a").ID(), gone); owned {
			t.Errorf("%s is still of %s", gone, owner)
		}
		if err := run.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if snap := loaded(t, f); uids(snap.State) != want || snap.Pending {
			t.Errorf("%s, pending %v, want %s", uids(snap.State), snap.Pending, want)
		}
	}
}

// A copy of a state is changed alone, its apps as well.
func TestACloneIsChangedAlone(t *testing.T) {
	id := addr("a").ID()
	s := &state.State{Apps: map[agent.AppID]agent.Origin{id: {BaseURL: "https://a"}},
		Agents: agents{addr("a"): {UID: "1"}}}
	c := s.Clone()
	c.Apps[id] = agent.Origin{BaseURL: "https://b"}
	delete(c.Agents, addr("a"))
	if s.Apps[id].BaseURL != "https://a" || len(s.Agents) != 1 {
		t.Errorf("the state has changed with its copy: %+v", s)
	}
	if kind := state.ResultKind(-1).String(); kind != "invalid" {
		t.Errorf("no kind is called %q", kind)
	}
}

// What a fork may see of a state holds no hash of a secret, however deep it is.
func TestAPublicStateHoldsNoHash(t *testing.T) {
	sealer := secret.Sealer{Key: []byte("key"), Lookup: func(string) (string, bool) { return "value", true }}
	fields := agent.Fields{"name": "A", "tags": []any{secret.Template("${secret:A}")},
		"integrationMeta": map[string]any{"headers": map[string]any{"a": secret.Template("${secret:A}")}}}
	doc, err := agent.Encode(fields.Seal(sealer))
	if err != nil {
		t.Fatal(err)
	}
	s := &state.State{Lineage: lineage, Serial: 1, Agents: agents{addr("a"): {UID: "1", Applied: doc, Observed: doc}}}
	public, err := s.Public()
	if err != nil {
		t.Fatal(err)
	}
	b, err := public.Encode()
	sealed := fields["tags"].([]any)[0].(secret.Text)
	for _, path := range []string{"/tags/0", "/integrationMeta/headers/a"} {
		hash := sealer.Seal(path, sealed)
		if err != nil || hash.Value == "" || strings.Contains(string(b), hash.Value) ||
			strings.Contains(string(b), hash.Template) {
			t.Errorf("%v: %s has its hash in\n%s", err, path, b)
		}
		if !strings.Contains(string(doc), hash.Value) {
			t.Errorf("the test looks for another hash than %s has", path)
		}
	}
	if public.Lineage == lineage || string(s.Agents[addr("a")].Applied) != string(doc) {
		t.Errorf("the lineage is %s", public.Lineage)
	}
}
