package faults

import (
	"slices"
	"strings"
)

// Phase is where in a request's way a fault strikes.
type Phase int

const (
	Timing    Phase = iota // when the effect happens
	Instead                // the answer comes in the platform's place; there is no effect
	Judged                 // what the platform refuses, or does not carry out
	After                  // the effect has happened; the answer goes wrong
	Announced              // what headers say beside a good answer
	Stored                 // what is kept
	Shown                  // what an answer shows of agents
	Listed                 // which agents a list shows, and how it ends
)

// faultKind is one sort of fault.
type faultKind struct {
	name string
	// usage follows the name, as Help tells it.
	usage, says string
	at          Phase
	// value says what may stand after the name and =.
	value valueForm
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
	creates  = []string{OpCreate}
	lists    = []string{OpList}
	allLists = []string{OpList, OpTools, OpContexts}
	writes   = []string{OpCreate, OpUpdate}
	changes  = []string{OpUpdate, OpDelete}
	effects  = []string{OpCreate, OpUpdate, OpDelete}
)

// faultKinds are all faults, in the order in which Help explains them. It is read, never written.
var faultKinds = []faultKind{
	{name: "latency", usage: "=D [jitter=D]", at: Timing, value: wantsDuration, with: []string{"jitter"},
		says: "The request waits for D, plus or minus the jitter, before anything else happens. If its client leaves " +
			"meanwhile, nothing was sent."},
	{name: "slow", usage: "=D", at: Timing, value: wantsDuration, ops: effects,
		says: "The request is carried out after D, even if its client no longer waits for the answer."},
	{name: "late", usage: "=D", at: Timing, value: wantsDuration, ops: effects,
		says: "The connection is closed at once. The request is carried out after D."},

	{name: "drop-before", at: Instead, says: "The connection is closed."},
	{name: "hang-before", usage: "[=D]", at: Instead, value: maybeDuration,
		says: "Nothing is answered until the client leaves or D is over. Then the connection is closed."},
	{name: "status-before", usage: "=CODE [body=B] [code=ERR_…]", at: Instead, value: wantsStatus,
		with: []string{"body", "code"},
		says: "The answer is CODE. B is the form of its body: json, html, empty, deflate (compressed, and no header says " +
			"so) or bom (with a byte order mark). ERR_… is CometChat's code of the error."},
	{name: "html", usage: "[=CODE]", at: Instead, value: maybeStatus,
		says: "Short for status-before=CODE body=html. CODE is 502 by default."},
	{name: "empty", usage: "[=CODE]", at: Instead, value: maybeStatus,
		says: "Short for status-before=CODE body=empty. CODE is 502 by default."},
	{name: "throttle", usage: "[=D] [retry-as=R] [reset-as=S] [body=B]", at: Instead, value: maybeDuration,
		with: []string{"retry-as", "reset-as", "body"},
		says: "The answer is 429. D is the wait that Retry-After asks for, 1s by default. R is the form of Retry-After: " +
			"seconds, date or none. S is the form of CometChat's X-Rate-Limit-Reset: seconds, milliseconds or none."},
	{name: "unavailable", usage: "[=D] [retry-as=R] [body=B]", at: Instead, value: maybeDuration,
		with: []string{"retry-as", "body"}, says: "The answer is 503, with Retry-After as for throttle."},
	{name: "redirect", usage: "=307|308 [to=URL]", at: Instead, value: wantsStatus, with: []string{"to"},
		says: "The answer is a redirect to URL, or to the same address."},
	{name: "not-done", usage: "[=F]", at: Instead, value: oneForm, ops: effects,
		forms: []string{"error", "status", "false", "html", "list", "nothing"},
		says: "The answer is 200, but the request is not carried out. The value says what its body is: an error " +
			"envelope (error), an envelope with a statusCode (status), {\"success\": false} (false), a sign-in page " +
			"(html), a list, or an empty object (nothing)."},
	{name: "ignored", at: Judged, ops: changes,
		says: "The answer says that the change was made, but it was not."},
	{name: "refuse-tools", at: Judged, ops: writes,
		says: "A create or an update that names tools or actions is refused with 400."},
	{name: "strict-meta", at: Judged, ops: []string{OpUpdate},
		says: "An update of integrationMeta without integrateWith is refused with 400."},

	{name: "exhausted", usage: "[=D] [reset-as=S]", at: Announced, value: maybeDuration, with: []string{"reset-as"},
		says: "CometChat: a good answer says X-Rate-Limit-Remaining: 0, and that the limit is reset after D. S is " +
			"the form of that time: seconds, milliseconds or none."},

	{name: "drop-after", at: After,
		says: "The request is carried out. The connection is closed without an answer."},
	{name: "hang-after", usage: "[=D]", at: After, value: maybeDuration,
		says: "The request is carried out. Nothing is answered until the client leaves or D is over. Then the " +
			"connection is closed."},
	{name: "hang", usage: "[=D]", at: After, value: maybeDuration, says: "The same as hang-after."},
	{name: "status-after", usage: "=CODE [body=B] [code=ERR_…]", at: After, value: wantsStatus,
		with: []string{"body", "code"},
		says: "The request is carried out. The answer is CODE, with B and ERR_… as for status-before."},
	{name: "cut-body", at: After,
		says: "The request is carried out. The connection is closed in the middle of the answer's body."},
	{name: "garbage", usage: "[=F]", at: After, value: oneForm, forms: []string{"text", "html", "empty", "deflate",
		"bom"},
		says: "The request is carried out. The answer is 200 with a body that is not JSON: a text, a sign-in page " +
			"(html), nothing (empty), the answer compressed, and no header says so (deflate), or the answer behind a " +
			"byte order mark (bom)."},

	{name: "rewrite", usage: "=FIELD:HOW", at: Stored, value: wantsRewrite, ops: writes,
		says: "The platform keeps FIELD in another form than it was sent; * stands for all fields. HOW is trim, lower, " +
			"upper, " +
			"crlf or lf (line ends), escape (HTML), slash or noslash (at the end of a URL), sort or reverse (a list), drop " +
			"(nothing is kept), or fill (metaData and integrationMeta get members that nobody sent)."},
	{name: "whole-seconds", at: Stored, ops: creates, says: "createdAt has no fraction of a second."},
	{name: "clock", usage: "=D", at: Stored, value: wantsShift, ops: writes,
		says: "The platform's clock is ahead by D, or behind if D is negative."},

	{name: "mask-headers", at: Shown,
		says: "CometChat: answers show asterisks in place of the values in integrationMeta.headers."},
	{name: "echo-secrets", at: Shown,
		says: "CometChat: answers repeat the values in integrationMeta.headers: in metaData and in a member of their own."},
	{name: "odd-agents", usage: "[=F] [agent=GLOB]", at: Shown, value: oneForm, with: []string{"agent"},
		forms: []string{"list", "deep", "number", "null", "no-name", "no-uid", "no-time"},
		says: "Answers show an odd agent in place of each agent whose name matches GLOB, or of all agents: " +
			"the name is a list, a number or null; metaData is nested too deeply (deep); or the name, the uid or createdAt " +
			"is missing (no-name, no-uid, no-time)."},
	{name: "list-lacks", usage: "=FIELD", at: Shown, value: wantsField, ops: lists,
		says: "Lists show no agent's FIELD."},

	{name: "lag", usage: "=D", at: Listed, value: wantsDuration, ops: creates, may: effects,
		says: "For D, lists do not show the create. With op=update or op=delete they do not show that change."},
	{name: "lag-lists", usage: "=N", at: Listed, value: wantsCount, ops: creates, may: effects,
		says: "The next N lists do not show the create. With op=update or op=delete they do not show that change."},
	{name: "short-list", usage: "[=N]", at: Listed, value: maybeCount, ops: lists, may: allLists,
		says: "The last N entries of a list or page are missing. By default half of them are."},
	{name: "cap-list", usage: "=N", at: Listed, value: wantsCount, ops: lists,
		says: "A list ends after the first N agents of the app, every time."},
	{name: "empty-list", at: Listed, ops: lists, may: allLists, says: "A list or page is empty."},
	{name: "null-list", at: Listed, ops: lists, may: allLists,
		says: "A list or page that is empty is null instead of []."},
	{name: "repeat-page", at: Listed, ops: lists, may: allLists,
		says: "Mindset: startAfter has no effect. CometChat: a list shows every agent twice."},
	{name: "page-size", usage: "=N", at: Listed, value: wantsCount, ops: lists, may: allLists,
		says: "Mindset: a page holds N entries."},
	{name: "list-end", usage: "[=F]", at: Listed, value: oneForm, forms: []string{"404", "200"}, ops: lists,
		may:  allLists,
		says: "Mindset: the status of the empty page that ends a list."},
	{name: "versions-apart", at: Listed,
		says: "Mindset: each version of the API shows only the agents that it made itself."},
}

