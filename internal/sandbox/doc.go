// Package sandbox is both platforms' HTTP behaviour on one http.Handler: as strict in what it takes
// as the published contract, tolerant in nothing, with faults by script. Tests, demos and the sandbox
// command run on it. It knows nothing of agentsync's adapters and shares no type with them, so that a
// mistake in a wire format cannot hide on both sides at once. It listens nowhere: its caller owns the
// listener. It promises that what was answered survives the end of the process, where it is given a
// file, and that two creates are two agents, always.
//
// # Paths
//
// CometChat stands under /v3/ai-agents/agents (the app is called "sandbox") and under
// /cometchat/{appId}/v3/ai-agents/agents; Mindset under /api/v1/appuid/{appUid}/agents and the same
// below /mindset. GET / is a page for people. /_sandbox/ is for tests: GET agents (?platform=, ?app=)
// and GET requests answer JSON, POST faults replaces the script by the request's text, POST reset
// forgets every agent and count. Someone else's change is made by the platforms' own calls.
//
// # Faults
//
// A script is a list of rules, one a line; # starts a comment. A rule is a fault and, in any order,
// what it is limited to:
//
//	drop-after platform=mindset method=POST nth=3
//	latency=50ms jitter=20ms
//	throttle=2s op=create name="Support *" times=5
//
// Every rule that selects a request applies to it. Of several that would answer in the platform's
// place, the first wins. Durations are as in Go: 50ms, 2s, 1m30s.
//
// Faults without an effect on the agents:
//
//	latency=D [jitter=D]     the request waits D, give or take the jitter, before anything else
//	drop-before              the connection is closed
//	hang-before[=D]          the request is held until the client goes or D is over, then closed
//	status-before=CODE       answered CODE; body=json|html|empty says with what
//	html[=CODE]              the same as status-before=CODE body=html; CODE is 502 by default
//	empty[=CODE]             the same as status-before=CODE body=empty
//	throttle[=D]             429 with Retry-After; retry-as=seconds|date|none, D is 1s by default
//	unavailable[=D]          503 with Retry-After, likewise
//	redirect=307|308         to the same place, or to=URL
//	refuse-tools             creates and updates that name tools or actions are refused with 400
//
// Faults after the effect, or on the way back:
//
//	drop-after               the effect happens, the connection is closed without an answer
//	hang-after[=D], hang[=D] the effect happens, then the request is held as with hang-before
//	status-after=CODE        the effect happens, answered CODE; body= as above
//	cut-body                 the effect happens, the connection is closed in the middle of the body
//	garbage                  the effect happens, answered 200 with a body that is no JSON
//	late=D                   the connection is closed at once, the effect happens D later
//
// Faults in what is stored and shown:
//
//	lag=D                    lists do not show the agent that is made for D
//	lag-lists=N              the first N lists after the create do not show it
//	short-list[=N]           a list (or page) lacks its last N agents; half of them by default
//	empty-list               a list (or page) is empty
//	repeat-page              Mindset: startAfter is ignored; CometChat: every agent is listed twice
//	mask-headers             CometChat: integrationMeta.headers are answered as asterisks
//	rewrite=FIELD:HOW        a text or list is stored otherwise: trim, lower, upper, sort, reverse, drop
//
// Limits, which all must hold:
//
//	platform=cometchat|mindset
//	app=ID
//	method=GET|POST|PATCH|DELETE
//	op=create|list|read|update|delete    several with commas
//	name=GLOB                            the agent's name as sent, else as stored; * and ? stand for any text
//	nth=N                                the N-th request that the limits above let through, alone
//	every=N                              each N-th of them
//	p=0.3 [seed=N]                       by chance; the same seed (1 by default) gives the same sequence
//	times=N                              at most N times
package sandbox
