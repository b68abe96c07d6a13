package platform

import (
	"context"
	"io"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// A request certainly never left where it got no connection, or its header was not written to the end and nobody called
// it off.
func TestNeverSent(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	broken := io.ErrUnexpectedEOF
	for name, tt := range map[string]struct {
		ctx                   context.Context
		tried, gotConn, wrote bool
		err                   error
		want                  bool
	}{
		"a transport that says nothing": {t.Context(), false, false, false, broken, false},
		"no connection":                 {t.Context(), true, false, false, broken, true},
		"no connection, called off":     {gone, true, false, false, broken, true},
		"no connection, in time": {t.Context(), true, false, false, context.DeadlineExceeded,
			true},
		"a header that broke off":             {t.Context(), true, true, false, broken, true},
		"a header that broke off, called off": {gone, true, true, false, broken, false},
		"a header that broke off, cancelled":  {t.Context(), true, true, false, context.Canceled, false},
		"a header that broke off at its time limit": {t.Context(), true, true, false, context.DeadlineExceeded,
			false},
		"a header that was written":                    {t.Context(), true, true, true, broken, false},
		"a header that was written, and no connection": {t.Context(), true, false, true, broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &departure{tried: tt.tried, gotConn: tt.gotConn, wrote: tt.wrote}
			if got := w.neverSent(tt.ctx, tt.err); got != tt.want {
				t.Error(got)
			}
		})
	}
}

// Of several secrets without a value the first is named.
func TestTheFirstSecretWithoutAValueIsNamed(t *testing.T) {
	for name, value := range map[string]any{"a template": secret.Template("${secret:A}"),
		"a sealed one": secret.Sealed{}} {
		t.Run(name, func(t *testing.T) {
			_, err := EncodeBody(agent.Fields{"a": value, "b": secret.Template("${secret:B}"), "c": secret.Sealed{}})
			if err == nil || !strings.Contains(err.Error(), "encode agent: /a: ") {
				t.Error(err)
			}
		})
	}
}
