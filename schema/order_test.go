package schema_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/schema"
)

// TestOrder holds the order that fmt takes from a schema against the traits that everyone else reads.
func TestOrder(t *testing.T) {
	root, err := schema.LoadOrder("manifest")
	if err != nil {
		t.Fatal(err)
	}
	if got := root.Names(); got[0] != "version" {
		t.Errorf("a manifest begins with %v", got)
	}
	for _, name := range []string{"cometchat", "mindset"} {
		p, err := schema.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		section := root.Member(name)
		names := section.Names()
		if names[0] != p.AppField || !slices.Equal(names[len(names)-2:], []string{"defaults", "agents"}) {
			t.Errorf("the %s section is %v", name, names)
		}
		want := schema.Own()
		for _, f := range p.Fields {
			want = append(want, f.Name)
		}
		for where, got := range map[string]*schema.Order{"defaults": section.Member("defaults"),
			"agents": section.Member("agents").Items()} {
			t.Run(where, func(t *testing.T) {
				if diff := cmp.Diff(want, got.Names()); diff != "" {
					t.Errorf("%s of %s (-traits +order):\n%s", where, name, diff)
				}
			})
		}
	}
	meta := root.Member("cometchat").Member("agents").Items().Member("integrationMeta")
	if want := []string{"baseUrl", "agentId", "defaultUserId", "headers"}; !slices.Equal(meta.Names(), want) {
		t.Errorf("integrationMeta is %v, want %v", meta.Names(), want)
	}
}

// TestOrderOfNothing asks below what no schema names.
func TestOrderOfNothing(t *testing.T) {
	var o *schema.Order
	if _, ok := o.Member("a").Items().Rank("b"); ok || o.Names() != nil {
		t.Error("a nil order has members")
	}
	if _, err := schema.LoadOrder("nothing"); err == nil {
		t.Error("an unknown schema has an order")
	}
}
