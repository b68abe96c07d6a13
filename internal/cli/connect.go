package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/httpx"
	"agentsync/internal/manifest"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/secret"
)

// connectFlags steer how requests are sent.
type connectFlags struct {
	sandbox     bool
	parallelism int
	timeout     time.Duration
}

// connect opens a client for each of the fleet's apps that the targets leave something of. Nothing is
// sent. Every app that cannot be reached for want of a key or an address is named at once.
func (a *app) connect(fleet *manifest.Fleet, all map[string]platform.Platform, flags connectFlags, local *localSandbox) (map[agent.AppID]apply.App, error) {
	apps := make(map[agent.AppID]apply.App, len(fleet.Apps))
	var problems []string
	hint := ""
	ids := make([]agent.AppID, 0, len(fleet.Apps))
	for id := range fleet.Apps {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, agent.AppID.Compare)
	for _, id := range ids {
		pace := httpx.NewPace()
		client, err := a.open(fleet.Apps[id], all[id.Platform], flags, local, pace)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", id, err))
			if errors.Is(err, errNoKey) {
				hint = "API keys are read from the environment only; to try it without any:\n  agentsync apply --sandbox"
			}
			continue
		}
		apps[id] = apply.App{Client: client, Schema: all[id.Platform].Schema(), Rate: func() float64 { return pace.State().Rate }}
	}
	if problems != nil {
		return nil, &Failure{Code: ExitUsage, Err: errors.New(strings.Join(problems, "\n")), Hint: hint}
	}
	return apps, nil
}

// errNoKey ends the sentence about a variable that is not set.
var errNoKey = errors.New("which holds the API key, is not set")

func (a *app) open(app agent.App, p platform.Platform, flags connectFlags, local *localSandbox, pace *httpx.Pace) (platform.Client, error) {
	base, err := a.baseURL(app, p, local)
	if err != nil {
		return nil, err
	}
	key := a.env[app.APIKeyEnv]
	switch {
	case local != nil:
		key = "sandbox"
	case key == "":
		return nil, fmt.Errorf("the environment variable %s, %w", app.APIKeyEnv, errNoKey)
	}
	o := httpx.Options{
		Base: base, KeyHeader: p.APIKeyHeader(), Key: secret.Literal(key),
		UserAgent: "agentsync/" + Version, Timeout: flags.timeout, Concurrency: flags.parallelism,
		Pace: pace, Proxy: http.ProxyFromEnvironment,
	}
	if a.common.verbose {
		o.Trace = func(line string) { fmt.Fprintln(a.streams.Err, report.Sanitize(line)) }
	}
	hc, err := httpx.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", app.APIKeyEnv, err)
	}
	return platform.RetryReads(p.Client(app, base, hc), platform.DefaultRetryPolicy()), nil
}

// baseURL returns where the app's API is: the sandbox, else the endpoint variable of the platform,
// else the section's endpoint, else what the platform documents.
func (a *app) baseURL(app agent.App, p platform.Platform, local *localSandbox) (*url.URL, error) {
	if local != nil {
		return local.baseURL(app.ID)
	}
	variable := envName(p.Name() + "-endpoint")
	source, raw := variable, a.env[variable]
	if raw == "" {
		source, raw = app.Source.String(), app.Endpoint
	}
	if raw == "" {
		documented, err := p.BaseURL(app)
		if err != nil {
			return nil, err
		}
		return url.Parse(documented)
	}
	u, err := parseEndpoint(strings.ReplaceAll(raw, "{app}", app.ID.App))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return u, nil
}

// parseEndpoint reads a base URL. Plain http is only for loopback, since the API key goes there.
func parseEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the endpoint is not an https URL")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the endpoint may hold no user, query or fragment")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("the endpoint %s://%s is plain http, and the API key would go there readable for all; use https", u.Scheme, u.Host)
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
