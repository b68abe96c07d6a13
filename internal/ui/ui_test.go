package ui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
)

// A long wait is one line on stderr: on the run's progress, or where no run is shown.
func TestWaitsAreTold(t *testing.T) {
	var out bytes.Buffer
	u := New(nil, nil, io.Discard, &out)
	wait := httpx.Wait{For: 30 * time.Second, Reason: "429 Too Many Requests, Retry-After: 30"}
	tell := func() string {
		out.Reset()
		u.TellWait(agent.AppID{Platform: "mindset", App: "acme"}, wait)
		return out.String()
	}
	const want = "waiting for mindset/acme: it asks to wait 30s (429 Too Many Requests, Retry-After: 30)\n"
	if got := tell(); got != want {
		t.Errorf("outside a run: %q", got)
	}
	p := u.NewProgress()
	p.Begin(1)
	if got := tell(); got != want {
		t.Errorf("within a run: %q", got)
	}
	p.End()
	if got := tell(); got != want {
		t.Errorf("behind a run: %q", got)
	}
	u.Quiet = true
	if got := tell(); got != "" {
		t.Errorf("quiet: %q", got)
	}
}

// TestSecret: a line end is no part of a secret, which is said once; a secret that is empty is not set.
func TestSecret(t *testing.T) {
	var errs bytes.Buffer
	u := New([]string{"KEY=k=1\r\n", "EMPTY=", "ENDS=\n"}, nil, io.Discard, &errs)
	for name, want := range map[string]string{"KEY": "k=1", "EMPTY": "", "ENDS": "", "UNSET": ""} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if got, set := u.Secret(name); got != want || set != (want != "") {
					t.Errorf("%q, %v", got, set)
				}
			}
		})
	}
	if said := errs.String(); strings.Count(said, "variable KEY ends") != 1 || strings.Count(said, "\n") != 2 {
		t.Errorf("said %q", said)
	}
}

// TestAsk: nothing but yes is a yes, and the end of the input is a no.
func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, " yes \n": true, "yes": true, "y\n": false, "no\n": false,
		"": false} {
		t.Run(fmt.Sprintf("%q", answer), func(t *testing.T) {
			u := New(nil, strings.NewReader(answer), io.Discard, io.Discard)
			if err := u.Ask(t.Context(), false, "Go on"); (err == nil) != want {
				t.Errorf("%v, want yes to be %v", err, want)
			}
		})
	}
	if err := New(nil, nil, io.Discard, io.Discard).Ask(t.Context(), true, "Go on"); err != nil {
		t.Errorf("approved before: %v", err)
	}
}

// TestColor: who has the last word on colour.
func TestColor(t *testing.T) {
	for env, want := range map[string]bool{
		"": true, "NO_COLOR=1": false, "TERM=dumb": false, "CLICOLOR=0": false, "CLICOLOR_FORCE=1": true,
		"CLICOLOR_FORCE=1 NO_COLOR=1": false,
	} {
		t.Run(env, func(t *testing.T) {
			if got := New(strings.Fields(env), nil, nil, nil).allowsColor(true); got != want {
				t.Errorf("%s on a terminal: %v", env, got)
			}
		})
	}
	u := New([]string{"CLICOLOR_FORCE=1"}, nil, nil, nil)
	if !u.allowsColor(false) || New(nil, nil, nil, nil).allowsColor(false) {
		t.Error("a pipe is coloured where that is forced, and only there")
	}
	u.NoColor = true
	if u.allowsColor(true) {
		t.Error("--no-color does not count")
	}
}

// TestLost: a reader that went away lost nothing; a disk that is full did. The other stream goes on.
func TestLost(t *testing.T) {
	for cause, want := range map[error]bool{syscall.EPIPE: false, io.ErrClosedPipe: false, syscall.ENOSPC: true} {
		t.Run(fmt.Sprint(cause), func(t *testing.T) {
			var errs bytes.Buffer
			u := New(nil, nil, brokenWriter{cause}, &errs)
			if _, err := io.WriteString(u.Result(), "{}"); err != nil {
				t.Errorf("%v: a write fails with %v", cause, err)
			}
			u.Printf("on")
			if lost := u.Lost(); (lost != nil) != want || errs.String() != "on\n" {
				t.Errorf("%v: lost %v, stderr %q", cause, lost, &errs)
			}
		})
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }
