package sandbox

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults is a script: rules in their order. ParseFaults makes it.
type Faults []Rule

// Rule is one fault and what it is limited to. Grammar has the words.
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
	form         string // one of the kind's forms
	body         string // json, html, empty, deflate or bom
	code         string // of an error that CometChat answers
	retryAs      string // seconds, date or none
	resetAs      string // seconds, milliseconds or none
	to           string // where a redirect leads
	field, how   string // what a rewrite does
	agent        *regexp.Regexp
}

// fits reports whether the request is one that the rule is about, counting aside.
func (s *selector) fits(c *call) bool {
	return (s.platform == "" || s.platform == c.platform) &&
		(s.app == "" || s.app == c.app) &&
		(s.method == "" || s.method == c.method) &&
		(s.ops == nil || slices.Contains(s.ops, c.op)) &&
		(s.name == nil || s.name.MatchString(c.name))
}

// phase is where in a request's way a fault strikes.
type phase int

const (
	timing    phase = iota // when the effect happens
	instead                // the answer comes in the platform's place; there is no effect
	judged                 // what the platform refuses, or does not carry out
	after                  // the effect has happened; the answer goes wrong
	announced              // what headers say beside a good answer
	stored                 // what is kept
	shown                  // what an answer shows of agents
	listed                 // which agents a list shows, and how it ends
)

// kind is one sort of fault.
type kind struct {
	name string
	// usage follows the name, as Grammar tells it.
	usage, says string
	at          phase
	// value says what may stand after the name and =.
	value value
	// forms are what a value of the kind form may be; the first is the default.
	forms []string
	// with lists the further words that it takes.
	with []string
	// ops are the operations that it befalls unless op= says others; nil for all.
	ops []string
	// may are the operations that op= may name, where they are more than ops.
	may []string
}

var (
	creates  = []string{opCreate}
	lists    = []string{opList}
	allLists = []string{opList, opTools, opContexts}
	writes   = []string{opCreate, opUpdate}
	changes  = []string{opUpdate, opDelete}
	effects  = []string{opCreate, opUpdate, opDelete}
)

