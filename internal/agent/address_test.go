package agent_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// The forms are checked byte by byte for speed; the patterns are what the documents and schemas say.
func TestNamesHaveTheirPatterns(t *testing.T) {
	for name, form := range map[string]struct {
		pattern string
		valid   func(string) bool
		longest int
	}{
		"key": {agent.KeyPattern, agent.ValidKey, 63},
		"app": {`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`, agent.ValidApp, 128},
	} {
		t.Run(name, func(t *testing.T) {
			pattern := regexp.MustCompile(form.pattern)
			texts := []string{"", strings.Repeat("a", form.longest), strings.Repeat("a", form.longest+1), "a\n", "é",
				"aé"}
			for c := range 256 {
				texts = append(texts, string([]byte{byte(c)}), string([]byte{'a', byte(c)}),
					string([]byte{byte(c), 'a'}))
			}
			for _, s := range texts {
				if got, want := form.valid(s), pattern.MatchString(s); got != want {
					t.Errorf("%s %q: valid is %v, its pattern says %v", name, s, got, want)
				}
			}
		})
	}
}

func TestParseAddress(t *testing.T) {
	for _, s := range []string{"cometchat/2754abc/concierge", "mindset/Acme-1/a.b_c-d"} {
		a, err := agent.ParseAddress(s)
		if err != nil || a.String() != s {
			t.Errorf("%q: %q, %v", s, a, err)
		}
	}
	for _, s := range []string{"", "a", "a/b", "a/b/", "/b/c", "a//c", "a/b/c/d", "a/b/c/", "a/b/C", "a/b c/d",
		"a/b/-"} {
		if a, err := agent.ParseAddress(s); err == nil {
			t.Errorf("%q was read as %v", s, a)
		}
	}
}

func TestParseAppID(t *testing.T) {
	want := agent.AppID{Platform: "cometchat", App: "2754abc"}
	if id, err := agent.ParseAppID("cometchat/2754abc"); err != nil || id != want ||
		id.String() != "cometchat/2754abc" {
		t.Errorf("read as %v, %v", id, err)
	}
	for _, s := range []string{"", "cometchat", "cometchat/", "/2754abc", "cometchat/a/b", "cometchat/a b"} {
		if id, err := agent.ParseAppID(s); err == nil {
			t.Errorf("%q was read as %v", s, id)
		}
	}
}

func TestAddressesAreOrderedByPlatformAppAndKey(t *testing.T) {
	var all []agent.Address
	for _, s := range []string{"a/a/b", "a/a/c", "a/a-b/a", "a/b/a", "b/a/a"} {
		a, err := agent.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	for i, a := range all {
		for j, b := range all {
			if got, want := a.Compare(b), cmp.Compare(i, j); got != want {
				t.Errorf("%v against %v: %d, want %d", a, b, got, want)
			}
			if apps := a.ID().Compare(b.ID()); apps != 0 && apps != a.Compare(b) {
				t.Errorf("the apps of %v and %v are in another order", a, b)
			}
		}
	}
	if all[0].IsZero() || !(agent.Address{}).IsZero() {
		t.Error("only an address without names is zero")
	}
}

func TestGlobSelectsWholePartsBetweenSlashes(t *testing.T) {
	a := agent.Address{Platform: "mindset", App: "acme", Key: "coach-1"}
	for pattern, want := range map[string]bool{
		"mindset/acme/coach-1": true, "mindset/acme": true, "acme/coach-1": true,
		"mindset": true, "acme": true, "coach-1": true,
		"mindset/*": true, "*coach*": true, "m*1": true, "coach-?": true, "coach-[1-9]": true, "*": true,
		"coach": false, "mindset/coach-1": false, "acm": false, "coach-[2-9]": false, "*/*/*/x": false,
	} {
		t.Run(pattern, func(t *testing.T) {
			if got := agent.Glob(pattern).Match(a); got != want {
				t.Errorf("%s is selected: %t, want %t", a, got, want)
			}
		})
	}
	for _, wrong := range []string{"", "a/b/c/d", "coach-[1"} {
		if g, err := agent.ParseGlob(wrong); err == nil {
			t.Errorf("%q was read as %q", wrong, g)
		}
	}
	if g, err := agent.ParseGlob("mindset/acme/*"); err != nil || g != "mindset/acme/*" {
		t.Errorf("%q, %v", g, err)
	}
}

func TestSlugIsWhatAKeyMayHold(t *testing.T) {
	for text, want := range map[string]string{
		"Onboarding Coach": "onboarding-coach", "Größe & Maß": "grosse-mass", "  a  ": "a", "e\u0301te\u0301": "ete",
		"Łódź_1": "lodz_1", "東京": "", "--": "", "a 東京 b": "a-b",
	} {
		t.Run(text, func(t *testing.T) {
			if got := agent.Slug(text); got != want {
				t.Errorf("%q became %q, want %q", text, got, want)
			}
		})
	}
}

func TestPointersKeepEachName(t *testing.T) {
	for pointer, path := range map[string][]string{
		"": nil, "/a": {"a"}, "/a/0/b": {"a", "0", "b"}, "/a~1b/c~0d": {"a/b", "c~d"}, "/~01": {"~1"}, "/": {""},
	} {
		t.Run(pointer, func(t *testing.T) {
			if got := agent.SplitPointer(pointer); !slices.Equal(got, path) {
				t.Errorf("%q was split into %q, want %q", pointer, got, path)
			}
			if got := agent.JoinPointer(path); got != pointer {
				t.Errorf("%q was joined to %q, want %q", path, got, pointer)
			}
		})
	}
}
