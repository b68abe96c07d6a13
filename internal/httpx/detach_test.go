package httpx_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/httpx"
)

// handler is a RoundTripper that is a function.
type handler func(*http.Request) (*http.Response, error)

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) { return h(r) }

func TestDetachedRequestIsCutShortOnlyWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		pace := httpx.NewPace().Wrap(handler(func(r *http.Request) (*http.Response, error) {
			sent++
			time.Sleep(2 * time.Second)
			h := http.Header{"Retry-After": {"60"}}
			return &http.Response{StatusCode: http.StatusTooManyRequests, Header: h, Body: http.NoBody}, r.Context().
				Err()
		}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel) // while the first is in flight
		send := func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(httpx.Detach(ctx), http.MethodPost, "http://localhost/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := pace.RoundTrip(req)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		if err := send(ctx); err != nil {
			t.Errorf("the request in flight was cut short: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		if err := send(ctx); !httpx.NeverSent(err) || time.Since(start) != time.Second || sent != 1 {
			t.Errorf("the request that waited: %v after %s, %d sent", err, time.Since(start), sent)
		}
	})
}
