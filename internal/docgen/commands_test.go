package docgen

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"agentsync/internal/cli"
)

const commandsPage = "../../docs/commands.md"

const commandsHead = `# Commands

Written from the commands' own texts by a test; ` + "`make golden`" + ` renews it. ` + "`agentsync COMMAND --help`" +
	` prints the same.

Each flag can be set by an environment variable: ` + "`AGENTSYNC_`" + ` and its name in capitals, with ` + "`_`" +
	` for each hyphen. A flag
on the command line comes first.
`

// TestGoldenCommands holds docs/commands.md against the commands; AGENTSYNC_GOLDEN=1 writes it.
func TestGoldenCommands(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(commandsHead)
	root := cli.Command()
	for _, cmd := range shownCommands(root) {
		writeCommand(&b, cmd)
	}
	b.WriteString("\n## Flags of every command\n")
	writeFlags(&b, root.PersistentFlags())
	if os.Getenv("AGENTSYNC_GOLDEN") != "" {
		if err := os.WriteFile(commandsPage, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(commandsPage); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is behind the commands' texts: run make golden and review the diff (%v)", commandsPage, err)
	}
}

// shownCommands returns cmd and every command and help topic below it that a user is shown.
func shownCommands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Deprecated == "" && sub.Name() != "help" {
			all = append(all, shownCommands(sub)...)
		}
	}
	return all
}

// writeCommand writes one command's section. Texts stand in a fence, for they are made for a terminal.
func writeCommand(b *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), cmd.Short)
	if cmd.Runnable() {
		fmt.Fprintf(b, "\n    %s\n", cmd.UseLine())
	}
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", cmd.Long)
	}
	if cmd.Runnable() && cmd.HasParent() {
		writeFlags(b, cmd.NonInheritedFlags())
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n```console\n")
		for line := range strings.Lines(cmd.Example) {
			fmt.Fprintf(b, "$ %s\n", strings.TrimSpace(line))
		}
		b.WriteString("```\n")
	}
}

// writeFlags writes the flags that a user is shown as a table, if there are any.
func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	var rows []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" || f.Name == "help" || f.Name == "version" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		if hasDefault(f) {
			usage += " (default " + f.DefValue + ")"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, tableCell.Replace(usage)))
	})
	if rows != nil {
		fmt.Fprintf(b, "\n| flag | does |\n|---|---|\n%s", strings.Join(rows, ""))
	}
}

// tableCell keeps a text within its cell.
var tableCell = strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;")

// hasDefault reports whether a flag's default says something.
func hasDefault(f *pflag.Flag) bool {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return false
	}
	return true
}

// TestEveryCommandIsExplained holds each command to a help text and an example.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, cmd := range shownCommands(cli.Command()) {
		if cmd.Short == "" {
			t.Errorf("%s has no short text", cmd.CommandPath())
		}
		if cmd.Runnable() && cmd.Example == "" && !strings.HasPrefix(cmd.CommandPath(), "agentsync completion") {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
	}
}

// TestNotShipped keeps what writes documents, and what lints workflows, out of the binary.
func TestNotShipped(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "../..").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "agentsync/internal/cli\n") {
		t.Fatalf("no list of the binary's packages:\n%s", out)
	}
	for _, unwanted := range []string{"github.com/spf13/cobra/doc", "md2man", "blackfriday", "actionlint",
		"agentsync/internal/docgen"} {
		if strings.Contains(string(out), unwanted) {
			t.Errorf("%s is in the binary", unwanted)
		}
	}
}