// kinds are all faults, in the order in which they are told. It is read, never written.
var kinds = []kind{
	{name: "latency", usage: "=D [jitter=D]", at: timing, value: duration, with: []string{"jitter"},
		says: "the request waits D, give or take the jitter, before anything else; a client that goes meanwhile has sent nothing"},
	{name: "slow", usage: "=D", at: timing, value: duration, ops: effects,
		says: "the request is carried out after D, whether its client still waits for the answer or not"},
	{name: "late", usage: "=D", at: timing, value: duration, ops: effects,
		says: "the connection is closed at once, and the effect happens D later"},

	{name: "drop-before", at: instead, says: "the connection is closed"},
	{name: "hang-before", usage: "[=D]", at: instead, value: maybeDuration,
		says: "the request is held until the client goes or D is over, then closed"},
	{name: "status-before", usage: "=CODE [body=B] [code=ERR_…]", at: instead, value: status, with: []string{"body", "code"},
		says: "answered CODE; body says with what: json, html, empty, deflate (under a header that does not say so) or bom; " +
			"code is CometChat's code of the error"},
	{name: "html", usage: "[=CODE]", at: instead, value: maybeStatus, says: "the same as status-before=CODE body=html; CODE is 502 by default"},
	{name: "empty", usage: "[=CODE]", at: instead, value: maybeStatus, says: "the same as status-before=CODE body=empty"},
	{name: "throttle", usage: "[=D] [retry-as=R] [reset-as=S] [body=B]", at: instead, value: maybeDuration,
		with: []string{"retry-as", "reset-as", "body"},
		says: "429 with Retry-After (seconds, date or none; D is 1s by default) and CometChat's X-Rate-Limit-Reset (seconds, milliseconds or none)"},
	{name: "unavailable", usage: "[=D] [retry-as=R] [body=B]", at: instead, value: maybeDuration,
		with: []string{"retry-as", "body"}, says: "503 with Retry-After, likewise"},
	{name: "redirect", usage: "=307|308 [to=URL]", at: instead, value: status, with: []string{"to"}, says: "to the same place, or to URL"},
	{name: "not-done", usage: "[=F]", at: instead, value: form, forms: []string{"error", "status", "false", "html", "list", "nothing"}, ops: effects,
		says: "answered 200 and not done: an error envelope, an envelope with a statusCode, {\"success\": false}, a sign-in page, a list, an empty object"},
	{name: "ignored", at: judged, ops: changes, says: "answered as if it had been done, and not done"},
	{name: "refuse-tools", at: judged, ops: writes, says: "creates and updates that name tools or actions are refused with 400"},
	{name: "strict-meta", at: judged, ops: []string{opUpdate},
		says: "an update of integrationMeta without integrateWith is refused with 400"},

	{name: "exhausted", usage: "[=D] [reset-as=S]", at: announced, value: maybeDuration, with: []string{"reset-as"},
		says: "CometChat: a good answer says X-Rate-Limit-Remaining: 0 and, as seconds, milliseconds or none, that the limit is reset after D"},

	{name: "drop-after", at: after, says: "the effect happens, the connection is closed without an answer"},
	{name: "hang-after", usage: "[=D]", at: after, value: maybeDuration, says: "the effect happens, then the request is held as with hang-before"},
	{name: "hang", usage: "[=D]", at: after, value: maybeDuration, says: "the same as hang-after"},
	{name: "status-after", usage: "=CODE [body=B] [code=ERR_…]", at: after, value: status, with: []string{"body", "code"},
		says: "the effect happens, answered CODE"},
	{name: "cut-body", at: after, says: "the effect happens, the connection is closed in the middle of the body"},
	{name: "garbage", usage: "[=F]", at: after, value: form, forms: []string{"text", "html", "empty", "deflate", "bom"},
		says: "the effect happens, answered 200 with a body that is no JSON: a text, a sign-in page, nothing, or the answer " +
			"compressed under a header that does not say so, or behind a byte order mark"},

	{name: "rewrite", usage: "=FIELD:HOW", at: stored, value: rewriting, ops: writes,
		says: "a field is kept otherwise than it was sent; FIELD is * for every text, however deep. HOW is trim, lower, upper, " +
			"crlf or lf (line ends), escape (HTML), slash or noslash (at the end of a URL), sort, reverse, drop, " +
			"or fill (members that nobody sent stand in metaData and integrationMeta)"},
	{name: "whole-seconds", at: stored, ops: creates, says: "createdAt is cut to the second"},
	{name: "clock", usage: "=D", at: stored, value: shift, ops: writes, says: "the platform's clock is off by D, which may be negative"},

	{name: "mask-headers", at: shown, says: "CometChat: integrationMeta.headers are answered as asterisks"},
	{name: "echo-secrets", at: shown, says: "CometChat: what integrationMeta.headers hold is repeated in metaData and in a member of its own"},
	{name: "odd-agents", usage: "[=F] [agent=GLOB]", at: shown, value: form,
		forms: []string{"list", "deep", "number", "null", "no-name", "no-uid", "no-time"}, with: []string{"agent"},
		says: "agents whose name fits agent= (all by default) are answered with a list where their name should be, a metaData that is nested deeper " +
			"than anybody reads, a number or null for the name, or without name, uid or createdAt"},
	{name: "list-lacks", usage: "=FIELD", at: shown, value: fieldName, ops: lists, says: "lists do not show the field of any agent"},

	{name: "lag", usage: "=D", at: listed, value: duration, ops: creates, may: effects,
		says: "lists do not show the create (with op=update or op=delete: the change) for D"},
	{name: "lag-lists", usage: "=N", at: listed, value: count, ops: creates, may: effects,
		says: "the first N lists after the create (or the change) do not show it"},
	{name: "short-list", usage: "[=N]", at: listed, value: maybeCount, ops: lists, may: allLists,
		says: "a list (or page) lacks its last N entries; half of them by default"},
	{name: "cap-list", usage: "=N", at: listed, value: count, ops: lists,
		says: "a list never shows more than the first N agents of the app: it is cut at the same place each time"},
	{name: "empty-list", at: listed, ops: lists, may: allLists, says: "a list (or page) is empty"},
	{name: "null-list", at: listed, ops: lists, may: allLists, says: "a list (or page) that is empty has null where the list should be"},
	{name: "repeat-page", at: listed, ops: lists, may: allLists, says: "Mindset: startAfter is ignored; CometChat: every agent is listed twice"},
	{name: "page-size", usage: "=N", at: listed, value: count, ops: lists, may: allLists, says: "Mindset: a page holds N entries"},
	{name: "list-end", usage: "[=F]", at: listed, value: form, forms: []string{"404", "200"}, ops: lists, may: allLists,
		says: "Mindset: the status under which an empty page ends a list"},
	{name: "versions-apart", at: listed, says: "Mindset: v1 and v2 do not know the agents that the other made"},
}

