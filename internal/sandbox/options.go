package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"agentsync/internal/sandbox/faults"
)

// Options say how a Server behaves. The zero value is a Server as the platforms' documents have it.
type Options struct {
	// File keeps the agents (0600; its folder is made where it is missing), and the server starts with what it holds:
	// what agents were sent, secrets in clear. What has been answered is in the file, even after kill -9. One server
	// may use a file at a time; a second one gets ErrInUse. Without it the agents are kept in memory.
	File string
	// Faults is the script that the server starts with; SetFaults replaces it.
	Faults Faults
	// Keys are the API keys that are accepted, and no others. Where it is nil every key is accepted but the empty one,
	// those that begin with "wrong" (401) and those that begin with "forbidden" (403).
	Keys []string
	// Tools and Actions exist in every CometChat app, Contexts (by their uids) in every Mindset app, and References as
	// their kinds say; see ParseReferences. Of a kind of which none is named every name goes, and its list is empty.
	Tools, Actions, Contexts []string
	References               []Reference

	// Now is the platforms' clock, which stamps createdAt and updatedAt; nil for the real one. It must be safe for
	// concurrent use. Waits, lags and rate limits run on real time.
	Now func() time.Time
	// Precision is what the platforms' times are truncated to, a millisecond at the least; a second gives agents that
	// share a createdAt.
	Precision time.Duration
	// Millis makes CometChat write its times as Unix milliseconds, as in its published schema, and not in ISO 8601, as
	// in its examples.
	Millis bool
	// UIDs gives new agents their uids, for tests that compare whole outputs; nil for random ones. It must be safe for
	// concurrent use and never give a uid twice.
	UIDs func(platform, app string) string

	// WrappedList makes CometChat's list {"data": [...]}, ShowDeleted shows deleted agents in it, with their deletedAt,
	// and MaskHeaders answers the values of integrationMeta.headers as asterisks.
	WrappedList, ShowDeleted, MaskHeaders bool
	// CreatedStatus is the status of an answered create, 200 where it is 0.
	CreatedStatus int
	// PageSize is the number of entries in one page of Mindset's lists, 50 where it is 0, and ListEnd the status of an
	// empty page: 404 where it is 0, which its reference says of other lists, or 200.
	PageSize, ListEnd int
	// Limit is the rate limit of each app.
	Limit RateLimit
}

// RateLimit allows so many requests per app in each window of length Per; 0 is no limit. CometChat's answers announce
// it (X-Rate-Limit, X-Rate-Limit-Remaining), and both platforms' 429s carry Retry-After; nothing but the 429s does
// where it is Quiet.
type RateLimit struct {
	Requests int
	Per      time.Duration
	Quiet    bool
}

// withDefaults returns the options as the server uses them.
func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Precision = max(o.Precision, time.Millisecond)
	o.CreatedStatus = cmp.Or(o.CreatedStatus, 200)
	o.PageSize, o.ListEnd = max(cmp.Or(o.PageSize, 50), 1), cmp.Or(o.ListEnd, 404)
	return o
}

// knownReferences are what exists in every app, by kind.
func (o Options) knownReferences() knownReferences {
	known := knownReferences{}
	for kind, names := range map[string][]string{"tool": o.Tools, "action": o.Actions, "context": o.Contexts} {
		for _, name := range names {
			known[kind] = append(known[kind], Reference{Kind: kind, Name: name})
		}
	}
	for _, r := range o.References {
		known[r.Kind] = append(known[r.Kind], r)
	}
	return known
}

// Faults is a script of faults; ParseFaults makes it.
type Faults = faults.Script

// ParseFaults reads a script of faults about these platforms, see faults.Parse.
func ParseFaults(lines ...string) (Faults, error) { return faults.Parse(Platforms(), lines...) }

// FaultsHelp explains the rules of a script, for people.
func FaultsHelp() string { return faults.Help(Platforms()) }

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
