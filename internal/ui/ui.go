// Package ui is how one run of the tool meets its surroundings: the environment, the streams and the person at the
// terminal.
//
//   - The result goes to stdout; progress, questions and problems go to stderr.
//   - An error is one sentence, "agentsync: error: what, where"; then "agentsync: hint: what to do". A command to
//     type is on a line of its own, indented.
//   - Each failure is told once.
//   - Colour is for terminals, and never the only carrier of a meaning.
//   - What a platform or a manifest says is data: report.Sanitize stands between it and every stream.
//
// It decides nothing, and knows neither a command nor a flag but for the three that every command has.
package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
)

// UI is what a run was given. Its fields are set before it is used.
type UI struct {
	In io.Reader
	// Out and Err never fail: see New.
	Out, Err io.Writer
	// NoColor, Quiet and Verbose are the flags that every command has.
	NoColor, Quiet, Verbose bool
	// Version is this program's.
	Version string
	// Source finds the lines of what was read last, nil for nothing.
	Source diag.Source
	// Answered reports that the command has written its one document to stdout.
	Answered bool

	env      map[string]string
	lineEnds sync.Map                 // names of the variables that were warned about
	progress atomic.Pointer[Progress] // what shows a run's events right now, nil for nothing
	// waitsForLock is set while a lock is waited for, and toldHolder is when it was said last for whom.
	waitsForLock bool
	toldHolder   time.Time
}

// New returns a UI over streams and an environment in the form of os.Environ. An output that cannot be written ends
// neither the run nor the other output: what was done must be recorded, whoever still listens. Lost says whether stdout
// broke.
func New(environ []string, in io.Reader, out, errs io.Writer) *UI {
	u := &UI{In: in, Out: &outputStream{w: out}, Err: &outputStream{w: errs}, env: map[string]string{}}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			u.env[name] = value
		}
	}
	return u
}

// Getenv returns the value of a variable, empty where it is not set.
func (u *UI) Getenv(name string) string { return u.env[name] }

// Lookup is the environment as the rooms read it.
func (u *UI) Lookup(name string) (string, bool) {
	v, ok := u.env[name]
	return v, ok
}

// Secret is the environment as secrets are read from it: CI systems set a secret that a run may not have, in a pull
// request from a fork say, to an empty text, and that is as good as not set. The line end that echo and heredocs put
// behind what they write into a secret store is left out, which is said once for each variable: no header and no API
// key can hold one. It is safe for concurrent use.
func (u *UI) Secret(name string) (string, bool) {
	value := u.env[name]
	trimmed := strings.TrimRight(value, "\r\n")
	if trimmed != value {
		if _, told := u.lineEnds.LoadOrStore(name, true); !told {
			u.Printf("agentsync: warning: the value of the environment variable %s ends in a line end, which is left out", name)
		}
	}
	return trimmed, trimmed != ""
}