// kindOf returns the fault called name.
func kindOf(name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// Grammar explains the rules of a script, for people.
func Grammar() string {
	var b strings.Builder
	heading := map[phase]string{
		timing: "When the effect happens", instead: "Faults without an effect",
		judged: "What is refused or not carried out", announced: "What headers say", after: "Faults after the effect, on the way back",
		stored: "What is kept", shown: "What answers show of agents", listed: "What lists show",
	}
	at := phase(-1)
	for _, k := range kinds {
		if k.at != at {
			at = k.at
			fmt.Fprintf(&b, "%s:\n", heading[at])
		}
		usage := k.name + k.usage
		if k.forms != nil {
			usage = strings.Replace(usage, "F", strings.Join(k.forms, "|"), 1)
		}
		fmt.Fprintf(&b, "  %s\n", usage)
		writeFolded(&b, k.says)
	}
	b.WriteString(`Limits, all of which must hold:
  platform=` + strings.Join(Platforms(), "|") + `
  app=ID
  method=GET|POST|PATCH|DELETE
  op=` + strings.Join(ops, "|") + `    several with commas
  name=GLOB    the agent's name as sent, else as kept; * and ? stand for any text
  nth=N        the N-th request that the limits above let through, alone
  every=N      each N-th of them
  p=0.3 [seed=N]    by chance; the same seed (1 by default) gives the same sequence
  times=N      at most N times
`)
	return b.String()
}

// writeFolded writes a sentence in lines that are not wider than a terminal.
func writeFolded(b *strings.Builder, sentence string) {
	const indent, width = "      ", 100
	line := indent
	for word := range strings.FieldsSeq(sentence) {
		if len(line)+len(word) > width {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = indent
		}
		line += word + " "
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
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

// jittered returns the rule's wait, give or take its jitter.
func (c *counted) jittered() time.Duration {
	if c.jitter == 0 {
		return c.wait
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.wait-c.jitter+time.Duration(c.random.Int64N(int64(2*c.jitter)+1)))
}

// trouble is what the script has in store for one request: the rules that apply, in their order.
type trouble []*counted

// meet collects what applies to the request. Each rule counts the requests that fit it.
func (s *script) meet(c *call) trouble {
	var t trouble
	for _, r := range s.rules {
		if r.fits(c) && r.due() {
			t = append(t, r)
		}
	}
	return t
}

// names are the faults that apply, for the record.
func (t trouble) names() []string {
	var names []string
	for _, r := range t {
		names = append(names, r.kind)
	}
	return names
}

// first returns the first rule of the kind, or nil.
func (t trouble) first(kind string) *counted {
	for _, r := range t {
		if r.kind == kind {
			return r
		}
	}
	return nil
}

func (t trouble) has(kind string) bool { return t.first(kind) != nil }

// in returns the first rule of a phase, or nil.
func (t trouble) in(at phase) *counted {
	for _, r := range t {
		if k, _ := kindOf(r.kind); k.at == at {
			return r
		}
	}
	return nil
}
