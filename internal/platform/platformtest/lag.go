package platformtest

import (
	"context"
	"sync"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
)

// Lag is how far the lists of an app are behind what was made in it.
type Lag struct {
	// Lists is how many lists leave a new agent out before it is shown.
	Lists int
	// For is how long after its CreatedAt a new agent is left out.
	For time.Duration
}

// lagging hides new agents from lists. Changes and deletes show at once.
type lagging struct {
	platform.Client
	lag Lag

	mu   sync.Mutex
	seen map[string]int // how many lists have left out the agent
}

// WithLag returns client with lists that lag. Agents that are there already count as new.
func WithLag(client platform.Client, lag Lag) platform.Client {
	return &lagging{Client: client, lag: lag, seen: map[string]int{}}
}

// List implements platform.Client.
func (l *lagging) List(ctx context.Context) ([]platform.Remote, error) {
	all, err := l.Client.List(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var shown []platform.Remote
	for _, r := range all {
		if l.seen[r.UID] < l.lag.Lists || time.Since(r.CreatedAt) < l.lag.For {
			l.seen[r.UID]++
			continue
		}
		shown = append(shown, r)
	}
	return shown, nil
}

// rewriting changes what is answered.
type rewriting struct {
	platform.Client
	rewrite func(agent.Fields) agent.Fields
}

// WithRewrite returns client with every answered agent's fields passed through rewrite, as a platform
// does that masks, reorders or adds to what it is sent.
func WithRewrite(client platform.Client, rewrite func(agent.Fields) agent.Fields) platform.Client {
	return &rewriting{Client: client, rewrite: rewrite}
}

// List implements platform.Client.
func (w *rewriting) List(ctx context.Context) ([]platform.Remote, error) {
	list, err := w.Client.List(ctx)
	for i := range list {
		list[i] = w.change(list[i])
	}
	return list, err
}

// Read implements platform.Client.
func (w *rewriting) Read(ctx context.Context, uid string) (platform.Remote, error) {
	r, err := w.Client.Read(ctx, uid)
	return w.change(r), err
}

// Create implements platform.Client.
func (w *rewriting) Create(ctx context.Context, wanted agent.Content) (platform.Remote, error) {
	r, err := w.Client.Create(ctx, wanted)
	return w.change(r), err
}

// Update implements platform.Client.
func (w *rewriting) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	r, err := w.Client.Update(ctx, uid, fields)
	return w.change(r), err
}

func (w *rewriting) change(r platform.Remote) platform.Remote {
	if !r.Content.IsZero() {
		r.Content = agent.ContentOf(w.rewrite(r.Content.Fields().Clone()))
	}
	return r
}
