package cli

import (
	"io"
	"slices"
	"strings"
	"testing"

	"agentsync/internal/flags"
	"agentsync/internal/ui"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag of every command is set by its variable, and a flag on the command line beats it.
func TestEveryFlagHasAVariable(t *testing.T) {
	values := map[string]string{"bool": "true", "int": "7", "duration": "7s", "string": "7", "stringSlice": "cometchat",
		"stringArray": "7"}
	walked := 0
	walk(testApp().rootCommand(), func(named *cobra.Command) {
		// A fresh tree for each command, since the commands share variables.
		c, _, err := testApp().rootCommand().Find(strings.Fields(named.CommandPath())[1:])
		if err != nil {
			t.Fatal(err)
		}
		c.InheritedFlags() // merges the root's flags into those of c
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if slices.Contains(flags.NotFromEnv(), f.Name) {
				return
			}
			value, ok := values[f.Value.Type()]
			if o, isChoice := f.Value.(*flags.Choice); isChoice {
				value, ok = o.Allowed[len(o.Allowed)-1], true
			}
			if !ok {
				t.Errorf("%s --%s: no value for the type %s", c.CommandPath(), f.Name, f.Value.Type())
				return
			}
			walked++
			before := f.Value.String()
			if _, err := flags.Resolve(testApp(ui.Variable(f.Name)+"="+value).UI, c, nil); err != nil {
				t.Errorf("%s: %s=%s: %v", c.CommandPath(), ui.Variable(f.Name), value, err)
			}
			if got := f.Value.String(); got == before {
				t.Errorf("%s: %s=%s leaves --%s at %q", c.CommandPath(), ui.Variable(f.Name), value, f.Name, got)
			}
			set := f.Value.String()
			if _, err := flags.Resolve(testApp(ui.Variable(f.Name)+"=nonsense").UI, c,
				nil); err != nil || f.Value.String() != set {
				t.Errorf("%s: a given --%s is overruled by %s", c.CommandPath(), f.Name, ui.Variable(f.Name))
			}
		})
	})
	if walked < 30 {
		t.Errorf("only %d flags were found", walked)
	}
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	if c.RunE != nil || c.Run != nil {
		visit(c)
	}
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

// testApp is an app without streams, in an environment.
func testApp(environ ...string) *app { return &app{UI: ui.New(environ, nil, io.Discard, io.Discard)} }
