package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// keys are few, so that renames and repeats meet.
var keys = []string{"a", "b", "c"}

func genValue(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.SampledFrom([]any{"", "text", "two\nlines", json.Number("1"), json.Number("-2500"), json.Number("0.5")}),
		rapid.Map(rapid.SampledFrom([]string{"TOKEN", "OTHER"}),
			func(name string) any { return secret.Template("${secret:" + name + "}") }),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.Map(rapid.SliceOfN(genValue(depth-1), 0, 3), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"x", "y/z", "~"}), genValue(depth-1), 0, 3),
				func(m map[string]any) any { return m }),
		)
	}
	return rapid.OneOf(kinds...)
}

// genField draws a value of a field, or nil for none.
func genField(f schema.Field) *rapid.Generator[any] {
	texts := rapid.SampledFrom([]string{"", "one", "two", "long\ntext\n"})
	switch f.Type {
	case "boolean":
		return rapid.SampledFrom([]any{nil, true, false})
	case "array":
		return rapid.Map(rapid.SliceOfNDistinct(texts, 0, 3, rapid.ID[string]), func(l []string) any {
			values := list{}
			for _, s := range l {
				values = append(values, s)
			}
			return values
		})
	case "object":
		return rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"baseUrl", "headers", "greetingMessage"}), genValue(2),
			0,
			3),
			func(m map[string]any) any { return m })
	default:
		return rapid.OneOf(texts.AsAny(), rapid.Just[any](nil), rapid.Just[any](secret.Template("${secret:TOKEN}")))
	}
}

func genFields(p *schema.Platform) *rapid.Generator[fields] {
	return rapid.Custom(func(t *rapid.T) fields {
		f := fields{}
		for _, field := range p.Fields {
			if v := genField(field).Draw(t, field.Name); v != nil {
				f[field.Name] = v
			}
		}
		return f
	})
}

func genDesired(all map[string]*schema.Platform) *rapid.Generator[[]agent.Desired] {
	return rapid.Custom(func(t *rapid.T) []agent.Desired {
		var wanted []agent.Desired
		marks := map[string]bool{"cometchat": rapid.Bool().Draw(t, "marks"), "mindset": rapid.Bool().Draw(t, "marks")}
		for _, p := range []string{"cometchat", "mindset"} {
			for _, key := range keys {
				if !rapid.Bool().Draw(t, "wanted") {
					continue
				}
				d := agent.Desired{
					Address: agent.Address{Platform: p, App: "app", Key: key},
					Fields:  genFields(all[p]).Draw(t, "fields"),
					Protect: rapid.Bool().Draw(t, "protect"),
				}
				d.PreviousKeys = rapid.SliceOfN(rapid.SampledFrom(keys), 0, 2).Draw(t, "previous")
				d.IgnoreChanges = rapid.SliceOfN(rapid.SampledFrom([]string{"name", "tags", "isActive",
					"externalTenantId"}), 0,
					1).Draw(t, "ignored")
				if marks[p] {
					d.Mark = d.Address.Mark()
				}
				wanted = append(wanted, d)
			}
		}
		return wanted
	})
}

// genPrior draws a state by applying a fleet to none, so that each record is one that apply makes.
func genPrior(t *testing.T, all map[string]*schema.Platform) *rapid.Generator[map[agent.Address]agent.Record] {
	return rapid.Custom(func(rt *rapid.T) map[agent.Address]agent.Record {
		prior := map[agent.Address]agent.Record{}
		for i, d := range genDesired(all).Draw(rt, "before") {
			prior[d.Address] = applied(t, d, agent.Record{}, fmt.Sprint("u", i), nil)
		}
		return prior
	})
}

