package cometchat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

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
	return cometchat{s}, nil
}

type cometchat struct{ schema *schema.Platform }

// Name implements platform.Platform.
func (cometchat) Name() string { return name }

// Schema implements platform.Platform.
func (c cometchat) Schema() *schema.Platform { return c.schema }

// APIKeyHeader implements platform.Platform.
func (cometchat) APIKeyHeader() string { return keyHeader }

// appForm and regions are what may become part of a host name, to which the API key then goes.
var (
	appForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	regions = []string{"us", "eu", "in"}
)

// BaseURL implements platform.Platform: https://{appId}.api-{region}.cometchat.io/v3.
func (cometchat) BaseURL(app agent.App) (string, error) {
	if !appForm.MatchString(app.ID.App) {
		return "", fmt.Errorf("appId %q cannot be part of a host name: copy it from the CometChat dashboard",
			app.ID.App)
	}
	region := app.Settings["region"]
	if !slices.Contains(regions, region) {
		return "", fmt.Errorf("region %q is not one of us, eu, in", region)
	}
	return fmt.Sprintf("https://%s.api-%s.cometchat.io/v3", app.ID.App, region), nil
}

// References implements platform.Platform: one list holds the app's tools and its actions.
func (c cometchat) References(ctx context.Context, _ agent.App, base *url.URL,
	hc *http.Client) ([]platform.Reference, error) {
	var known []platform.Reference
	r := newRequest(http.MethodGet, toolsPath())
	r.Limit = platform.MaxListBody
	caller := platform.NewCaller(hc, base)
	err := askPlatform(ctx, caller, r, func(a platform.Answer) (err error) {
		known, err = toolsIn(shapeOf(c.schema, caller), a)
		return err
	})
	return known, err
}

// Client implements platform.Platform.
func (c cometchat) Client(_ agent.App, base *url.URL, hc *http.Client) platform.Client {
	caller := platform.NewCaller(hc, base)
	return &client{caller, shapeOf(c.schema, caller)}
}

type client struct {
	caller *platform.Caller
	shape  platform.Shape
}

// Properties implements platform.Client. The reference has no read of one agent, and an update that answers
// {"success": true}.
func (c *client) Properties() platform.Properties { return platform.Properties{} }

// Read implements platform.Client: there is nothing to ask.
func (c *client) Read(_ context.Context, uid string) (platform.Remote, error) {
	return platform.Remote{}, platform.NoRead(uid)
}

// List implements platform.Client. The platform documents no paging: one answer is the whole list.
func (c *client) List(ctx context.Context) (list []platform.Remote, err error) {
	r := newRequest(http.MethodGet, agentsPath())
	r.Limit = platform.MaxListBody
	err = askPlatform(ctx, c.caller, r, func(a platform.Answer) (err error) {
		list, err = listedAgents(c.shape, a)
		return err
	})
	return list, err
}

// Create implements platform.Client.
func (c *client) Create(ctx context.Context, wanted agent.Content) (made platform.Remote, err error) {
	r := newRequest(http.MethodPost, agentsPath())
	r.Body = wanted
	err = askPlatform(ctx, c.caller, r, func(a platform.Answer) (err error) {
		made, err = c.shape.Agent(a)
		return err
	})
	return made, err
}

// Update implements platform.Client. The platform answers {"success": true} and not the agent.
func (c *client) Update(ctx context.Context, uid string, fields agent.Fields) (platform.Remote, error) {
	r := newRequest(http.MethodPatch, agentsPath(uid))
	r.Body = agent.ContentOf(fields)
	changed := platform.Remote{UID: uid}
	err := c.askAbout(ctx, r, func(a platform.Answer) error {
		err := checkDone(c.shape, a)
		if err != nil || !c.shape.HasAgent(a) {
			return err
		}
		changed, err = c.shape.Agent(a)
		if err == nil && changed.UID != uid {
			err = fmt.Errorf("the answer is about another agent: %s", changed.UID)
		}
		return err
	})
	if err != nil {
		return platform.Remote{}, err
	}
	return changed, nil
}

// Delete implements platform.Client.
func (c *client) Delete(ctx context.Context, uid string) error {
	return c.askAbout(ctx, newRequest(http.MethodDelete, agentsPath(uid)), func(a platform.Answer) error {
		return checkDone(c.shape, a)
	})
}

// askAbout sends a request about one agent. That there is none is known by the platform's code alone: its status
// is not documented, and a 404 is what a mistyped address answers too.
func (c *client) askAbout(ctx context.Context, r platform.Request, decode func(platform.Answer) error) error {
	err := askPlatform(ctx, c.caller, r, decode)
	if e, ok := errors.AsType[*platform.Error](err); ok {
		e.NoSuchAgent = e.OwnWords && e.Code == codeNoSuchAgent
	}
	return err
}

// askPlatform sends a request, and reads from the platform's code whether an error is the key's or the request's.
func askPlatform(ctx context.Context, caller *platform.Caller, r platform.Request,
	decode func(platform.Answer) error) error {
	err := caller.Do(ctx, r, decode)
	if e, ok := errors.AsType[*platform.Error](err); ok && e.OwnWords {
		switch {
		case strings.HasPrefix(e.Code, codesOfKey):
			e.Subject = platform.SubjectKey
		case strings.HasPrefix(e.Code, codesOfRequest):
			e.Subject = platform.SubjectRequest
		}
	}
	return err
}

// pinned is sent with every request. Nobody changes it.
var pinned = http.Header{http.CanonicalHeaderKey(versionHeader): {version}}

func newRequest(method string, path []string) platform.Request {
	return platform.Request{Method: method, Path: path, Header: pinned}
}
