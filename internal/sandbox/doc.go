// Package sandbox is the platforms' HTTP behaviour on one http.Handler: as strict in what it takes as the
// published contract, tolerant in nothing, with faults by script. Tests, demos and the sandbox command run
// on it. It knows nothing of agentsync's adapters and shares no type with them, so that a mistake in a wire
// format cannot hide on both sides at once. It listens nowhere: its caller owns the listener. It answers to
// loopback hosts alone, and to no web page of another origin. It promises that what was answered survives
// the end of the process, where it is given a file, and that two creates are two agents, always.
//
// # Paths
//
// CometChat stands under /v3/ai-agents/agents (the app is called "sandbox") and under
// /cometchat/{appId}/v3/ai-agents/agents, with /ai-agents/tools beside agents; Mindset under
// /api/v1/appuid/{appUid}/agents and /api/v2/appuid/{appUid}/agents, which see the same agents, with
// /api/v1/appuid/{appUid}/contexts, and the same below /mindset. GET / is a page for people. /_sandbox/ is
// for tests: GET agents (?platform=, ?app=) and GET requests answer JSON, POST faults replaces the script by
// the request's text, POST reset forgets every agent and count. Someone else's change is made by the
// platforms' own calls.
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
// place, the first wins. Durations are as in Go: 50ms, 2s, 1m30s. Help explains each fault.
package sandbox
