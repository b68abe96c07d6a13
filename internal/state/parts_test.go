package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
)

// Small parts whose faults whole runs do not show.

func TestNamesOfKinds(t *testing.T) {
	for kind, want := range map[ResultKind]string{-1: "invalid", Recorded: "recorded", Located: "located",
		Located + 1: "invalid"} {
		if got := kind.String(); got != want {
			t.Errorf("%d is %q, want %q", int(kind), got, want)
		}
	}
}

// A path is quoted where a shell would take it for something else, and only there.
func TestQuotePath(t *testing.T) {
	for path, want := range map[string]string{
		"": "''", "az/AZ.09_-+:@%": "az/AZ.09_-+:@%", "-x": "'-x'", "a b": "'a b'", "it's": `'it'\''s'`, "[x]": "'[x]'",
		"`x`": "'`x`'", "{x}": "'{x}'", "a\nb": `"a\nb"`, "Zürich": "'Zürich'",
	} {
		if got := quotePath(path); got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
}

func TestLineagesDiffer(t *testing.T) {
	if a, b := NewLineage(), NewLineage(); a == b || len(a) != 32 {
		t.Errorf("%s and %s", a, b)
	}
}

// Of the uids that are to be deleted each stands once, and never the agent's own.
func TestObsoleteUIDs(t *testing.T) {
	for name, tt := range map[string]struct{ had, more, want []string }{
		"none": {nil, []string{"", "own"}, nil}, "one more": {nil, []string{"b"}, []string{"b"}},
		"its own, and one twice": {[]string{"own", "b", "b"}, nil, []string{"b"}},
		"the new ones first":     {[]string{"b"}, []string{"c", "b"}, []string{"c", "b"}},
	} {
		if got := withObsolete(agent.Record{UID: "own", Obsolete: tt.had}, tt.more...).Obsolete; !slices.Equal(got,
			tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestOriginsComeAndGo(t *testing.T) {
	app, other := agent.AppID{Platform: "mindset", App: "a"}, agent.AppID{Platform: "mindset", App: "b"}
	at := agent.Origin{BaseURL: "https://a.example.com"}
	apps := withOrigin(withOrigin(nil, app, at), other, at)
	if len(apps) != 2 || apps[app] != at {
		t.Errorf("%v", apps)
	}
	if rest := withOrigin(apps, app, agent.Origin{}); len(rest) != 1 || rest[other] != at || len(apps) != 2 {
		t.Errorf("%v of %v", rest, apps)
	}
}

// Who an agent belongs to is told by its record and, where none names it, by a request that is open.
func TestWhatAFleetKnows(t *testing.T) {
	a, b := agent.Address{Platform: "mindset", App: "x", Key: "a"}, agent.Address{Platform: "mindset", App: "x",
		Key: "b"}
	f, err := NewFleet(&State{Agents: map[agent.Address]agent.Record{a: {UID: "1", Obsolete: []string{"0"}}}},
		[]Intent{{ID: 1, Address: b, Action: "delete", UID: "2", At: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[string]agent.Address{"0": a, "1": a, "2": b, "3": {}} {
		if owner, owned := f.Owner(a.ID(), uid); owner != want || owned != (uid != "3") ||
			f.Claimed(a.ID(), uid) != (uid == "2") {
			t.Errorf("%s belongs to %v, %v", uid, owner, owned)
		}
	}
	rec, known := f.Record(a)
	_, unknown := f.Record(b)
	if all := f.Records(); !known || unknown || rec.UID != "1" || len(all) != 1 || all[a].UID != "1" ||
		len(f.Open()) != 1 {
		t.Errorf("%v, %v, %v", rec, known, all)
	}
	if err := f.Enter([]Result{{Kind: Voided, Intent: 1}, {Kind: Removed, Address: a}}); err != nil {
		t.Fatal(err)
	}
	if _, owned := f.Owner(a.ID(), "2"); owned || f.Claimed(a.ID(), "2") || len(f.Open()) > 0 {
		t.Error("what is closed owns still")
	}
}

func TestAFolderAndZeroBytesAreNoState(t *testing.T) {
	dir := t.TempDir()
	zeros := filepath.Join(dir, "zeros.json")
	if err := os.WriteFile(zeros, make([]byte, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{dir: "this is a folder", zeros: "zero bytes stand here"} {
		if _, err := NewFile(path).Load(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A document is kept in one form, however it is written in the file: without escapes that need not be there.
func TestEscapesInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for text, want := range map[string]string{
		`{"name":"\u0041"}`: `{"name":"A"}`, `{"name":"a\/b"}`: `{"name":"a/b"}`, `{"\u006eame":"x"}`: `{"name":"x"}`,
		`{"name":"a\nb"}`: `{"name":"a\nb"}`, `{"\u006e":"\u006e"}`: `{"n":"n"}`,
	} {
		content := `{"version": 1, "serial": 1, "lineage": "l", "agents": {"mindset/x/a": {"uid": "u", "applied": ` +
			text +
			`}}}`
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		snap, err := NewFile(path).Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range snap.State.Agents {
			if string(rec.Applied) != want {
				t.Errorf("%s is %s", text, rec.Applied)
			}
		}
	}
}

// badClose is a disk whose files cannot be closed: what was written last may be lost.
type badClose struct{ FS }

func (d badClose) CreateTemp(path string) (string, Handle, error) {
	name, h, err := d.FS.CreateTemp(path)
	return name, badHandle{h}, err
}

type badHandle struct{ Handle }

func (h badHandle) Close() error {
	_ = h.Handle.Close()
	return errors.New("an input/output error")
}

func TestAFileThatCannotBeClosedIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	f := NewFile(path, WithFS(badClose{RealFS()}))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = f.Edit(t.Context(), snap, func(s *State) error {
		s.Agents[agent.Address{Platform: "mindset", App: "x", Key: "a"}] = agent.Record{UID: "1"}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "an input/output error") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state was replaced: %v", err)
	}
}

// A run that is closed takes nothing more, and says so each time.
func TestAClosedRunTakesNothing(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "state.json"))
	snap, err := f.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(t.Context(), snap, 0)
	if err == nil {
		err = run.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := run.Intend(Intent{Address: agent.Address{Platform: "mindset", App: "x", Key: "a"},
			Action: "create", At: time.Now()}); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}
