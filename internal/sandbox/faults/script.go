package faults

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Script is a script: rules in their order. ParseFaults makes it.
type Script []Rule

// Rule is one fault and what it is limited to. Help has the words.
type Rule struct {
	text string // as it was written
	Kind string
	ruleLimits
	ruleArgument
}

// String returns the rule as it was written.
func (r Rule) String() string { return r.text }

// String returns the script, one rule a line.
func (f Script) String() string {
	lines := make([]string, len(f))
	for i, r := range f {
		lines[i] = r.text
	}
	return strings.Join(lines, "\n")
}

// ruleLimits is what limits a rule. Zero values do not limit.
type ruleLimits struct {
	platform, app, method string
	ops                   []string
	name                  *regexp.Regexp
	nth, every, times     int
	chance                float64
	seed                  uint64
}

// ruleArgument is what a fault is given besides its limits.
type ruleArgument struct {
	Wait, Jitter time.Duration
	Number       int    // a status, or a count
	Form         string // one of the kind's forms
	Body         string // json, html, empty, deflate or bom
	Code         string // of an error that CometChat answers
	RetryAs      string // seconds, date or none
	ResetAs      string // seconds, milliseconds or none
	To           string // where a redirect leads
	Field, How   string // what a rewrite does
	Agent        *regexp.Regexp
}

// Target is what rules select a request by.
type Target struct {
	Platform, App, Method string
	// Op is the operation, empty where the request is none.
	Op string
	// Name is the agent's name as sent, else as kept.
	Name string
}

// fits reports whether the request is one that the rule is about, counting aside.
func (s *ruleLimits) fits(c Target) bool {
	return (s.platform == "" || s.platform == c.Platform) &&
		(s.app == "" || s.app == c.App) &&
		(s.method == "" || s.method == c.Method) &&
		(s.ops == nil || slices.Contains(s.ops, c.Op)) &&
		(s.name == nil || s.name.MatchString(c.Name))
}

// Running is a running script: the rules and how often each was met.
type Running struct {
	Source Script
	rules  []*Active
}

type Active struct {
	Rule

	mu          sync.Mutex // guards the rest
	seen, fired int
	random      *rand.Rand
}

func Run(f Script) *Running {
	s := &Running{Source: slices.Clone(f)}
	for _, r := range f {
		s.rules = append(s.rules, &Active{Rule: r, random: rand.New(rand.NewPCG(r.seed, 0))})
	}
	return s
}

// due counts a request that fits and reports whether the rule applies to it.
func (c *Active) due() bool {
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

// Jittered returns the rule's wait, give or take its jitter.
func (c *Active) Jittered() time.Duration {
	if c.Jitter == 0 {
		return c.Wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.Wait-c.Jitter+time.Duration(c.random.Int64N(int64(2*c.Jitter)+1)))
}

// Hits is what the script has in store for one request: the rules that apply, in their order.
type Hits []*Active

// Meet collects what applies to the request. Each rule counts the requests that fit it.
func (s *Running) Meet(target Target) Hits {
	var t Hits
	for _, r := range s.rules {
		if r.fits(target) && r.due() {
			t = append(t, r)
		}
	}
	return t
}

// Names are the faults that apply, for the record.
func (t Hits) Names() []string {
	var names []string
	for _, r := range t {
		names = append(names, r.Kind)
	}
	return names
}

// First returns the first rule of the kind, or nil.
func (t Hits) First(kind string) *Active {
	for _, r := range t {
		if r.Kind == kind {
			return r
		}
	}
	return nil
}

func (t Hits) Has(kind string) bool { return t.First(kind) != nil }

// In returns the first rule of a phase, or nil.
func (t Hits) In(at Phase) *Active {
	for _, r := range t {
		if k, _ := kindOf(r.Kind); k.at == at {
			return r
		}
	}
	return nil
}
