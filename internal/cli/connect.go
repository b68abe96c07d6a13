package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/crash"
	"agentsync/internal/endpoint"
	"agentsync/internal/exit"
	"agentsync/internal/httpx"
	"agentsync/internal/manifest"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// connect opens a client for each of the fleet's apps that the targets leave something of. Nothing is
// sent. Every app that cannot be reached for want of a key or an address is named at once.
func (a *app) connect(fleet *manifest.Fleet, all map[string]platform.Platform, flags connectFlags, local *localSandbox) (map[agent.AppID]apply.App, error) {
	apps := make(map[agent.AppID]apply.App, len(fleet.Apps))
	var problems []string
	hint := ""
	if err := httpx.CheckProxy(a.Getenv); err != nil && local == nil {
		return nil, &exit.Failure{Code: exit.Usage, Err: err}
	}
	hide := a.runSecrets(fleet)
	for _, id := range sortedApps(fleet.Apps) {
		pace := httpx.NewPace()
		client, err := a.open(fleet.Apps[id], all[id.Platform], flags, local, pace, hide)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", id, err))
			if errors.Is(err, errNoKey) {
				hint = "API keys are read from the environment only; to try it without any:\n  agentsync apply --sandbox"
			}
			continue
		}
		s := all[id.Platform].Schema().Version(schema.APIOf(fleet.Apps[id]))
		apps[id] = apply.App{
			Client: client, Schema: s, Where: a.where(fleet.Apps[id], all[id.Platform], local),
			Rate: func() float64 { return pace.State().Rate },
		}
	}
	if problems != nil {
		return nil, exit.Usagef("%s", strings.Join(problems, "\n")).Hinted(hint)
	}
	return apps, nil
}

// where says to a person where an app is asked.
func (a *app) where(app agent.App, p platform.Platform, local *localSandbox) string {
	base, err := a.baseURL(app, p, local)
	if err != nil {
		return ""
	}
	return base.String()
}

// errNoKey ends the sentence about a variable that is not set.
var errNoKey = errors.New("which holds the API key, is not set")

func (a *app) open(app agent.App, p platform.Platform, flags connectFlags, local *localSandbox, pace *httpx.Pace, hide *secret.Finder) (platform.Client, error) {
	base, err := a.baseURL(app, p, local)
	if err != nil {
		return nil, err
	}
	hc, err := a.httpClient(app, p, flags, local, base, pace, hide)
	if err != nil {
		return nil, err
	}
	if a.references == nil {
		a.references = references{}
	}
	a.references[app.ID] = func(ctx context.Context) ([]platform.Reference, error) { return p.References(ctx, app, base, hc) }
	return p.Client(app, base, hc), nil
}

// httpClient returns what the app's requests are sent by, with its API key. Without a pace each is sent at once.
func (a *app) httpClient(
	app agent.App, p platform.Platform, flags connectFlags, local *localSandbox, base *url.URL, pace *httpx.Pace, hide *secret.Finder,
) (*http.Client, error) {
	key, _ := a.Secret(app.APIKeyEnv)
	switch {
	case local != nil:
		key = "sandbox"
	case key == "":
		return nil, fmt.Errorf("the environment variable %s, %w", app.APIKeyEnv, errNoKey)
	}
	o := httpx.Options{
		Base: base, KeyHeader: p.APIKeyHeader(), Key: secret.Literal(key),
		UserAgent: "agentsync/" + thisBuild().version, Timeout: flags.timeout, Concurrency: flags.parallelism,
		Pace: pace, Proxy: http.ProxyFromEnvironment, Retry: httpx.DefaultRetry(),
		Secrets: hide,
		Waiting: func(w httpx.Wait) { a.TellWait(app.ID, w) },
	}
	if a.Verbose {
		o.Trace = func(line string) { fmt.Fprintln(a.Err, report.Sanitize(line)) }
	}
	hc, err := httpx.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", app.APIKeyEnv, err)
	}
	return hc, nil
}

// runSecrets returns what finds the secrets of this run in what platforms answer: API keys, and the values of the
// variables that the fleet refers to. A value that a manifest also writes in clear, such as "production", is none:
// what everybody can read there need not be sealed, and agents that hold it must stay comparable.
func (a *app) runSecrets(fleet *manifest.Fleet) *secret.Finder {
	values := map[string]bool{}
	for _, app := range fleet.Apps {
		key, _ := a.Secret(app.APIKeyEnv) // as it is sent
		values[key] = true
	}
	lookup := a.Secret
	for _, d := range fleet.Agents {
		eachLeaf(map[string]any(d.Fields), func(leaf any) {
			if text, ok := leaf.(secret.Text); ok {
				for _, name := range text.Names() {
					v, _ := lookup(name) // one that is not set is not sent
					values[v] = true
				}
			}
		})
	}
	all := slices.Sorted(maps.Keys(values))
	found := secret.Whole(all...)
	inClear := map[string]bool{}
	for _, d := range fleet.Agents {
		eachLeaf(map[string]any(d.Fields), func(leaf any) {
			if text, ok := leaf.(string); ok && found.In(text) {
				inClear[text] = true
			}
		})
	}
	for text := range inClear {
		all = slices.DeleteFunc(all, func(v string) bool { return secret.Whole(v).In(text) })
	}
	return secret.Whole(all...)
}

