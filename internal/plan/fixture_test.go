package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// fields and list keep the tables readable.
type (
	fields = agent.Fields
	list   = []any
	object = map[string]any
)

func platforms(t testing.TB) map[string]*schema.Platform {
	t.Helper()
	all := map[string]*schema.Platform{}
	for _, name := range []string{"cometchat", "mindset"} {
		p, err := schema.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = p
	}
	return all
}

// env is a set of environment variables.
func env(pairs map[string]string) secret.Lookup {
	return func(name string) (string, bool) {
		v, ok := pairs[name]
		return v, ok
	}
}

var testSealer = secret.Sealer{Key: []byte("lineage"),
	Lookup: env(map[string]string{"TOKEN": "s3cret", "SAME": "s3cret", "OTHER": "0ther"})}

func addr(t testing.TB, s string) agent.Address {
	t.Helper()
	a, err := agent.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// want returns a wanted agent; edits change it.
func want(t testing.TB, address string, f fields, edits ...func(*agent.Desired)) agent.Desired {
	d := agent.Desired{Address: addr(t, address), Fields: f, Source: diag.Pos{File: "agents.yaml", Line: 3, Column: 7}}
	for _, edit := range edits {
		edit(&d)
	}
	return d
}

func previously(keys ...string) func(*agent.Desired) {
	return func(d *agent.Desired) { d.PreviousKeys = append([]string{}, keys...) } // none is an empty list, not no list
}

// had returns the record of an agent that had other keys before.
func had(rec agent.Record, keys ...string) agent.Record {
	rec.FormerKeys = keys
	return rec
}

func ignoring(names ...string) func(*agent.Desired) {
	return func(d *agent.Desired) { d.IgnoreChanges = names }
}

func protected(d *agent.Desired) { d.Protect = true }

// doc encodes fields as state holds them.
func doc(t testing.TB, f fields) agent.Doc {
	t.Helper()
	if f == nil {
		return nil
	}
	d, err := agent.Encode(f.Seal(testSealer))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// record returns a record of an agent that was applied and answered alike.
func record(t testing.TB, uid string, f fields) agent.Record {
	return agent.Record{UID: uid, Applied: doc(t, f), Observed: doc(t, f)}
}

func build(t testing.TB, in Input) *Plan {
	t.Helper()
	if in.Platforms == nil {
		in.Platforms = platforms(t)
	}
	if in.Sealer.Key == nil {
		in.Sealer = testSealer
	}
	p, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// brief is a change as the tables spell it.
type brief struct {
	Action   Action
	Address  string
	From     string
	UID      string
	Fields   []FieldChange
	Send     []string
	Blocked  Block
	Vanished bool
}

func briefs(p *Plan) []brief {
	var all []brief
	for _, ch := range p.Changes {
		b := brief{
			Action: ch.Action, Address: ch.Address.String(), UID: ch.UID,
			Fields: ch.Differences(), Send: ch.Send, Blocked: ch.Blocked, Vanished: ch.Vanished,
		}
		if !ch.From.IsZero() {
			b.From = ch.From.String()
		}
		all = append(all, b)
	}
	return all
}

func diffOf(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}
