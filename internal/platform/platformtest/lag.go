package platformtest

import (
	"cmp"
	"context"
	"slices"
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
	// Changes is for how long an agent is shown as it was before an update or a delete, if a list has shown it.
	Changes time.Duration
}

// laggingClient hides new agents from lists, and what was changed.
type laggingClient struct {
	platform.Client
	lag Lag

	mu     sync.Mutex                 // guards what follows
	seen   map[string]int             // how many lists have left out the agent
	shown  map[string]platform.Remote // as the last list showed it
	before map[string]pastAgent
}

// pastAgent is an agent as it was before a change, and until when lists show that.
type pastAgent struct {
	agent platform.Remote
	until time.Time
}

// WithLag returns client with lists that lag. Agents that are there already count as new.
func WithLag(client platform.Client, lag Lag) platform.Client {
	return &laggingClient{Client: client, lag: lag, seen: map[string]int{}, shown: map[string]platform.Remote{},
		before: map[string]pastAgent{}}
}

// Update implements platform.Client.
func (l *laggingClient) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	r, err := l.Client.Update(ctx, uid, fields)
	l.noteChange(uid, err)
	return r, err
}

// Delete implements platform.Client.
func (l *laggingClient) Delete(ctx context.Context, uid string) error {
	err := l.Client.Delete(ctx, uid)
	l.noteChange(uid, err)
	return err
}

// noteChange notes what lists are to show for a while after a change that was carried out.
func (l *laggingClient) noteChange(uid string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, known := l.shown[uid]; known && err == nil {
		l.before[uid] = pastAgent{r, time.Now().Add(l.lag.Changes)}
	}
}

// List implements platform.Client.
func (l *laggingClient) List(ctx context.Context) ([]platform.Remote, error) {
	all, err := l.Client.List(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var shown []platform.Remote
	old := map[string]platform.Remote{}
	for uid, p := range l.before {
		if time.Now().Before(p.until) {
			old[uid] = p.agent
		}
	}
	there := func(uid string) bool {
		return slices.ContainsFunc(all, func(r platform.Remote) bool { return r.UID == uid })
	}
	for uid, r := range old {
		if !there(uid) { // it was deleted
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b platform.Remote) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.UID, b.UID))
	})
	for _, r := range all {
		if l.seen[r.UID] < l.lag.Lists || time.Since(r.CreatedAt) < l.lag.For {
			l.seen[r.UID]++
			continue
		}
		if was, changed := old[r.UID]; changed {
			r = was
		}
		l.shown[r.UID] = r
		shown = append(shown, r)
	}
	return shown, nil
}

// rewritingClient changes what is answered.
type rewritingClient struct {
	platform.Client
	rewrite func(agent.Fields) agent.Fields
}

// WithRewrite returns client with every answered agent's fields passed through rewrite, as a platform
// does that masks, reorders or adds to what it is sent.
func WithRewrite(client platform.Client, rewrite func(agent.Fields) agent.Fields) platform.Client {
	return &rewritingClient{Client: client, rewrite: rewrite}
}

// List implements platform.Client.
func (w *rewritingClient) List(ctx context.Context) ([]platform.Remote, error) {
	list, err := w.Client.List(ctx)
	for i := range list {
		list[i] = w.rewritten(list[i])
	}
	return list, err
}

// Read implements platform.Client.
func (w *rewritingClient) Read(ctx context.Context, uid string) (platform.Remote, error) {
	r, err := w.Client.Read(ctx, uid)
	return w.rewritten(r), err
}

// Create implements platform.Client.
func (w *rewritingClient) Create(ctx context.Context, wanted agent.Content) (platform.Remote, error) {
	r, err := w.Client.Create(ctx, wanted)
	return w.rewritten(r), err
}

// Update implements platform.Client.
func (w *rewritingClient) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	r, err := w.Client.Update(ctx, uid, fields)
	return w.rewritten(r), err
}

func (w *rewritingClient) rewritten(r platform.Remote) platform.Remote {
	if !r.Content.IsZero() {
		r.Content = agent.ContentOf(w.rewrite(r.Content.Fields().Clone()))
	}
	return r
}
