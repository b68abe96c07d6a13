package manifest

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"agentsync/internal/diag"
)

// Agents of one file are read on all processors; nobody may be able to tell.
func TestAgentsOnManyProcessors(t *testing.T) {
	const agents = 600
	for name, c := range map[string]struct {
		edit   func(i int) string // what agent i has besides its name
		limits Limits
		says   string
	}{
		"all right":       {edit: func(int) string { return "" }},
		"aliases":         {edit: func(i int) string { return "      tags: *tags\n" }},
		"variables":       {edit: func(i int) string { return "      agentPurpose: \"${env:SET} and ${secret:NOT}\"\n" }},
		"one is wrong":    {edit: only(571, "      access: nobody\n"), says: "access"},
		"a bad date":      {edit: only(400, "      agentPurpose: 2020-01-01\n"), says: "as a date"},
		"the same twice":  {edit: only(599, "      agentName: Again\n"), says: "stands twice"},
		"too many values": {edit: func(i int) string { return "      tags: *tags\n" }, limits: Limits{Values: agents * 6}, says: "more than 3,600 values"},
		"too many faults": {edit: func(i int) string { return "      live: 1\n" }, limits: Limits{Problems: 20}, says: "live must be true or false"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("version: 1\nx-tags: &tags [a, b, c]\nmindset:\n  appUid: acme\n  agents:\n")
			for i := range agents {
				fmt.Fprintf(&b, "    - key: k%d\n      agentName: Agent %d\n%s", i, i, c.edit(i))
			}
			one, problems := onProcessors(t, 1, b.String(), c.limits)
			four, again := onProcessors(t, 4, b.String(), c.limits)
			if !reflect.DeepEqual(problems, again) {
				t.Errorf("problems on one processor:\n%v\non four:\n%v", problems, again)
			}
			if !reflect.DeepEqual(one, four) {
				t.Error("the fleets differ")
			}
			if said := fmt.Sprint(problems); c.says == "" && (len(problems) > 0 || len(one.Agents) != agents) || !strings.Contains(said, c.says) {
				t.Errorf("%d agents, problems %s, want %q", len(one.Agents), said, c.says)
			}
		})
	}
}

func only(n int, text string) func(int) string {
	return func(i int) string {
		if i == n {
			return text
		}
		return ""
	}
}

func onProcessors(t *testing.T, n int, src string, limits Limits) (*Fleet, diag.List) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	env := func(name string) (string, bool) { return "yes", name == "SET" }
	fleet, problems, err := Parse(context.Background(), []Source{{"a.yaml", []byte(src)}},
		Options{Env: env, Platforms: platforms(t), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return fleet, problems
}
