package apply_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// chaos is a client that goes wrong by chance in every way that the guarantee covers. The same seed
// goes wrong alike where calls come in the same order.
type chaos struct {
	platform.Client
	rate float64           // of calls that go wrong
	lag  time.Duration     // of lists, below the grace period
	hit  func(n int)       // is told of each create that arrives, counted from 1
	late func(func())      // carries a write out later
	dies func() bool       // whether the process is about to end: what is in flight then may take effect after it
	note func(what string) // is told of each fault

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	known   map[string]bool // uids that a cut list may lack: without one missing, nobody could tell
	creates int
}

// roll draws what becomes of a call: a fault's name or "".
func (c *chaos) roll(faults ...string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rng.Float64() >= c.rate {
		return ""
	}
	what := faults[c.rng.IntN(len(faults))]
	if c.note != nil {
		c.note(what)
	}
	return what
}

func (c *chaos) pause() {
	c.mu.Lock()
	d := time.Duration(c.rng.IntN(2000)) * time.Millisecond
	c.mu.Unlock()
	time.Sleep(d)
}

// failed is the error of a fault that happens now. Like a real one it says when the request left: it may have
// waited for its turn since its intent, and what takes effect late does so from then on.
func failed(what, method string) error {
	e := &platform.Error{Class: platform.Unknown, Method: method, Path: "/agents", SentAt: time.Now()}
	switch what {
	case "refused":
		e.Class, e.Status = platform.Refused, http.StatusBadRequest
	case "throttled":
		e.Class, e.Status, e.RetryAfter = platform.Throttled, http.StatusTooManyRequests, 2*time.Second
	case "never sent":
		e.Class, e.NeverSent = platform.Refused, true
	}
	return e
}

func (c *chaos) Create(ctx context.Context, f agent.Content) (platform.Remote, error) {
	c.pause()
	c.mu.Lock()
	c.creates++
	n := c.creates
	c.mu.Unlock()
	if c.hit != nil {
		c.hit(n)
	}
	what := c.roll("lost before", "lost after", "late", "refused", "throttled", "never sent")
	if what == "lost before" || what == "late" {
		if err := platform.Leaving(ctx); err != nil {
			return platform.Remote{}, failed("never sent", "POST")
		}
	}
	switch what {
	case "":
		return c.Client.Create(ctx, f)
	case "lost after":
		_, _ = c.Client.Create(ctx, f)
		return platform.Remote{}, failed(what, "POST")
	case "late":
		c.late(func() { _, _ = c.Client.Create(context.Background(), f) }) // it has left already
		return platform.Remote{}, failed(what, "POST")
	default:
		return platform.Remote{}, failed(what, "POST")
	}
}

func (c *chaos) Update(ctx context.Context, uid string, f agent.Fields) (platform.Remote, error) {
	c.pause()
	what := c.roll("lost before", "lost after", "refused", "throttled")
	if what == "lost before" {
		if err := platform.Leaving(ctx); err != nil {
			return platform.Remote{}, failed("never sent", "PATCH")
		}
		if c.dies() {
			c.late(func() { _, _ = c.Client.Update(context.Background(), uid, f) })
		}
	}
	if what == "" || what == "lost after" {
		r, err := c.Client.Update(ctx, uid, f)
		if what == "" || err != nil {
			return r, err
		}
	}
	return platform.Remote{}, failed(what, "PATCH")
}

func (c *chaos) Delete(ctx context.Context, uid string) error {
	c.pause()
	c.mu.Lock()
	delete(c.known, uid)
	c.mu.Unlock()
	what := c.roll("lost before", "lost after", "refused", "throttled")
	if what == "lost before" {
		if err := platform.Leaving(ctx); err != nil {
			return failed("never sent", "DELETE")
		}
		if c.dies() {
			c.late(func() { _ = c.Client.Delete(context.Background(), uid) })
		}
	}
	if what == "" || what == "lost after" {
		err := c.Client.Delete(ctx, uid)
		if what == "" || err != nil {
			return err
		}
	}
	return failed(what, "DELETE")
}

func (c *chaos) List(ctx context.Context) ([]platform.Remote, error) {
	c.pause()
	what := c.roll("fails", "cut")
	if what == "fails" {
		return nil, failed(what, "GET")
	}
	all, err := c.Client.List(ctx)
	var shown []platform.Remote
	for _, r := range all {
		if time.Since(r.CreatedAt) >= c.lag {
			shown = append(shown, r)
		}
	}
	if what == "cut" {
		shown = c.cut(shown)
	}
	return shown, err
}

// cut ends a list before the last agent that state knows.
func (c *chaos) cut(all []platform.Remote) []platform.Remote {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(all) - 1; i >= 0; i-- {
		if c.known[all[i].UID] {
			return all[:i]
		}
	}
	return all
}