func TestAfterApplyThePlanIsEmpty(t *testing.T) {
	all := platforms(t)
	rapid.Check(t, func(rt *rapid.T) {
		in := Input{
			Desired: genDesired(all).Draw(rt, "desired"), Prior: genPrior(t, all).Draw(rt, "prior"),
			Platforms: all, Sealer: testSealer, Prune: true,
		}
		uids := map[string]bool{}
		for _, rec := range in.Prior {
			uids[rec.UID] = true
		}
		p, err := Build(in)
		if err != nil {
			rt.Fatal(err)
		}
		after := in
		after.Prior = carriedOut(t, in, p)
		again, err := Build(after)
		if err != nil {
			rt.Fatal(err)
		}
		for _, ch := range again.Changes {
			if ch.Blocked == "" {
				rt.Errorf("not empty after apply: %+v", ch)
			}
		}
		if len(again.RecordUpdates) > 0 {
			rt.Errorf("touched again: %+v", again.RecordUpdates)
		}
		for _, ch := range p.Changes { // no uid is lost: each is deleted, replaced or still in state
			if ch.Blocked == "" && (ch.Action == Delete || ch.Action == Replace) {
				delete(uids, ch.UID)
			}
		}
		for _, rec := range after.Prior {
			delete(uids, rec.UID)
		}
		if len(uids) > 0 {
			rt.Errorf("lost uids: %v", uids)
		}
	})
}

func TestThePlanDoesNotDependOnOrder(t *testing.T) {
	all := platforms(t)
	rapid.Check(t, func(rt *rapid.T) {
		in := Input{
			Desired: genDesired(all).Draw(rt, "desired"), Prior: genPrior(t, all).Draw(rt, "prior"),
			Platforms: all, Sealer: testSealer, Prune: rapid.Bool().Draw(rt, "prune"),
			Targets: rapid.SampledFrom([][]agent.Glob{nil, {"mindset/*/*"}, {"*/app/b", "*/app/c"}}).
				Draw(rt, "targets"),
		}
		snapshot := fmt.Sprintf("%v", in.Desired)
		first, err := Build(in)
		if err != nil {
			rt.Fatal(err)
		}
		if got := fmt.Sprintf("%v", in.Desired); got != snapshot {
			rt.Errorf("Build changed its input:\n%s\n%s", snapshot, got)
		}
		in.Desired = rapid.Permutation(in.Desired).Draw(rt, "order")
		in.Prior = maps.Clone(in.Prior)
		second, err := Build(in)
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(first, second, cmpopts.IgnoreUnexported(Change{})); d != "" {
			rt.Errorf("another order, another plan:\n%s", d)
		}
		if !slices.IsSortedFunc(first.Changes, func(a, b Change) int { return a.Address.Compare(b.Address) }) {
			rt.Error("changes are not ordered by address")
		}
	})
}

func TestNoSecretAndNoMarkIsWritten(t *testing.T) {
	all := platforms(t)
	rapid.Check(t, func(rt *rapid.T) {
		p, err := Build(Input{
			Desired: genDesired(all).Draw(rt, "desired"), Prior: genPrior(t, all).Draw(rt, "prior"),
			Platforms: all, Sealer: testSealer, Prune: true,
		})
		if err != nil {
			rt.Fatal(err)
		}
		var plain, saved bytes.Buffer
		if err := encodePlan(&plain, p); err != nil {
			rt.Fatal(err)
		}
		if err := Save(&saved, p, Binding{Version: "v1"}); err != nil {
			rt.Fatal(err)
		}
		for _, out := range []string{plain.String(), saved.String()} {
			for _, leak := range []string{agent.MarkName + ":", `/agentsync"`, "s3cret", "0ther", "$secret",
				"${secret"} {
				if bytes.Contains([]byte(out), []byte(leak)) {
					rt.Errorf("%q is in the plan:\n%s", leak, out)
				}
			}
		}
		read, err := ReadSaved(&saved, "v1")
		if err != nil {
			rt.Fatal(err)
		}
		if holds, stale := read.Check(p, ""); len(stale) > 0 || len(holds.Changes) != len(p.Changes) {
			rt.Errorf("a plan read at once is stale: %+v", stale)
		}
	})
}
