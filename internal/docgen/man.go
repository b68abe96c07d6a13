// Package docgen turns the commands into man pages. It promises the same bytes for the same texts: no
// date, no version; and that nothing in a text is taken for a command of roff. It is no part of the
// shipped binary: only tests and 'make docs' use it.
package docgen

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ManPages returns the man page of root and of every command and help topic below it, by file name.
// It fills in the defaults of the commands' flags.
func ManPages(root *cobra.Command) map[string][]byte {
	pages := map[string][]byte{}
	for _, cmd := range Commands(root) {
		pages[pageName(cmd)+".1"] = []byte(manPage(cmd))
	}
	return pages
}

// Commands returns cmd and every command and help topic below it that a user is shown.
func Commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Deprecated == "" && sub.Name() != "help" {
			all = append(all, Commands(sub)...)
		}
	}
	return all
}

func pageName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

// manPage writes one command's page.
func manPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	var r roff
	r.line(".TH %s 1 \"\" agentsync \"agentsync manual\"", quoted(strings.ToUpper(pageName(cmd))))
	r.line(".nh") // no hyphens in what may be copied
	r.section("NAME")
	r.line("%s \\- %s", escape(pageName(cmd)), escape(cmd.Short))
	if cmd.Runnable() {
		r.section("SYNOPSIS")
		r.line(".B %s", escape(cmd.UseLine()))
	}
	r.section("DESCRIPTION")
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	r.text(long)
	if cmd.Runnable() {
		r.flags("OPTIONS", cmd.NonInheritedFlags())
		r.flags("OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
		r.section("ENVIRONMENT")
		r.text("Every option can be set as AGENTSYNC_ and its name in capitals, with _ for each hyphen.")
		r.section("EXIT STATUS")
		r.text("See agentsync-exit-codes(1).")
	}
	if cmd.Example != "" {
		r.section("EXAMPLES")
		r.verbatim(strings.Split(cmd.Example, "\n"))
	}
	if see := seeAlso(cmd); len(see) > 0 {
		r.section("SEE ALSO")
		r.line("%s", strings.Join(see, "\n"))
	}
	return r.b.String()
}

// seeAlso names the pages above and below a command's.
func seeAlso(cmd *cobra.Command) []string {
	var see []string
	if cmd.HasParent() {
		see = append(see, fmt.Sprintf(".BR %s (1)", escape(pageName(cmd.Parent()))))
	}
	for _, sub := range Commands(cmd)[1:] {
		if sub.Parent() == cmd {
			see = append(see, fmt.Sprintf(".BR %s (1)", escape(pageName(sub))))
		}
	}
	for i := range len(see) - 1 {
		see[i] = strings.TrimSuffix(see[i], "(1)") + `"(1),"`
	}
	return see
}

// roff is a page under construction.
type roff struct{ b strings.Builder }

func (r *roff) line(format string, args ...any) { fmt.Fprintf(&r.b, format+"\n", args...) }

func (r *roff) section(title string) { r.line(".SH %s", title) }

// text writes paragraphs; lines that begin with two spaces stand as they are.
func (r *roff) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			r.line(".PP")
		}
		lines := strings.Split(paragraph, "\n")
		if strings.HasPrefix(lines[0], "  ") {
			r.verbatim(lines)
			continue
		}
		for _, line := range lines {
			r.line("%s", escape(line))
		}
	}
}

// verbatim writes lines as they are, indented.
func (r *roff) verbatim(lines []string) {
	r.line(".RS\n.nf")
	for _, line := range lines {
		r.line("%s", escape(strings.TrimPrefix(line, "  ")))
	}
	r.line(".fi\n.RE")
}

// flags lists the flags that a user is shown, if there are any.
func (r *roff) flags(title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	r.section(title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := `\fB\-\-` + escape(f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB\-` + f.Shorthand + `\fR, ` + name
		}
		if value != "" {
			name += ` \fI` + escape(value) + `\fR`
		}
		if hasDefault(f) {
			usage += " (default " + f.DefValue + ")"
		}
		r.line(".TP\n%s\n%s", name, escape(usage))
	})
}

// hasDefault reports whether a flag's default says something.
func hasDefault(f *pflag.Flag) bool {
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return false
	}
	return true
}

var escaper = strings.NewReplacer(`\`, `\e`, `-`, `\-`, "`", `\(ga`, `'`, `\(aq`, `^`, `\(ha`, `~`, `\(ti`)

// escape makes a line plain text: no character of it is a command or changes when it is printed.
func escape(line string) string {
	line = escaper.Replace(line)
	if strings.HasPrefix(line, ".") {
		line = `\&` + line
	}
	return line
}

func quoted(s string) string { return `"` + escape(s) + `"` }
