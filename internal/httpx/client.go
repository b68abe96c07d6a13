package httpx

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"agentsync/internal/secret"
)

// DefaultTimeout is the time limit of one request, the reading of its body included.
const DefaultTimeout = 30 * time.Second

// DefaultConcurrency is how many connections to one app there are at the most.
const DefaultConcurrency = 10

// Time limits of the parts of a request that a platform's slowness does not excuse.
const (
	dialTimeout = 10 * time.Second
	idleTimeout = 90 * time.Second
)

// Options say how requests to one app are sent. Base, KeyHeader and Key are required.
type Options struct {
	// Base is where the API key belongs: its scheme, host and port.
	Base *url.URL
	// KeyHeader and Key are the header that carries the API key and its (literal) value.
	KeyHeader string
	Key       secret.Text
	// UserAgent is sent with each request: "agentsync/1.2.3". Empty stands for "agentsync".
	UserAgent string
	// Timeout limits each request; zero stands for DefaultTimeout. Waiting for the pace is not
	// counted: the request has not left then.
	Timeout time.Duration
	// Concurrency is how many requests are in flight at once, each on a connection of its own; zero stands for
	// DefaultConcurrency. A request beyond them waits.
	Concurrency int
	// Secrets finds the secrets of this run, for traces and for whoever asks SecretsOf; nil finds none.
	Secrets *secret.Finder
	// Retry is how often reads are tried; zero stands for once. See RetryOf.
	Retry Retry
	// Pace steers the app's requests; nil sends each at once.
	Pace *Pace
	// Waiting is told of each pause of more than 3 s that the platform asks for, once; nil tells nobody. It is
	// called by several goroutines.
	Waiting func(Wait)
	// Trace takes one line per request, without line end and free of secrets; nil traces nothing.
	// It is called by several goroutines at once.
	Trace func(line string)
	// Proxy chooses a proxy as http.Transport.Proxy does; nil uses none.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS adds to how servers are verified (a company's own root certificates); nil is the system's.
	// Versions below 1.2 are refused whatever it says.
	TLS *tls.Config
}

// NewClient returns a client for the requests of one app. It follows no redirects and keeps no
// cookies. The error says what is wrong with the options, and never shows the key.
func NewClient(o Options) (*http.Client, error) {
	if o.Base == nil || o.Base.Host == "" || o.Base.Scheme != "https" && o.Base.Scheme != "http" {
		return nil, errors.New("the base URL needs https:// (or http://) and a host")
	}
	key, err := o.Key.Reveal()
	if err != nil {
		return nil, fmt.Errorf("API key: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	transport := newTransport(o)
	var rt http.RoundTripper = &authenticate{
		next: transport, base: *o.Base, origin: originOf(o.Base), header: http.CanonicalHeaderKey(o.KeyHeader),
		key: []string{key}, userAgent: []string{cmp.Or(o.UserAgent, "agentsync")},
	}
	if o.Trace != nil {
		rt = &trace{next: rt, print: o.Trace, key: secret.Parts(key), run: o.Secrets}
	}
	rt = &timeLimit{next: rt, limit: cmp.Or(o.Timeout, DefaultTimeout)}
	if o.Pace != nil {
		o.Pace.tellWaits(o.Waiting)
		rt = o.Pace.Wrap(rt)
	}
	return &http.Client{Transport: stack{rt, transport, o.Retry, o.Secrets}, CheckRedirect: noRedirect}, nil
}

// checkKey refuses what cannot stand in a header, in words that do not show it: a key with a line end
// behind it is the usual slip of a pipeline's secret store.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the API key is empty")
	case strings.TrimSpace(key) != key:
		return errors.New("the API key has white space or a line end around it")
	case strings.Contains(key, " "):
		return errors.New("the API key holds a space: give the key alone, without a word such as Bearer before it")
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return errors.New("the API key holds a character that cannot stand in a header, such as a line end, an umlaut or a curly quote")
		}
	}
	return nil
}

// stack is the outermost layer with a way to the transport's idle connections.
type stack struct {
	http.RoundTripper
	transport *http.Transport
	retry     Retry
	secrets   *secret.Finder
}

// SecretsOf returns what the Options of NewClient said of hc, and nil for any other client.
func SecretsOf(hc *http.Client) *secret.Finder {
	s, _ := hc.Transport.(stack)
	return s.secrets
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (s stack) CloseIdleConnections() { s.transport.CloseIdleConnections() }

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Retry says how often a read is tried and how long is waited in between. The zero Retry tries once. This package
// tries nothing again: who knows a request's method and the meaning of its answer does, see RetryOf.
type Retry struct {
	// Tries is how often a read is sent at the most.
	Tries uint
	// First and Max bound the wait between two tries, which grows by half each time and is varied at random. A
	// platform that asks for longer gets it.
	First, Max time.Duration
}

// DefaultRetry is for reads over a network: four tries within some seconds.
func DefaultRetry() Retry {
	return Retry{Tries: 4, First: 500 * time.Millisecond, Max: 10 * time.Second}
}

// RetryOf returns what the Options of NewClient said of hc, and the zero Retry for any other client.
func RetryOf(hc *http.Client) Retry {
	s, _ := hc.Transport.(stack)
	return s.retry
}

// unsent is the error of a layer that stopped a request before it left.
type unsent struct{ err error }

func (e unsent) Error() string { return e.err.Error() }

func (e unsent) Unwrap() error { return e.err }

// NeverSent reports whether err comes from a layer of this package that stopped the request before
// any byte of it left: a wait for the pace that was called off, a foreign host.
func NeverSent(err error) bool {
	_, ok := errors.AsType[unsent](err)
	return ok
}
