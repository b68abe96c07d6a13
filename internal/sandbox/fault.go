package sandbox

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults is a script: rules in their order. ParseFaults makes it.
type Faults []Rule

// Rule is one fault and what it is limited to. The package documentation has the grammar.
type Rule struct {
	text string // as it was written
	kind string
	selector
	argument
}

// String returns the rule as it was written.
func (r Rule) String() string { return r.text }

// String returns the script, one rule a line.
func (f Faults) String() string {
	lines := make([]string, len(f))
	for i, r := range f {
		lines[i] = r.text
	}
	return strings.Join(lines, "\n")
}

// selector is what limits a rule. Zero values do not limit.
type selector struct {
	platform, app, method string
	ops                   []string
	name                  *regexp.Regexp
	nth, every, times     int
	chance                float64
	seed                  uint64
}

// argument is what a fault is given besides its limits.
type argument struct {
	wait, jitter time.Duration
	number       int    // a status, or a count
	body         string // json, html or empty
	retryAs      string // seconds, date or none
	to           string // where a redirect leads
	field, how   string // what a rewrite does
}

// fits reports whether the request is one that the rule is about, counting aside.
func (s *selector) fits(c *call) bool {
	return (s.platform == "" || s.platform == c.platform) &&
		(s.app == "" || s.app == c.app) &&
		(s.method == "" || s.method == c.method) &&
		(s.ops == nil || slices.Contains(s.ops, c.op)) &&
		(s.name == nil || s.name.MatchString(c.name))
}

// script is a running script: the rules and how often each was met.
type script struct {
	source Faults
	rules  []*counted
}

type counted struct {
	Rule

	mu          sync.Mutex // guards the rest
	seen, fired int
	random      *rand.Rand
}

func newScript(f Faults) *script {
	s := &script{source: slices.Clone(f)}
	for _, r := range f {
		s.rules = append(s.rules, &counted{Rule: r, random: rand.New(rand.NewPCG(r.seed, 0))})
	}
	return s
}

// due counts a request that fits and reports whether the rule applies to it.
func (c *counted) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	switch {
	case c.nth > 0 && c.seen != c.nth,
		c.every > 0 && c.seen%c.every != 0,
		c.times > 0 && c.fired >= c.times,
		c.chance > 0 && c.random.Float64() >= c.chance:
		return false
	}
	c.fired++
	return true
}

// spread returns the rule's wait, give or take its jitter.
func (c *counted) spread() time.Duration {
	if c.jitter == 0 {
		return c.wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.wait-c.jitter+time.Duration(c.random.Int64N(int64(2*c.jitter)+1)))
}

// trouble is what the script has in store for one request.
type trouble struct {
	names     []string // the faults that apply, for the record
	latency   time.Duration
	instead   *Rule // answers in the platform's place, before any effect
	late      time.Duration
	hidden    time.Duration // lag
	lists     int           // lag-lists
	noTools   bool
	noPaging  bool
	mask      bool
	rewrites  []*Rule
	listing   []*Rule // short-list and empty-list
	afterward *Rule   // what becomes of the answer
}

// meet collects what applies to the request. Each rule counts the requests that fit it.
func (s *script) meet(c *call) *trouble {
	t := &trouble{}
	for _, r := range s.rules {
		if r.fits(c) && r.due() {
			t.names = append(t.names, r.kind)
			kinds[r.kind].add(t, r)
		}
	}
	return t
}

// kind is one sort of fault.
type kind struct {
	// ops are the operations that it can befall; nil for all.
	ops []string
	// value says what may stand after the name and =.
	value value
	// with lists the further words that it takes.
	with []string
	// add puts the rule into a request's trouble.
	add func(t *trouble, r *counted)
}

func instead(t *trouble, r *counted) {
	if t.instead == nil {
		t.instead = &r.Rule
	}
}

func afterward(t *trouble, r *counted) {
	if t.afterward == nil {
		t.afterward = &r.Rule
	}
}

var (
	creates = []string{opCreate}
	lists   = []string{opList}
	writes  = []string{opCreate, opUpdate}
	effects = []string{opCreate, opUpdate, opDelete}
)

// kinds are all faults by name. It is read, never written.
var kinds = map[string]kind{
	"latency":       {value: duration, with: []string{"jitter"}, add: func(t *trouble, r *counted) { t.latency += r.spread() }},
	"drop-before":   {add: instead},
	"hang-before":   {value: maybeDuration, add: instead},
	"status-before": {value: status, with: []string{"body"}, add: instead},
	"html":          {value: maybeStatus, add: instead},
	"empty":         {value: maybeStatus, add: instead},
	"throttle":      {value: maybeDuration, with: []string{"retry-as", "body"}, add: instead},
	"unavailable":   {value: maybeDuration, with: []string{"retry-as", "body"}, add: instead},
	"redirect":      {value: status, with: []string{"to"}, add: instead},
	"refuse-tools":  {ops: writes, add: func(t *trouble, _ *counted) { t.noTools = true }},

	"drop-after":   {add: afterward},
	"hang-after":   {value: maybeDuration, add: afterward},
	"hang":         {value: maybeDuration, add: afterward},
	"status-after": {value: status, with: []string{"body"}, add: afterward},
	"cut-body":     {add: afterward},
	"garbage":      {add: afterward},
	"late":         {ops: effects, value: duration, add: func(t *trouble, r *counted) { t.late = max(t.late, r.wait) }},

	"lag":          {ops: creates, value: duration, add: func(t *trouble, r *counted) { t.hidden = max(t.hidden, r.wait) }},
	"lag-lists":    {ops: creates, value: count, add: func(t *trouble, r *counted) { t.lists = max(t.lists, r.number) }},
	"short-list":   {ops: lists, value: maybeCount, add: func(t *trouble, r *counted) { t.listing = append(t.listing, &r.Rule) }},
	"empty-list":   {ops: lists, add: func(t *trouble, r *counted) { t.listing = append(t.listing, &r.Rule) }},
	"repeat-page":  {ops: lists, add: func(t *trouble, _ *counted) { t.noPaging = true }},
	"mask-headers": {add: func(t *trouble, _ *counted) { t.mask = true }},
	"rewrite":      {ops: writes, value: rewriting, add: func(t *trouble, r *counted) { t.rewrites = append(t.rewrites, &r.Rule) }},
}
