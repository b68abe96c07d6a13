package schema

import (
	"strings"
	"testing"
)

// TestEveryFieldIsExplained: each name of each schema is found as a user types it, with what it is for, and what most
// people want to see of a field: an example.
func TestEveryFieldIsExplained(t *testing.T) {
	roots, err := explainRoots()
	if err != nil {
		t.Fatal(err)
	}
	if len(roots) != 7 {
		t.Fatalf("%d roots, want agents and sections of three schemas, and the manifest", len(roots))
	}
	for _, root := range roots {
		names := memberPaths(root.piece, root.order, "")
		for _, name := range names {
			path := strings.Split(name, ".")
			if root.platform != "" {
				path = append([]string{root.platform}, path...)
			}
			places, near := explainIn(roots, path)
			if len(places) == 0 {
				t.Errorf("%v is not found (near %q)", path, near)
				continue
			}
			for _, p := range places {
				if p.Description == "" || p.Type == "" {
					t.Errorf("%s in %s: type %q, description %q", p.Path, p.In, p.Type, p.Description)
				}
				if p.Example == nil && p.Members == nil && root.level == levelAgent {
					t.Errorf("%s in %s has no example", p.Path, p.In)
				}
			}
		}
	}
}

func TestExplainFindsWhatWasMeant(t *testing.T) {
	for typed, want := range map[string]string{
		"prompt": "agentPurpose", "system_prompt": "agentPurpose", "agentPurpos": "agentPurpose",
		"headers":      "integrationMeta.headers",
		"mindset.name": "agentName", "first-message": "metaData.greetingMessage", "enabled": "isActive",
		"mindset.agents.live.x": "live", "mindset.nonsense": "", "tag": "tags",
	} {
		t.Run(typed, func(t *testing.T) {
			places, near, err := Explain(strings.Split(typed, "."))
			if err != nil || len(places) > 0 || near != want {
				t.Errorf("%d places, near %q, want %q (%v)", len(places), near, want, err)
			}
		})
	}
}

// TestKnownAs: a name of another tool means one field of an object, and is no field of it.
func TestKnownAs(t *testing.T) {
	roots, err := explainRoots()
	if err != nil {
		t.Fatal(err)
	}
	var check func(where string, piece map[string]any)
	check = func(where string, piece map[string]any) {
		properties, _ := piece["properties"].(map[string]any)
		owner := map[string]string{}
		for name, body := range properties {
			body := body.(map[string]any)
			others, _ := body["x-known-as"].([]any)
			for _, other := range others {
				other := other.(string)
				if _, own := properties[other]; own || owner[foldName(other)] != "" {
					t.Errorf("%s: %s is called %s, and so is %s", where, name, other, owner[foldName(other)])
				}
				owner[foldName(other)] = name
				if got := KnownAs(piece, other); got != name {
					t.Errorf("%s: %s means %q, want %q", where, other, got, name)
				}
			}
			check(where+"."+name, body)
		}
	}
	for _, root := range roots {
		check(root.in, root.piece)
	}
	if got := KnownAs(roots[2].piece, "enabled"); got != "live" {
		t.Errorf("enabled means %q: each policy has a member of that name", got)
	}
	if got := KnownAs(roots[2].piece, "email"); !strings.HasSuffix(got, ".email") {
		t.Errorf("email means %q", got)
	}
}
