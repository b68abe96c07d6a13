package cli

// How agentsync talks to people:
//
//   - The result goes to stdout; progress, questions and problems go to stderr.
//   - An error is one sentence, "agentsync: error: what, where"; then "agentsync: hint: what to do". A command to
//     type is on a line of its own, indented.
//   - Each failure is told once.
//   - Colour is for terminals, and never the only carrier of a meaning.
//   - What a platform or a manifest says is data: report.Sanitize stands between it and every stream.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/httpx"
	"agentsync/internal/report"
)

// style decides how text for w looks.
func (a *app) style(w io.Writer) report.Style {
	width, tty := terminal(w)
	s := report.Style{Color: a.color(tty), Width: width, Verbose: a.common.verbose, Quiet: a.common.quiet}
	if tty && a.env["CI"] == "" && a.sources != nil {
		s.Source = a.sources.Line
	}
	if tty {
		s.Columns = func() int {
			now, _ := terminal(w)
			return now
		}
	}
	return s
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

// outlet is a stream that outlives its reader. A write that fails is dropped, and so is everything after it.
type outlet struct {
	w io.Writer

	mu  sync.Mutex // guards err
	err error
}

// Write never fails.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
	return len(p), nil
}

// failure returns why something was not written. A reader that went away is no reason: it had enough.
func (o *outlet) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if errors.Is(o.err, syscall.EPIPE) || errors.Is(o.err, io.ErrClosedPipe) {
		return nil
	}
	return o.err
}

// terminal returns w's width in columns, and whether it is a terminal at all.
func terminal(w any) (width int, ok bool) {
	if o, ok := w.(*outlet); ok {
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

// display shows a run while it goes on, in stretches: a live line and whatever else is written to a
// terminal must not be on it at the same time.
type display struct {
	app *app

	mu  sync.Mutex // guards now
	now report.Progress
}

// begin starts a stretch in which total agents will be finished.
func (d *display) begin(total int) {
	d.end()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = report.NewProgress(d.app.streams.Err, d.app.style(d.app.streams.Err), total)
	d.app.progress.Store(d)
}

// end ends a stretch; without one it does nothing.
func (d *display) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now != nil {
		d.now.Close()
		d.now = nil
	}
}

// interrupted says that the first signal was taken, and what a second one does.
func (d *display) interrupted() {
	defer crash.Guard()
	if width, _ := terminal(d.app.streams.Err); width > 0 {
		d.end() // the line that follows would tear the live one
	}
	_, _ = fmt.Fprintln(d.app.streams.Err, "agentsync: interrupted: finishing what is in flight; a second interrupt ends at once, and the next apply settles what is open")
}

// event passes an engine's event on; outside a stretch it is dropped.
func (d *display) event(e apply.Event) { d.shown(e) }

// shown is event that reports whether the event was passed on.
func (d *display) shown(e apply.Event) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now == nil {
		return false
	}
	d.now.Event(e)
	return true
}

// tellWait says that an app asks to wait: on the run's progress, or in a line of its own where none is shown.
func (a *app) tellWait(id agent.AppID, w httpx.Wait) {
	e := apply.Event{Kind: apply.EventThrottled, App: id,
		Message: fmt.Sprintf("it asks to wait %v (%s)", w.For.Round(100*time.Millisecond), w.Reason)}
	if d := a.progress.Load(); d != nil && d.shown(e) || a.common.quiet {
		return
	}
	_, _ = fmt.Fprintf(a.streams.Err, "waiting for %s: %s\n", id, report.Sanitize(e.Message))
}

// needTerminal refuses to begin what nobody could say yes to: it is not approved, and there is no terminal to ask on.
func (a *app) needTerminal(approved bool, why, hint string) error {
	if _, tty := terminal(a.streams.In); approved || tty {
		return nil
	}
	return exit.Usagef("%s", why+"no terminal to ask on").Hinted(hint)
}

// ask asks a question that only a yes answers in favour, unless it was approved before.
func (a *app) ask(ctx context.Context, approved bool, question string) error {
	if approved {
		return nil
	}
	fmt.Fprintf(a.streams.Err, "\n%s? Type yes to go on: ", question)
	answer := make(chan string, 1)
	go func() {
		defer crash.Guard()
		line, _ := bufio.NewReader(a.streams.In).ReadString('\n') // no answer is a no
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

// reportProblems shows problems on stderr; errors among them end the command, everything said.
func (a *app) reportProblems(problems diag.List) error {
	if len(problems) == 0 {
		return nil
	}
	_ = report.DiagText(a.streams.Err, problems, a.style(a.streams.Err)) // stderr is gone: nowhere to say so
	if problems.HasErrors() {
		f := exit.Usagef("the manifests have errors; nothing was sent")
		f.Problems = problems
		return f
	}
	return nil
}

// count writes "1 agent", "2 agents".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// fieldName writes a JSON pointer with dots.
func fieldName(pointer string) string {
	return strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
}
