// Package platform is the contract that every adapter keeps: list, create, update and delete the
// agents of one app, and say of each answer which of four classes it belongs to. It promises nothing
// about retries: one call of Create, Update or Delete is at most one request.
package platform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/httpx"
	"agentsync/schema"
)

// Platform is one platform that agentsync can drive. Implementations hold no state.
type Platform interface {
	// Name is the platform's name, as manifests spell its section and addresses their first part.
	Name() string
	// Schema returns the traits of the platform's section and fields.
	Schema() *schema.Platform
	// BaseURL returns the platform's documented base URL for the app, without a trailing slash,
	// leaving app.Endpoint aside. The error says which setting is missing or wrong.
	BaseURL(app agent.App) (string, error)
	// APIKeyHeader is the request header that carries the API key.
	APIKeyHeader() string
	// References lists what the app has of what its agents refer to by name: the kinds that the schema's fields
	// name (schema.Field.RefersTo). A list that is known to be cut short is an error. All requests go through hc.
	References(ctx context.Context, app agent.App, base *url.URL, hc *http.Client) ([]Reference, error)
	// Client returns a client for the app at base. All requests go through hc, which adds the key,
	// the pace and the time limits.
	Client(app agent.App, base *url.URL, hc *http.Client) Client
}

// Reference is something of an app that its agents refer to.
type Reference struct {
	// Kind is one of the words that schema.Field.RefersTo has: tool, action, context.
	Kind string
	// Name is what stands in an agent's field, DisplayName what people call it; it may be empty.
	Name, DisplayName string
}

// Client reads and changes the agents of one app. It is safe for concurrent use. Every error is or
// wraps an *Error, so that ClassOf can tell what became of the request.
type Client interface {
	// Properties says what the platform can do. It is the same at every call.
	Properties() Properties
	// List returns every live agent of the app, ordered by creation as the platform gives it, each
	// once; soft-deleted agents count as gone. Either the whole list is returned or an error: a
	// listing that was cut short, or that repeats itself, is an error. One that may be cut short and
	// cannot be told from a whole one is an error that wraps a *DoubtfulList.
	List(ctx context.Context) ([]Remote, error)
	// Read returns one agent by its uid. The error matches ErrNotFound where the answer's status says that
	// there is none, and ErrNoSuchAgent where the platform says so in its own words. Where Properties().ReadsOne
	// is false nothing is sent and the error matches errors.ErrUnsupported.
	Read(ctx context.Context, uid string) (Remote, error)
	// Create makes one agent by exactly one POST that no layer repeats. Secrets in what is wanted are
	// literal. After an error of class Unknown the agent may or may not exist. An agent whose uid could be
	// read is no error, whatever the rest of the answer is: see Remote.Unreadable.
	Create(ctx context.Context, wanted agent.Content) (Remote, error)
	// Update changes the given top-level fields of the agent, each sent whole. The Remote is what
	// the platform answered; its Content is zero where the platform does not answer the agent. A 404 is
	// an error, see Delete.
	Update(ctx context.Context, uid string, fields agent.Fields) (Remote, error)
	// Delete removes the agent. A 404 is an error: any mistyped address answers it, and only who has a
	// list of the app to hold beside it can say that the agent is gone.
	Delete(ctx context.Context, uid string) error
}

// Properties is what a platform can do, as data.
type Properties struct {
	// ReadsOne: Read asks the platform for one agent. Where it is false the list is the only read.
	ReadsOne bool
	// AnswersUpdate: the answer to an update holds the agent. Where it is false it only says that it was done.
	AnswersUpdate bool
}

// BeforeSend returns a context for one Create, Update or Delete that calls leaving once, below the pace, as the
// last thing before the request is handed to its connection. After an error of leaving nothing is sent, and the
// call's error says NeverSent and wraps it. A request that never gets a connection calls nothing.
func BeforeSend(ctx context.Context, leaving func() error) context.Context {
	return context.WithValue(ctx, leavingKey{}, leaving)
}

// Leaving calls what BeforeSend put into ctx. It is for clients that do not send through a Caller, such as
// doubles in tests; a Caller calls it itself.
func Leaving(ctx context.Context) error {
	if leaving, ok := ctx.Value(leavingKey{}).(func() error); ok {
		return leaving()
	}
	return nil
}

type leavingKey struct{}

// Detach returns a context for a Create, Update or Delete that must not be cut short once its request
// has left: the end of ctx ends it only while it waits for the pace, and then it certainly never left.
func Detach(ctx context.Context) context.Context { return httpx.Detach(ctx) }

// Remote is an agent as the platform answers it.
type Remote struct {
	UID string
	// Content is what the platform shows of it, the mark left out; zero where that is not known.
	Content agent.Content
	// Unreadable says why the rest of an answer that holds a usable uid could not be read; Content is then
	// zero. The agent is there, and what it looks like is not known.
	Unreadable error
	// Mark is the mark that the agent carries (agent.Address.Mark), empty for none.
	Mark string
	// CreatedAt is the platform's own clock, possibly truncated to the second; zero if not given.
	CreatedAt time.Time
}

// DoubtfulList is the error of a listing whose pages agree with each other and that still may lack
// agents: nothing in the answers can tell. Who knows by other means what must be in it can decide
// whether to take Agents for the whole.
type DoubtfulList struct {
	// Agents are those that were listed.
	Agents []Remote
	// Reason says in a sentence why there may be more.
	Reason string
	// SameTime reports that there can be more only of the createdAt of one that was listed.
	SameTime bool
}

// Error returns the reason.
func (d *DoubtfulList) Error() string { return d.Reason }

// NoRead is the error of Read at a platform that answers no single agent. Nothing was sent.
func NoRead(uid string) error {
	return &Error{Class: Refused, Method: http.MethodGet, Path: uid, NeverSent: true, Err: errNoRead}
}

var errNoRead = fmt.Errorf("the platform answers no single agent: %w", errors.ErrUnsupported)