// Variable returns the name of the variable that sets a flag: AGENTSYNC_STATE is --state.
func Variable(flag string) string {
	return "AGENTSYNC_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Style decides how text for w, which is Out or Err, looks.
func (u *UI) Style(w io.Writer) report.Style {
	width, tty := terminalWidth(w)
	s := report.Style{Color: u.allowsColor(tty), Width: width, Verbose: u.Verbose, Quiet: u.Quiet}
	if tty && u.env["CI"] == "" {
		s.Source = u.Source
	}
	if tty {
		s.Columns = func() int {
			now, _ := terminalWidth(w)
			return now
		}
	}
	return s
}

// allowsColor follows no-color.org and the CLICOLOR convention; a flag beats both.
func (u *UI) allowsColor(tty bool) bool {
	switch force := u.env["CLICOLOR_FORCE"]; {
	case u.NoColor, u.env["NO_COLOR"] != "":
		return false
	case force != "" && force != "0":
		return true
	default:
		return tty && u.env["TERM"] != "dumb" && u.env["CLICOLOR"] != "0"
	}
}

// CanAsk reports whether there is a terminal to ask a person on.
func (u *UI) CanAsk() bool {
	_, tty := terminalWidth(u.In)
	return tty
}

// IsWatched reports whether stderr is a terminal.
func (u *UI) IsWatched() bool {
	_, tty := terminalWidth(u.Err)
	return tty
}

// Result returns where the command's one document goes. JSON of an error is written no more from then on.
func (u *UI) Result() io.Writer {
	u.Answered = true
	return u.Out
}

// JSON writes the command's one document.
func (u *UI) JSON(doc any) error { return show.JSON(u.Result(), doc) }

// Printf writes a line to stderr. What is data in it is already neutralised.
func (u *UI) Printf(format string, args ...any) { _, _ = fmt.Fprintf(u.Err, format+"\n", args...) }

// Sayf is Printf for what --quiet leaves out.
func (u *UI) Sayf(format string, args ...any) {
	if !u.Quiet {
		u.Printf(format, args...)
	}
}

// Notef is Printf for what -v asks for. It neutralises the line.
func (u *UI) Notef(format string, args ...any) {
	if u.Verbose {
		u.Printf("%s", show.Line(fmt.Sprintf(format, args...)))
	}
}

// Warn writes what stops nothing, and a hint, which may be empty.
func (u *UI) Warn(message, hint string) { report.Warning(u.Err, u.Style(u.Err), message, hint) }

// Fail writes the sentence and the hint of a failure.
func (u *UI) Fail(message, hint string) { report.Error(u.Err, u.Style(u.Err), message, hint) }

// Problems shows problems of manifests on stderr; errors among them are returned as the end of the command, everything
// said.
func (u *UI) Problems(problems diag.List) error {
	if len(problems) == 0 {
		return nil
	}
	_ = report.DiagText(u.Err, problems, u.Style(u.Err)) // it never fails; see New
	if problems.HasErrors() {
		f := exit.Usagef("the manifests have errors; nothing was sent")
		f.Problems = problems
		return f
	}
	return nil
}

// NeedTerminal refuses to begin what nobody could say yes to: it is not approved, and there is no terminal to ask on.
func (u *UI) NeedTerminal(approved bool, why, hint string) error {
	if approved || u.CanAsk() {
		return nil
	}
	return exit.Usagef("%sno terminal to ask on", why).Hinted(hint)
}

// Ask asks a question that only a yes answers in favour, unless it was approved before. After ctx is done nobody is
// waited for.
func (u *UI) Ask(ctx context.Context, approved bool, question string) error {
	if approved {
		return nil
	}
	_, _ = fmt.Fprintf(u.Err, "\n%s? Type yes to go on: ", question)
	answer := make(chan string, 1)
	go func() { // a read of a terminal cannot be stopped: it ends with the process
		defer crash.Guard()
		line, _ := bufio.NewReader(u.In).ReadString('\n') // no answer is a no
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case s := <-answer:
		if s != "yes" {
			return exit.With(exit.Failed, "not approved; nothing was changed")
		}
		return nil
	}
}

// outputStream is a stream that outlives its reader. A write that fails is dropped, and so is everything after it.
type outputStream struct {
	w io.Writer

	mu  sync.Mutex // guards err
	err error
}

// Write never fails.
func (o *outputStream) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
	return len(p), nil
}

// Lost returns why something of the result was not written. A reader that went away is no reason: it had enough.
func (u *UI) Lost() error {
	o, ok := u.Out.(*outputStream)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(o.err, syscall.EPIPE) || errors.Is(o.err, io.ErrClosedPipe) {
		return nil
	}
	return o.err
}

// terminalWidth returns w's width in columns, and whether it is a terminal at all.
func terminalWidth(w any) (width int, ok bool) {
	if o, ok := w.(*outputStream); ok {
		w = o.w
	}
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
