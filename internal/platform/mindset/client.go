package mindset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

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
	host := app.Settings["host"]
	if host == "" {
		host = defaultHost
	}
	if !hostForm.MatchString(host) {
		return "", fmt.Errorf("host %q is not one of a.api.mindset.ai to d.api.mindset.ai: set endpoint for another server", host)
	}
	return "https://" + host, nil
}

// Client implements platform.Platform, by the version of the API that the app's section asks for. It is a
// platform.Pager as well.
func (m mindset) Client(app agent.App, base *url.URL, hc *http.Client) platform.Client {
	return &client{platform.NewCaller(hc, base), m.schema.Version(schema.APIOf(app)), app.ID}
}

type client struct {
	caller *platform.Caller
	schema *schema.Platform
	app    agent.AppID
}

var _ platform.Pager = (*client)(nil)

// Properties implements platform.Client.
func (c *client) Properties() platform.Properties {
	return platform.Properties{ReadsOne: true, AnswersUpdate: true}
}

// List implements platform.Client.
func (c *client) List(ctx context.Context) ([]platform.Remote, error) {
	return c.ListPages(ctx, func(ctx context.Context, read func(context.Context) error) error { return read(ctx) })
}

// ListPages implements platform.Pager.
func (c *client) ListPages(ctx context.Context, try func(context.Context, func(context.Context) error) error) ([]platform.Remote, error) {
	list, err := listAll(ctx, func(ctx context.Context, after string) (page []platform.Remote, err error) {
		err = try(ctx, func(ctx context.Context) (err error) {
			page, err = c.page(ctx, after)
			return err
		})
		return page, err
	})
	if err != nil {
		return nil, c.caller.Doubt(platform.Request{Method: http.MethodGet, Path: agents(c.app, c.schema.API)}, err)
	}
	return list, nil
}

// page asks for the agents created after a time, or from the first on where it is "".
func (c *client) page(ctx context.Context, after string) (page []platform.Remote, err error) {
	r := platform.Request{Method: http.MethodGet, Path: agents(c.app, c.schema.API), Limit: platform.MaxListBody}
	if after != "" {
		r.Query = url.Values{startAfter: {after}}
	}
	err = c.caller.Do(ctx, r, func(body []byte) (err error) {
		page, err = listed(c.schema, body)
		return err
	})
	return page, err
}

// Read implements platform.Client. The platform's errors are not documented: a 404 with a JSON error of any
// form is taken for its own word; an HTML page or nothing may come from anybody.
func (c *client) Read(ctx context.Context, uid string) (platform.Remote, error) {
	got, err := c.about(ctx, uid, platform.Request{Method: http.MethodGet, Path: agents(c.app, c.schema.API, uid)})
	if e, ok := errors.AsType[*platform.Error](err); ok {
		e.NoSuchAgent = e.OwnWords && e.Status == http.StatusNotFound
	}
	return got, err
}

// Create implements platform.Client.
func (c *client) Create(ctx context.Context, wanted agent.Content) (made platform.Remote, err error) {
	r := platform.Request{Method: http.MethodPost, Path: agents(c.app, c.schema.API), Body: wanted}
	err = c.caller.Do(ctx, r, func(body []byte) (err error) {
		made, err = answered(c.schema, body)
		return err
	})
	return made, err
}

// Update implements platform.Client. The platform answers the agent.
func (c *client) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	return c.about(ctx, uid, platform.Request{Method: http.MethodPatch, Path: agents(c.app, c.schema.API, uid), Body: agent.ContentOf(fields)})
}

// about sends a request whose answer is the agent called uid. An update that answers nothing is done.
func (c *client) about(ctx context.Context, uid string, r platform.Request) (platform.Remote, error) {
	got := platform.Remote{UID: uid}
	err := c.caller.Do(ctx, r, func(body []byte) (err error) {
		if len(body) == 0 && r.Method == http.MethodPatch {
			return nil
		}
		got, err = answered(c.schema, body)
		if err == nil && got.UID != uid {
			err = fmt.Errorf("the answer is about another agent: %s", got.UID)
		}
		return err
	})
	if err != nil {
		return platform.Remote{}, err
	}
	return got, nil
}

// Delete implements platform.Client.
func (c *client) Delete(ctx context.Context, uid string) error {
	return c.caller.Do(ctx, platform.Request{Method: http.MethodDelete, Path: agents(c.app, c.schema.API, uid)}, nil)
}
