// Package cli parses arguments, wires the rooms together, and maps what they answer to exit codes,
// messages and hints. It decides nothing about agents. It promises that the result goes to stdout and
// everything else to stderr, that --format json leaves exactly one document on stdout whatever
// happens, and that an argument it does not know is an error.
package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"agentsync/internal/report"
	"agentsync/internal/secret"
)

// Version is the version of the tool, set when it is built (-ldflags -X); "dev" otherwise.
var Version = "dev"

// Streams are what a process reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// app is one run of the tool: what main handed over, and what every command shares.
type app struct {
	env     map[string]string
	args    []string
	streams Streams
	common  commonFlags
	// answered reports that the command has written its one document to stdout.
	answered bool
}

// commonFlags are the flags that every command has.
type commonFlags struct {
	noColor, quiet, verbose bool
}

// Run runs the command that args name and returns the process's exit code. environ is in the form of
// os.Environ. After ctx is done it starts nothing new and returns soon.
func Run(ctx context.Context, environ []string, streams Streams, args []string) int {
	a := &app{env: map[string]string{}, args: args, streams: streams}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			a.env[name] = value
		}
	}
	root := a.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(ctx, cmd, err)
}

// lookup is the environment as the rooms read it.
func (a *app) lookup() secret.Lookup {
	return func(name string) (string, bool) {
		v, ok := a.env[name]
		return v, ok
	}
}

// secrets is the environment as secrets are read from it: CI systems set a secret that a run may not
// have, in a pull request from a fork say, to an empty text, and that is as good as not set.
func (a *app) secrets() secret.Lookup {
	return func(name string) (string, bool) {
		v := a.env[name]
		return v, v != ""
	}
}

// style decides how text for w looks.
func (a *app) style(w io.Writer) report.Style {
	width, tty := terminal(w)
	return report.Style{
		Color:   a.color(tty),
		Width:   width,
		Verbose: a.common.verbose,
		Quiet:   a.common.quiet,
	}
}

// color follows no-color.org and the CLICOLOR convention; a flag beats both.
func (a *app) color(tty bool) bool {
	switch force := a.env["CLICOLOR_FORCE"]; {
	case a.common.noColor, a.env["NO_COLOR"] != "":
		return false
	case force != "" && force != "0":
		return true
	default:
		return tty && a.env["TERM"] != "dumb" && a.env["CLICOLOR"] != "0"
	}
}

// terminal returns w's width in columns, and whether it is a terminal at all.
func terminal(w any) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}
