package export_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
	"agentsync/internal/export"
)

// changeForms are ways to write the same agent; %s is its purpose.
var changeForms = map[string]string{
	"block": "    - key: a # k\n      agentName: A # n\n      agentPurpose: Old # p\n      tags: [x, y] # t\n " +
		"     # end\n",
	"quoted": "    - key: a # k\n      agentName: \"A\" # n\n      agentPurpose: 'It''s\n        old' # p\n    " +
		"  tags:\n        - x # t\n        - y\n    # end\n",
	"block text": "    - key: a # k\n      agentName: A # n\n      agentPurpose: | # p\n        Old\n\n        " +
		"text\n\n      tags: [x, y] # t\n      # end\n",
	"folded, last": "    - key: a # k\n      tags: # t\n      - x\n      - y\n      agentName: A # n\n      " +
		"agentPurpose: >-\n        Old\n        text\n# p\n# end\n",
	"braces": "    # k\n    - {key: a, agentName: A, agentPurpose: Old text, tags: [x, y]} # n p t end\n",
	"JSON": "    # k n p t end\n    - {\"key\": \"a\", \"agentName\": \"A\", \"agentPurpose\": \"Old: " +
		"{text}, \\\"x\\\"\", \"tags\": [\"x\", \"y\"]}\n",
	"alias": "    - key: a # k\n      agentName: *name # n\n      agentPurpose: *text # p\n      tags: *tags " +
		"# t\n      # end\n",
	"merged":   "    - <<: *all # n p\n      key: a # k\n      tags: [x, y] # t\n      # end\n",
	"defaults": "    - key: a # k n p t end\n",
	"tagged, anchor": "    - key: a # k\n      agentName: &n A # n\n      agentPurpose: !!str Old # p\n      tags: &t " +
		"[x, y] # t\n      # end\n",
}

// TestChangeReadsBack: whatever an agent is written like, and whatever the new value is, the manifest then wants that
// value and nothing else is different, comments included; or the change is refused.
func TestChangeReadsBack(t *testing.T) {
	const head = "version: 1 # v\nx-text: &text Old # anchor\nx-name: &name A\nx-tags: &tags [x, y]\n" +
		"x-all: &all {agentName: A, agentPurpose: Old}\nmindset:\n  appUid: acme # app\n  defaults: {agentName: D, " +
		"agentPurpose: Old}\n  agents:\n"
	const tail = "    - key: b # other\n      agentName: B\n"
	p := load(t, "mindset")
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"agentName", "agentPurpose", "tags", "live", "formatting", "access"}).
			Draw(rt,
				"field")
		form := rapid.SampledFrom([]string{"block", "quoted", "block text", "folded, last", "braces", "JSON", "alias",
			"merged", "defaults", "tagged, anchor"}).Draw(rt, "form")
		src := head + changeForms[form] + tail
		if rapid.Bool().Draw(rt, "first") {
			src = head + tail + changeForms[form]
		}
		if rapid.Bool().Draw(rt, "crlf") {
			src = strings.ReplaceAll(src, "\n", "\r\n")
		}
		var value any
		switch name {
		case "live":
			value = true
		case "access":
			value = "openAccess"
		case "tags":
			value = rapid.SampledFrom([]any{[]any{"y", "x", "z: #"}, []any{"new one"}, []any{"x"}}).Draw(rt, "list")
		default:
			value = "N" + awkwardText().Draw(rt, "text")
		}
		was, problems := read(t, []byte(src))
		if problems != nil && form != "quoted" {
			rt.Fatalf("%s is no good manifest: %v", form, problems)
		}
		after, err := export.Change([]byte(src), p, "a", export.Edit{Path: []string{name}, Value: value})
		if errors.Is(err, export.ErrSplice) {
			refused++
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		is, problems := read(t, after)
		if text, _ := value.(string); len([]rune(text)) > 50 {
			problems = nil // awkward texts may be too long for a name
		}
		if len(problems) > 0 && !strings.Contains(fmt.Sprint(problems), "warning") && len(is.Agents) != 2 {
			rt.Fatalf("%s: %v\n%s", form, problems, after)
		}
		for i, d := range was.Agents {
			want := d.Fields.Clone()
			if d.Address.Key == "a" {
				want[name] = value
			}
			for field := range want {
				if !agent.Equal(is.Agents[i].Fields[field], want[field]) {
					rt.Fatalf("%s: %s of %s is %q, want %q\n%s\nbecomes\n%s", form, field, d.Address,
						is.Agents[i].Fields[field],
						want[field], src, after)
				}
			}
		}
		for _, comment := range []string{"# v", "# anchor", "# app", "# k", " n", " p", " t", "end\n", "# other"} {
			if strings.HasSuffix(src, "\r\n") {
				comment = strings.ReplaceAll(comment, "\n", "\r\n")
			}
			if strings.Contains(src, comment) && !strings.Contains(string(after), comment) {
				rt.Fatalf("%s: the comment %q is lost\n%s\nbecomes\n%s", form, comment, src, after)
			}
		}
	})
	if refused > 0 {
		t.Logf("%d were refused", refused)
	}
}

func TestChangeRefuses(t *testing.T) {
	p := load(t, "mindset")
	const head = "version: 1\nx-a: &agent {key: a, agentName: A}\nmindset:\n  appUid: acme\n  agents:\n"
	for src, want := range map[string]error{
		head + "    - key: a\n      agentName: ${env:NAME}\n":     export.ErrReference,
		head + "    - key: a\n      agentName: x ${secret:S}\n":   export.ErrReference,
		head + "    - *agent\n":                                   export.ErrSplice,
		head + "    - key: b\n":                                   export.ErrSplice,
		"version: 1\nmindset: {":                                  export.ErrSplice,
		"version: 1\n":                                            export.ErrSplice,
		head + "    - key: a\n      agentName: $${env:NAME}\n":    nil,
		head + "    - {key: a, agentName: [a,\n        b]}\n":     nil,
		head + "    - key: a\n      agentName: ${file:../x.md}\n": &export.TextFileError{},
	} {
		t.Run(src, func(t *testing.T) {
			_, err := export.Change([]byte(src), p, "a", export.Edit{Path: []string{"agentName"}, Value: "B"})
			var text *export.TextFileError
			switch ok := errors.Is(err, want); {
			case errors.As(want, &text) && errors.As(err, &text) && text.Path == "../x.md":
			case want == nil && err != nil, want != nil && !ok:
				t.Errorf("%s gives %v, want %v", src, err, want)
			}
		})
	}
}
