package mindset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/schema"
)

// New returns the platform. It fails only where the embedded schema is damaged.
func New() (platform.Platform, error) {
	s, err := schema.Load(name)
	if err != nil {
		return nil, err
	}
	return mindset{s}, nil
}

type mindset struct{ schema *schema.Platform }

// Name implements platform.Platform.
func (mindset) Name() string { return name }

// Schema implements platform.Platform.
func (m mindset) Schema() *schema.Platform { return m.schema }

// APIKeyHeader implements platform.Platform.
func (mindset) APIKeyHeader() string { return keyHeader }

// hostForm is what may stand as a host, to which the API key then goes.
var hostForm = regexp.MustCompile(`^[a-d]\.api\.mindset\.ai$`)

// BaseURL implements platform.Platform: https://{a|b|c|d}.api.mindset.ai.
func (mindset) BaseURL(app agent.App) (string, error) {
	host := cmp.Or(app.Settings["host"], defaultHost)
	if !hostForm.MatchString(host) {
		return "", fmt.Errorf("host %q is not one of a.api.mindset.ai to d.api.mindset.ai: set endpoint for another server", host)
	}
	return "https://" + host, nil
}

// References implements platform.Platform: the app's contexts, which v1 alone lists, page by page and as agents are.
// Their list ends with 404.
func (m mindset) References(ctx context.Context, app agent.App, base *url.URL,
	hc *http.Client) ([]platform.Reference, error) {
	caller := platform.NewCaller(hc, base)
	names := map[string]string{}
	list, err := listAll(ctx, func(ctx context.Context, after string) (page []platform.Remote, err error) {
		r := platform.Request{Method: http.MethodGet, Path: contextsPath(app.ID), Limit: platform.MaxListBody}
		r.Accept = func(a platform.Answer) bool { return a.Status == http.StatusNotFound && isEmptyContexts(a) }
		if after != "" {
			r.Query = url.Values{startAfter: {after}}
		}
		err = caller.Do(ctx, r, func(a platform.Answer) (err error) {
			page, err = contextsIn(a, names)
			return err
		})
		return page, err
	})
	var known []platform.Reference
	for _, c := range list {
		known = append(known, platform.Reference{Kind: "context", Name: c.UID, DisplayName: names[c.UID]})
	}
	return known, err
}

// Client implements platform.Platform, by the version of the API that the app's section asks for.
func (m mindset) Client(app agent.App, base *url.URL, hc *http.Client) platform.Client {
	caller := platform.NewCaller(hc, base)
	return &client{caller, shapeOf(m.schema.Version(schema.APIOf(app)), caller), app.ID}
}

type client struct {
	caller *platform.Caller
	shape  platform.Shape
	app    agent.AppID
}

// agentPath is the path of the app's agents, or of one of them.
func (c *client) agentPath(uid ...string) []string {
	return agentsPath(c.app, c.shape.Schema.API, uid...)
}

// Properties implements platform.Client.
func (c *client) Properties() platform.Properties {
	return platform.Properties{ReadsOne: true, AnswersUpdate: true}
}

// listTries is how often a list is read whose pages do not fit together, because agents came or went meanwhile.
const listTries = 3

// maxListTime bounds how long a list may be read, all its pages, waits and tries together.
const maxListTime = 30 * time.Minute

var errListTime = fmt.Errorf("the list was not read to its end within %v", maxListTime)

// List implements platform.Client. A page that goes wrong is asked for again alone, see platform.Caller.Do: the longer
// a list, the less likely it is to be read without a fault.
func (c *client) List(ctx context.Context) ([]platform.Remote, error) {
	// Each page ends within its own time limit; without this one a server that drips page after page never does.
	ctx, cancel := context.WithTimeoutCause(ctx, maxListTime, errListTime)
	defer cancel()
	for try := 1; ; try++ {
		list, err := listAll(ctx, c.askPage)
		if err == nil {
			return list, nil
		}
		if !errors.Is(err, errChanged) || try == listTries {
			return nil, c.caller.Doubt(platform.Request{Method: http.MethodGet, Path: c.agentPath()}, err)
		}
	}
}

// askPage asks for the agents created after a time, or from the first on where it is "". The end of a list may be a
// 404 with an empty list, that of an empty app too; a 404 with anything else is one.
func (c *client) askPage(ctx context.Context, after string) (page []platform.Remote, err error) {
	r := platform.Request{Method: http.MethodGet, Path: c.agentPath(), Limit: platform.MaxListBody}
	r.Accept = func(a platform.Answer) bool { return a.Status == http.StatusNotFound && isEmptyList(c.shape, a) }
	if after != "" {
		r.Query = url.Values{startAfter: {after}}
	}
	err = c.caller.Do(ctx, r, func(a platform.Answer) (err error) {
		page, err = listedAgents(c.shape, a)
		return err
	})
	return page, err
}

// Read implements platform.Client. The platform's errors are not documented: a 404 with a JSON error of any
// form is taken for its own word; an HTML page or nothing may come from anybody.
func (c *client) Read(ctx context.Context, uid string) (platform.Remote, error) {
	got, err := c.askAbout(ctx, uid, platform.Request{Method: http.MethodGet, Path: c.agentPath(uid)})
	if e, ok := errors.AsType[*platform.Error](err); ok {
		e.NoSuchAgent = e.OwnWords && e.Status == http.StatusNotFound
	}
	return got, err
}

// Create implements platform.Client.
func (c *client) Create(ctx context.Context, wanted agent.Content) (made platform.Remote, err error) {
	r := platform.Request{Method: http.MethodPost, Path: c.agentPath(), Body: wanted}
	err = c.caller.Do(ctx, r, func(a platform.Answer) (err error) {
		made, err = c.shape.Agent(a)
		return err
	})
	return made, err
}

// Update implements platform.Client. The platform answers the agent.
func (c *client) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	return c.askAbout(ctx, uid, platform.Request{Method: http.MethodPatch, Path: c.agentPath(uid),
		Body: agent.ContentOf(fields)})
}

// askAbout sends a request whose answer is the agent called uid. An update that is answered by status 204 is done.
func (c *client) askAbout(ctx context.Context, uid string, r platform.Request) (platform.Remote, error) {
	got := platform.Remote{UID: uid}
	err := c.caller.Do(ctx, r, func(a platform.Answer) (err error) {
		if a.Status == http.StatusNoContent && r.Method == http.MethodPatch {
			return nil
		}
		got, err = answeredAgent(c.shape, a, uid)
		return err
	})
	if err != nil {
		return platform.Remote{}, err
	}
	return got, nil
}

// Delete implements platform.Client.
func (c *client) Delete(ctx context.Context, uid string) error {
	r := platform.Request{Method: http.MethodDelete, Path: c.agentPath(uid)}
	return c.caller.Do(ctx, r, func(a platform.Answer) error { return checkDeleted(c.shape, a) })
}
