package state

import (
	"path/filepath"
	"testing"

	"agentsync/internal/agent"
)

func TestSmoke(t *testing.T) {
	f := NewFile(filepath.Join(t.TempDir(), "state.json"))
	snap, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	run, err := f.Begin(snap, 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	a := agent.Address{Platform: "mindset", App: "acme", Key: "x"}
	id, err := run.Intend(Intent{Address: a, Action: "create", Fields: agent.Doc(`{"a":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Commit(Result{Intent: id, Address: a, Record: agent.Record{UID: "u1", Applied: agent.Doc(`{"a":1,"b":[1,{}]}`)}}); err != nil {
		t.Fatal(err)
	}
	mid, err := f.Load()
	if err != nil || mid.State.Agents[a].UID != "u1" || !mid.Pending || len(mid.Open) != 0 {
		t.Fatalf("%+v %v", mid, err)
	}
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	end, err := f.Load()
	if err != nil || end.State.Agents[a].UID != "u1" || end.Pending || end.State.Serial != 1 {
		t.Fatalf("%+v %v", end, err)
	}
	b, _ := end.State.Encode()
	t.Logf("%s", b)
}
