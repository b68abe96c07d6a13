package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/sandbox"
)

// ask sends a request to the handler itself, so that time can stand still around it. It returns
// nil where the answer was dropped.
func ask(t *testing.T, s *sandbox.Server, method, path, body string) (answer *httptest.ResponseRecorder) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("apikey", "k")
	req.Header.Set("x-api-key", "k")
	req.Host = "localhost"
	answer = httptest.NewRecorder()
	defer func() {
		switch reason := recover(); reason {
		case nil:
		case http.ErrAbortHandler:
			answer = nil
		default:
			t.Fatal(reason)
		}
	}()
	s.ServeHTTP(answer, req)
	return answer
}

func scripted(t *testing.T, script string, o sandbox.Options) *sandbox.Server {
	t.Helper()
	var err error
	if o.Faults, err = sandbox.ParseFaults(script); err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLatencyTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "latency=50ms", sandbox.Options{})
		began := time.Now()
		ask(t, s, "GET", mind, "")
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
		s = scripted(t, "latency=50ms jitter=20ms", sandbox.Options{})
		least, most := time.Hour, time.Duration(0)
		for range 200 {
			began := time.Now()
			ask(t, s, "GET", mind, "")
			least, most = min(least, time.Since(began)), max(most, time.Since(began))
		}
		if least < 30*time.Millisecond || most > 70*time.Millisecond || most-least < 20*time.Millisecond {
			t.Errorf("between %v and %v", least, most)
		}
	})
}

func TestLagEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "lag=2s", sandbox.Options{})
		ask(t, s, "POST", mind, newMind)
		listed := func() bool { return strings.Contains(ask(t, s, "GET", mind, "").Body.String(), "Coach") }
		time.Sleep(2*time.Second - 1)
		if listed() {
			t.Error("listed too early")
		}
		time.Sleep(1 * time.Nanosecond)
		if !listed() {
			t.Error("not listed when the lag is over")
		}
	})
}

func TestLateEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "late=2s op=create", sandbox.Options{})
		if answer := ask(t, s, "POST", mind, newMind); answer != nil {
			t.Errorf("answered %d", answer.Code)
		}
		time.Sleep(2*time.Second - 1)
		synctest.Wait()
		if n := len(s.Agents("", "")); n != 0 {
			t.Errorf("%d agents before their time", n)
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if n := len(s.Agents("", "")); n != 1 {
			t.Errorf("%d agents, want 1", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHangIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "hang-before=30s", sandbox.Options{})
		began := time.Now()
		if answer := ask(t, s, "POST", mind, newMind); answer != nil || time.Since(began) != 30*time.Second {
			t.Errorf("ended after %v with %v", time.Since(began), answer)
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "", sandbox.Options{Limit: sandbox.RateLimit{Requests: 2, Per: 10 * time.Second}, ListEnd: 200})
		start := time.Now()
		for i, want := range []struct {
			wait            time.Duration
			path            string
			status          int
			left, retry, at string
		}{
			{0, comet, 200, "1", "", ""},
			{time.Second / 2, comet, 200, "0", "", ""},
			{0, comet, 429, "0", "10", "10"},
			{0, cometApp, 200, "1", "", ""},
			{0, mind, 200, "", "", ""},
			{0, mind, 200, "", "", ""},
			{0, mind, 429, "", "10", ""},
			{9500 * time.Millisecond, comet, 200, "1", "", ""},
		} {
			time.Sleep(want.wait)
			got := ask(t, s, "GET", want.path, "")
			h := got.Header()
			if got.Code != want.status || h.Get("X-Rate-Limit-Remaining") != want.left ||
				h.Get("Retry-After") != want.retry {
				t.Errorf("%d: %d with %v", i, got.Code, h)
			}
			if (h.Get("X-Rate-Limit") == "2") != (want.left != "") {
				t.Errorf("%d: X-Rate-Limit %q", i, h.Get("X-Rate-Limit"))
			}
			if reset := h.Get("X-Rate-Limit-Reset"); (reset != "") != (want.at != "") || reset != "" &&
				reset != sprint(start.Add(10*time.Second).Unix()) {
				t.Errorf("%d: X-Rate-Limit-Reset %q", i, reset)
			}
		}
		if got := sprint(s.Counts().Throttled); got != "map[cometchat:1 mindset:1]" {
			t.Errorf("throttled %v", got)
		}
	})
}

func TestQuietRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(t, "", sandbox.Options{Limit: sandbox.RateLimit{Requests: 1, Per: time.Second, Quiet: true}})
		ask(t, s, "GET", comet, "")
		got := ask(t, s, "POST", comet, newComet)
		if got.Code != 429 || len(got.Header()) != 2 || len(s.Agents("", "")) != 0 {
			t.Errorf("%d with %v", got.Code, got.Header())
		}
	})
}