// eachLeaf calls visit for each value at or below v that is no map and no list, in any order.
func eachLeaf(v any, visit func(leaf any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			eachLeaf(e, visit)
		}
	case []any:
		for _, e := range v {
			eachLeaf(e, visit)
		}
	default:
		visit(v)
	}
}

// baseURL returns where the app's API is: the sandbox, else the endpoint variable of the platform,
// else the section's endpoint, else what the platform documents.
func (a *app) baseURL(app agent.App, p platform.Platform, local *localSandbox) (*url.URL, error) {
	if local != nil {
		return local.baseURL(app.ID)
	}
	variable := endpointVariable(p)
	source, raw := variable, a.Getenv(variable)
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
	u, err := endpoint.Parse(raw, app.ID.App)
	if err != nil {
		return nil, fmt.Errorf("%s: the endpoint %w", source, err)
	}
	return u, nil
}

// reach connects some of the fleet's apps, and starts the sandbox where it is asked for.
func (w *workspace) reach(ctx context.Context, ids ...agent.AppID) (map[agent.AppID]apply.App, error) {
	if err := w.startSandbox(); err != nil {
		return nil, err
	}
	if err := w.allowHosts(ctx, ids...); err != nil {
		return nil, err
	}
	some := manifest.Fleet{Apps: map[agent.AppID]agent.App{}, Agents: w.fleet.Agents}
	for _, id := range ids {
		some.Apps[id] = w.fleet.Apps[id]
	}
	return w.app.connect(&some, w.platforms, w.flags.connectFlags, w.sandbox)
}

// sandboxFile is where --sandbox keeps what it made, so that a second run sees it.
const sandboxFile = ".agentsync/sandbox.jsonl"

// defaultTimeout is the time limit of one request unless --timeout says otherwise.
const defaultTimeout = httpx.DefaultTimeout

// localSandbox is the embedded sandbox, listening on loopback for as long as the command runs.
type localSandbox struct {
	server   *sandbox.Server
	http     *http.Server
	listener net.Listener
}

func (a *app) startSandbox(file string, options ...sandbox.Option) (*localSandbox, error) {
	return a.listenSandbox("127.0.0.1:0", append([]sandbox.Option{sandbox.WithFile(file)}, options...)...)
}

// startSandbox starts the embedded sandbox if the flags ask for it and it does not run yet.
func (w *workspace) startSandbox() error {
	if !w.flags.sandbox || w.sandbox != nil {
		return nil
	}
	local, err := w.app.startSandbox(sandboxFile)
	w.sandbox = local
	return err
}

// listenSandbox serves a sandbox at addr.
func (a *app) listenSandbox(addr string, options ...sandbox.Option) (*localSandbox, error) {
	server, err := sandbox.New(options...)
	if err != nil {
		return nil, exit.Usagef("open the sandbox: %w", err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the sandbox: %w", err), server.Close())
	}
	l := &localSandbox{server: server, listener: listener, http: &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second}}
	go func() {
		defer crash.Guard()
		_ = l.http.Serve(listener) // ends with http.ErrServerClosed when closed
	}()
	return l, nil
}

// url returns the sandbox's address.
func (l *localSandbox) url() string { return "http://" + l.listener.Addr().String() }

// baseURL returns the base URL of an app's API in the sandbox.
func (l *localSandbox) baseURL(id agent.AppID) (*url.URL, error) {
	base, ok := sandbox.BasePath(id.Platform)
	if !ok {
		return nil, fmt.Errorf("the sandbox does not know the platform %s", id.Platform)
	}
	return url.Parse(l.url() + strings.ReplaceAll(base, "{app}", id.App))
}

// close stops listening, waits shortly for requests that are under way, and saves.
func (l *localSandbox) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := l.http.Shutdown(ctx)
	if err != nil {
		err = l.http.Close()
	}
	return errors.Join(err, l.server.Close())
}

// sandboxLineage begins the lineage of a state that was made with --sandbox, so that its uids are
// never taken for real ones, nor real ones for the sandbox's.
const sandboxLineage = "sandbox-"

// checkSandboxState keeps the sandbox's state and real ones apart.
func (w *workspace) checkSandboxState() error {
	s := w.snap.State
	isSandbox := strings.HasPrefix(s.Lineage, sandboxLineage)
	switch {
	case s.Lineage == "" && w.flags.sandbox:
		s.Lineage = sandboxLineage + strings.ToLower(rand.Text())
	case s.Lineage != "" && w.flags.sandbox && !isSandbox:
		return exit.Usagef("%s holds agents of the real platforms, so --sandbox leaves it alone", w.file.Name()).
			Hinted("keep the sandbox's state in a file of its own:\n  agentsync apply --sandbox --state " + sandboxStateFile)
	case isSandbox && !w.flags.sandbox:
		return exit.Usagef("%s was made with --sandbox: its uids mean nothing to the real platforms", w.file.Name()).
			Hinted("go on with --sandbox, or begin anew:\n  rm " + w.flags.state)
	}
	return nil
}

// sandboxStateFile is what the hint above proposes.
const sandboxStateFile = ".agentsync/state.json"
