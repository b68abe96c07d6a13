package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"agentsync/internal/sandbox/faults"
)

// Option changes how a Server behaves.
type Option func(*config)

// config is what the options say.
type config struct {
	file        string
	faults      faults.Script
	keys        []string
	references  knownReferences
	now         func() time.Time
	precision   time.Duration
	times       TimeFormat
	wrapped     bool
	showDeleted bool
	created     int
	pageSize    int
	listEnd     int
	mask        bool
	limit       rateLimit
	uids        func(platform, app string) string // nil for random ones
}

// TimeFormat is how CometChat writes its times.
type TimeFormat int

const (
	// ISO is ISO 8601 with milliseconds, as in the platform's examples.
	ISO TimeFormat = iota
	// Millis is whole Unix milliseconds, as in the platform's published schema.
	Millis
)

func defaultConfig() config {
	return config{
		references: knownReferences{}, now: time.Now, precision: time.Millisecond, created: 200, pageSize: 50,
		listEnd: 404,
	}
}

// WithFile keeps the agents in the file at path (0600; its folder is made where it is missing), and
// starts with what it holds: what agents were sent, secrets in clear. What has been answered is in the
// file, even after kill -9. One server may use a file at a time; a second one gets ErrInUse.
func WithFile(path string) Option { return func(c *config) { c.file = path } }

// Faults is a script of faults; ParseFaults makes it.
type Faults = faults.Script

// ParseFaults reads a script of faults about these platforms, see faults.Parse.
func ParseFaults(lines ...string) (Faults, error) { return faults.Parse(Platforms(), lines...) }

// FaultsHelp explains the rules of a script, for people.
func FaultsHelp() string { return faults.Help(Platforms()) }

// WithFaults starts with this script; SetFaults replaces it.
func WithFaults(faults faults.Script) Option { return func(c *config) { c.faults = faults } }

// WithKeys accepts these API keys alone. By default every key is accepted but the empty one, those
// that begin with "wrong" (401) and those that begin with "forbidden" (403).
func WithKeys(keys ...string) Option { return func(c *config) { c.keys = slices.Clone(keys) } }

// WithTools names the tools that exist in every CometChat app, and no others do. Without it every name
// goes, and the list of tools is empty.
func WithTools(names ...string) Option { return withNames("tool", names) }

// WithActions names the actions that exist in every CometChat app, likewise.
func WithActions(names ...string) Option { return withNames("action", names) }

// WithContexts names the uids of the contexts that exist in every Mindset app, likewise.
func WithContexts(uids ...string) Option { return withNames("context", uids) }

func withNames(kind string, names []string) Option {
	return func(c *config) {
		for _, name := range names {
			c.references[kind] = append(c.references[kind], Reference{Kind: kind, Name: name})
		}
	}
}

// WithReferences says what exists in every app, of the kinds that known has; see ParseReferences.
func WithReferences(known ...Reference) Option {
	return func(c *config) {
		for _, r := range known {
			c.references[r.Kind] = append(c.references[r.Kind], r)
		}
	}
}

// ParseReferences reads a list of what exists in an app, one a line: its kind (tool, action or context), its
// name (a context's uid), and its display name in the rest of the line. Empty lines and # comments are skipped.
func ParseReferences(text string) ([]Reference, error) {
	var known []Reference
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if kind := words[0]; len(words) < 2 || !slices.Contains([]string{"tool", "action", "context"}, kind) {
			return nil, fmt.Errorf("reference %d: want tool, action or context and a name, for example: tool weather The "+
				"weather", n)
		}
		known = append(known, Reference{Kind: words[0], Name: words[1], DisplayName: strings.Join(words[2:], " ")})
	}
	return known, nil
}

// WithClock is the platforms' clock, which stamps createdAt and updatedAt. It must be safe for
// concurrent use. Waits, lags and rate limits run on real time.
func WithClock(now func() time.Time) Option { return func(c *config) { c.now = now } }

// WithPrecision truncates the platforms' times to d, which is a millisecond by default; a second
// gives agents that share a createdAt.
func WithPrecision(d time.Duration) Option {
	return func(c *config) { c.precision = max(d, time.Millisecond) }
}

// WithTimes says how CometChat writes its times; ISO by default.
func WithTimes(f TimeFormat) Option { return func(c *config) { c.times = f } }

// WithWrappedList makes CometChat's list {"data": [...]}.
func WithWrappedList() Option { return func(c *config) { c.wrapped = true } }

// WithDeleted makes CometChat's list show deleted agents too, with their deletedAt.
func WithDeleted() Option { return func(c *config) { c.showDeleted = true } }

// WithCreatedStatus is the status of an answered create: 200 by default, or 201.
func WithCreatedStatus(status int) Option { return func(c *config) { c.created = status } }

// WithPageSize is the number of entries in one page of Mindset's lists, at least 1; 50 by default.
func WithPageSize(n int) Option { return func(c *config) { c.pageSize = max(n, 1) } }

// WithListEnd is the status of an empty page of Mindset's lists: 404 by default, which its reference
// says of other lists, or 200.
func WithListEnd(status int) Option { return func(c *config) { c.listEnd = status } }

// WithMaskedHeaders makes CometChat answer the values of integrationMeta.headers as asterisks.
func WithMaskedHeaders(mask bool) Option { return func(c *config) { c.mask = mask } }

// WithUIDs takes the uids of new agents from next, for tests that compare whole outputs; by default
// they are random. next must be safe for concurrent use and never give a uid twice.
func WithUIDs(next func(platform, app string) string) Option {
	return func(c *config) { c.uids = next }
}

// WithRateLimit allows n requests per app in each window of length per. CometChat's answers announce
// it (X-Rate-Limit, X-Rate-Limit-Remaining), and both platforms' 429s carry Retry-After.
func WithRateLimit(n int, per time.Duration) Option {
	return func(c *config) { c.limit = rateLimit{n: n, per: per} }
}

// WithQuietRateLimit is WithRateLimit without any header: nothing announces it but the 429s.
func WithQuietRateLimit(n int, per time.Duration) Option {
	return func(c *config) { c.limit = rateLimit{n: n, per: per, quiet: true} }
}
