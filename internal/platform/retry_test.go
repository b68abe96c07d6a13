package platform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/httpx"
)

// turns answers one request after the other with a status, 0 for none at all, and the last of them for ever.
type turns struct {
	statuses []int
	after    int // seconds, of a Retry-After
	asked    int
}

func (s *turns) RoundTrip(r *http.Request) (*http.Response, error) {
	status := s.statuses[min(s.asked, len(s.statuses)-1)]
	s.asked++
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	h := http.Header{}
	if status == http.StatusTooManyRequests && s.after > 0 {
		h.Set("Retry-After", strconv.Itoa(s.after))
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func (s *turns) caller(retry httpx.Retry) *Caller {
	c := NewCaller(&http.Client{Transport: s}, &url.URL{Scheme: "https", Host: "platform.test"})
	c.retry = retry
	return c
}

func TestReadsAreTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int
		after    int
		asked    int
		class    Class
		wait     time.Duration // at least
	}{
		"at once":               {[]int{200}, 0, 1, Done, 0},
		"third time":            {[]int{500, 0, 200}, 0, 3, Done, time.Second / 2},
		"never":                 {[]int{500}, 0, 4, Unknown, time.Second / 2},
		"no answer":             {[]int{0}, 0, 4, Unknown, time.Second / 2},
		"refused":               {[]int{403}, 0, 1, Refused, 0},
		"asked to":              {[]int{429, 200}, 60, 2, Done, time.Minute},
		"asked to, not counted": {[]int{429, 429, 429, 429, 429, 500, 500, 500, 200}, 60, 9, Done, 5 * time.Minute},
		"asked to for too long": {[]int{429}, 901, 1, Refused, 0},
		"asked to for ever":     {[]int{429}, 300, 4, Throttled, 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &turns{statuses: c.statuses, after: c.after}
				start := time.Now()
				err := s.caller(httpx.DefaultRetry()).Do(t.Context(), Request{Method: http.MethodGet}, nil)
				took := time.Since(start)
				if ClassOf(err) != c.class || s.asked != c.asked || took < c.wait || took > c.wait+30*time.Second {
					t.Errorf("%v after %d requests and %v", err, s.asked, took)
				}
				if tooLong := c.after > 900; errors.Is(err, httpx.ErrWaitTooLong) != tooLong {
					t.Error(err)
				}
			})
		})
	}
}

// A request that never left is worth another try, if it is a read.
func TestReadsThatNeverLeftAreTriedAgain(t *testing.T) {
	c := NewCaller(&http.Client{}, &url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	c.retry = httpx.Retry{Tries: 3, First: time.Microsecond, Max: time.Microsecond}
	left := 0
	c.transport = roundTrips(func(r *http.Request) (*http.Response,
		error) {
		left++
		return http.DefaultTransport.RoundTrip(r)
	})
	for method, want := range map[string]int{http.MethodGet: 3, http.MethodPost: 1} {
		t.Run(method, func(t *testing.T) {
			left = 0
			var e *Error
			if err := c.Do(t.Context(), Request{Method: method}, nil); !errors.As(err, &e) || !e.NeverSent ||
				left != want {
				t.Errorf("%v after %d tries", err, left)
			}
		})
	}
}

type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWritesAreNeverTriedAgain(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodDelete} {
		for _, status := range []int{0, 429, 500, 409} {
			s := &turns{statuses: []int{status}}
			if err := s.caller(httpx.DefaultRetry()).Do(t.Context(), Request{Method: method}, nil); err == nil ||
				s.asked != 1 {
				t.Errorf("%s answered %d: %v after %d requests", method, status, err, s.asked)
			}
		}
	}
}

func TestReadsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &turns{statuses: []int{429}, after: 600}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.caller(httpx.DefaultRetry()).Do(ctx, Request{Method: http.MethodGet}, nil)
		if ClassOf(err) != Throttled || s.asked != 1 {
			t.Errorf("%v after %d requests", err, s.asked)
		}
	})
}

func TestClasses(t *testing.T) {
	want := map[int]Class{
		199: Unknown, 200: Done, 201: Done, 204: Done, 299: Done, 300: Unknown, 399: Unknown, 301: Unknown,
		307: Unknown, 408: Unknown, 409: Unknown, 425: Unknown,
		429: Throttled, 499: Unknown, 500: Unknown, 502: Unknown, 503: Unknown, 504: Unknown, 100: Unknown,
		600: Unknown,
	}
	for status := 400; status < 500; status++ {
		if _, known := want[status]; !known {
			want[status] = Refused
		}
	}
	for status, class := range want {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			if got := classify(status, http.Header{}); got != class {
				t.Errorf("%d is %v, want %v", status, got, class)
			}
		})
	}
	if got := classify(503, http.Header{"Retry-After": {"1"}}); got != Throttled {
		t.Errorf("503 with Retry-After is %v", got)
	}
}
