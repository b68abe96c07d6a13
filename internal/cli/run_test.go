package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/ui"

	"github.com/spf13/cobra"
)

// TestPanic: a panic in a command is exit code 1 and one JSON document, with what to report on stderr.
func TestPanic(t *testing.T) {
	var out, errs bytes.Buffer
	a := &app{UI: ui.New(nil, nil, &out, &errs), args: []string{"boom", "--format=json"}}
	root := a.rootCommand()
	boom := &cobra.Command{Use: "boom", RunE: func(*cobra.Command, []string) error {
		var list []string
		_ = list[len(a.args)]
		return nil
	}}
	flags.Format(boom, flags.Text, flags.JSON)
	root.AddCommand(boom)
	root.SetArgs(a.args)
	cmd, err := a.execute(t.Context(), root)
	if code := a.finish(t.Context(), cmd, err); code != exit.Failed {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(errs.String(), "agentsync: error: this is a bug of agentsync") ||
		!strings.Contains(errs.String(),
			"run_test.go") {
		t.Errorf("stderr says %q", &errs)
	}
	if !strings.HasPrefix(out.String(), "{") || !strings.Contains(out.String(), "this is a bug of agentsync") {
		t.Errorf("stdout is %q", &out)
	}
}

// TestOutlet: a reader that went away is no failure; a disk that is full is one.
func TestOutlet(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{syscall.EPIPE, exit.OK}, {io.ErrClosedPipe, exit.OK}, {syscall.ENOSPC, exit.Failed},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			var errs bytes.Buffer
			streams := Streams{In: strings.NewReader(""), Out: brokenWriter{c.err}, Err: &errs}
			if code := Run(t.Context(), nil, streams, []string{"version"}); code != c.code {
				t.Errorf("exit code %d, want %d; stderr %q", code, c.code, &errs)
			}
			if told := strings.Contains(errs.String(), "could not be written"); told != (c.code != exit.OK) {
				t.Errorf("stderr says %q", &errs)
			}
		})
	}
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, errors.Join(b.err) }