// kindOf returns the fault called name.
func kindOf(name string) (faultKind, bool) {
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.name == name })
	if i < 0 {
		return faultKind{}, false
	}
	return faultKinds[i], true
}

// phaseHeads are the headings above the faults of a phase.
var phaseHeads = [...]string{
	Timing: "When the request is carried out", Instead: "The request is not carried out", Judged: "What the platform " +
		"refuses or ignores",
	Announced: "What headers say", After: "The request is carried out, but the answer goes wrong",
	Stored: "What the platform keeps", Shown: "What answers show of agents", Listed: "What lists show",
}

// Help explains the rules of a script about these platforms, for people.
func Help(platforms []string) string {
	var b strings.Builder
	at := Phase(-1)
	for _, k := range faultKinds {
		if k.at != at {
			if at >= 0 {
				b.WriteString("\n")
			}
			at = k.at
			b.WriteString(phaseHeads[at] + ":\n\n")
		}
		usage := k.name + k.usage
		if k.forms != nil {
			usage = strings.Replace(usage, "F", strings.Join(k.forms, "|"), 1)
		}
		b.WriteString("  " + usage + "\n")
		writeFolded(&b, k.says)
	}
	b.WriteString(`
Limits of a rule. A request must meet all of them:

  platform=` + strings.Join(platforms, "|") + `
  app=ID
  method=GET|POST|PATCH|DELETE
  op=` + strings.Join(operationNames, "|") + `
               the operation; several with commas between them
  name=GLOB    the agent's name, as it was sent or else as it is kept; * and ? stand for any text and any character
  nth=N        only the N-th of the requests that meet the limits above
  every=N      only every N-th of them
  p=0.3 [seed=N]
               only some of them, chosen by chance; the same seed (1 by default) chooses the same ones
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

// Operations by name, as in selectors and counts.
const (
	OpCreate   = "create"
	OpList     = "list"
	OpRead     = "read"
	OpUpdate   = "update"
	OpDelete   = "delete"
	OpTools    = "tools"
	OpContexts = "contexts"
)

var operationNames = []string{OpCreate, OpList, OpRead, OpUpdate, OpDelete, OpTools, OpContexts}

// valueForm is what may stand after a fault's name and =.
type valueForm int

const (
	noValue valueForm = iota
	wantsDuration
	maybeDuration
	wantsShift
	wantsStatus
	maybeStatus
	wantsCount
	maybeCount
	oneForm
	wantsRewrite
	wantsField
)

// valueExamples say what to write where a value is missing.
var valueExamples = map[valueForm]string{wantsDuration: "2s", wantsShift: "-3s", wantsStatus: "503", wantsCount: "2",
	wantsRewrite: "FIELD:HOW", wantsField: "FIELD"}
