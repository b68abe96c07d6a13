package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/diag"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

func cometchat(key string) agent.Address {
	return agent.Address{Platform: "cometchat", App: "2754abc", Key: key}
}

func mindset(key string) agent.Address {
	return agent.Address{Platform: "mindset", App: "acme", Key: key}
}

const (
	oldPurpose = `Help a new colleague through the first week.
Answer in the language of the question.
Name the person to ask where you do not know.
Never promise a date.
Never promise money.
Point to the handbook.
Keep it short.
Close with a question.
Sign as the coach.
`
	newPurpose = `Help a new colleague through the first month.
Answer in the language of the question.
Name the person to ask where you do not know.
Never promise a date.
Never promise money.
Point to the handbook.
Keep it short.
Close with one open question.
Offer a call.
Sign as the coach.
`
)

// everything is a plan with each kind of change and of field.
func everything() *plan.Plan {
	p := &plan.Plan{Changes: []plan.Change{
		createConcierge(), deleteOld(), adoptAnalyst(), blockedGuide(),
		moveHelper(), keptBot(), updateCoach(), driftedBuddy(), replaceTutor(), vanished(),
	}}
	for _, c := range p.Changes {
		p.Summary.Count(c)
	}
	p.Summary.Unchanged, p.Summary.Origins = 1041, 1
	p.Origins = []plan.Origin{
		{
			App:    agent.AppID{Platform: "cometchat", App: "2754abc"},
			Before: agent.Origin{BaseURL: "https://2754abc.api-us.cometchat.io/v3", KeyEnv: "COMETCHAT_API_KEY"},
			After:  agent.Origin{BaseURL: "https://xn--pi-6kc.example.com/v3", KeyEnv: "GITHUB_TOKEN"}, Foreign: true,
		},
		{
			App:    agent.AppID{Platform: "mindset", App: "acme"},
			Before: agent.Origin{BaseURL: "https://gateway.example.com", KeyEnv: "MINDSET_API_KEY"},
			After:  agent.Origin{BaseURL: "https://gateway.example.com", KeyEnv: "MINDSET_API_KEY"}, Foreign: true,
		},
	}
	return p
}

func createConcierge() plan.Change {
	return plan.Change{
		Address: cometchat("concierge"), Name: "Concierge", Action: plan.Create,
		Source: diag.Pos{File: "manifests/support.yaml", Line: 12, Column: 11},
		Fields: []plan.FieldChange{
			{Path: "/name", After: "Concierge"},
			{Path: "/isActive", After: true},
			{Path: "/integrateWith", After: "langgraph"},
			{Path: "/integrationMeta", After: map[string]any{
				"baseUrl": "https://agents.example.com",
				"headers": map[string]any{"authorization": secret.Sealed{Value: "aa", Template: "bb"}},
			}, Secret: false},
			{Path: "/tools", After: []any{"search", "book_room"}},
			{Path: "/metaData/greetingMessage", After: "Welcome.\nHow can I help?\n"},
			{Path: "/metaData/weight", After: json.Number("3")},
		},
	}
}

func deleteOld() plan.Change {
	return plan.Change{
		Address: cometchat("old-bot"), Name: "Old bot", Action: plan.Delete,
		UID:    "0b7e1c1e-0000-4000-8000-000000000001",
		Fields: []plan.FieldChange{{Path: "/name", Before: "Old bot"}},
	}
}

func adoptAnalyst() plan.Change {
	return plan.Change{
		Address: cometchat("analyst"), Name: "Analyst", Action: plan.Adopt, UID: "0b7e1c1e-0000-4000-8000-000000000002",
		Source: diag.Pos{File: "manifests/support.yaml", Line: 30, Column: 11},
	}
}

func blockedGuide() plan.Change {
	return plan.Change{
		Address: cometchat("guide"), Name: "Guide", Action: plan.Create, Blocked: plan.BlockedByNamesake,
		InTheWay: []string{"0b7e1c1e-0000-4000-8000-000000000003"},
		Source:   diag.Pos{File: "manifests/support.yaml", Line: 41, Column: 11},
		Fields:   []plan.FieldChange{{Path: "/name", After: "Guide"}},
	}
}

func moveHelper() plan.Change {
	return plan.Change{
		Address: cometchat("helper"), Action: plan.Move, From: cometchat("help"),
		UID:    "0b7e1c1e-0000-4000-8000-000000000004",
		Source: diag.Pos{File: "manifests/support.yaml", Line: 50, Column: 11},
	}
}

func keptBot() plan.Change {
	return plan.Change{Address: cometchat("zz-left"), Action: plan.Kept, UID: "0b7e1c1e-0000-4000-8000-000000000005"}
}

func updateCoach() plan.Change {
	return plan.Change{
		Address: mindset("coach"), Name: "Onboarding coach", Action: plan.Update, UID: "Coach00000000000000a",
		Source: diag.Pos{File: "manifests/hr.yaml", Line: 7, Column: 11},
		Send:   []string{"agentName", "agentPurpose"},
		Fields: []plan.FieldChange{
			{Path: "/agentName", Before: "Coach", After: "Onboarding coach"},
			{Path: "/agentPurpose", Before: oldPurpose, After: newPurpose},
			{Path: "/agentPersonality", Before: "Warm.\nPatient.", After: "Warm.\nPatient.\n"},
			{Path: "/agentPolicyRules", Before: "Do:\n  listen\nDo not:\n  judge\n",
				After: "Do:\n\tlisten \nDo not:\n  judge\n"},
			{Path: "/iceBreakerMessage", Before: "Hello!"},
			{Path: "/tags", Before: []any{"hr", "welcome"}, After: []any{"hr", "onboarding", "welcome"}},
			{Path: "/live", Before: false, After: true},
			{Path: "/headers/x-api-key", Before: secret.Sealed{Value: "1"}, After: secret.Sealed{Value: "2"},
				Secret: true},
		},
	}
}

func driftedBuddy() plan.Change {
	return plan.Change{
		Address: mindset("buddy"), Name: "Buddy", Action: plan.Update, UID: "Buddy00000000000000a",
		Fields: []plan.FieldChange{
			{Path: "/live", Before: true, After: true, Live: false, Drift: true},
			{Path: "/agentPurpose", Before: oldPurpose, After: newPurpose, Live: oldPurpose +
				"And smile.\n", Drift: true},
			{Path: "/formatting", Before: nil, After: nil, Live: "Markdown", Drift: true},
		},
	}
}

func replaceTutor() plan.Change {
	return plan.Change{
		Address: mindset("tutor"), Name: "Tutor", Action: plan.Replace, UID: "Tutor00000000000000a",
		Blocked: plan.BlockedByPrune,
		Source:  diag.Pos{File: "manifests/hr.yaml", Line: 70, Column: 11},
		Fields: []plan.FieldChange{
			{Path: "/externalTenantId", Before: "acme-eu", After: "acme-us", Immutable: true},
		},
	}
}

func vanished() plan.Change {
	return plan.Change{
		Address: mindset("walker"), Name: "Walker", Action: plan.Create, UID: "Walker0000000000000a", Vanished: true,
		Source: diag.Pos{File: "manifests/hr.yaml", Line: 90, Column: 11},
		Fields: []plan.FieldChange{{Path: "/agentName", After: "Walker"}},
	}
}

// behind are records of each kind that a refresh finds behind what is live, and an app whose list is not believed.
func behind() ([]plan.Refreshed, []agent.AppID) {
	return []plan.Refreshed{
		{Address: cometchat("analyst"), UID: "uid-1"},
		{Address: cometchat("gone"), UID: "uid-2", Vanished: true},
		{Address: cometchat("hidden"), UID: "uid-3", Unlisted: true},
		{Address: mindset("buddy"), UID: "uid-4", Fields: []plan.FieldChange{
			{Path: "/live", Before: true, After: false},
			{Path: "/headers/x-api-key", Before: secret.Sealed{Value: "1"}, After: secret.Sealed{Value: "2"},
				Secret: true},
		}},
	}, []agent.AppID{{Platform: "mindset", App: "globex"}}
}

// renamed is a plan with --prune and a likely rename by name, and one without by content.
func renamed() *plan.Plan {
	at := diag.Pos{File: "manifests/hr.yaml", Line: 7, Column: 12}
	p := &plan.Plan{LikelyRenames: []plan.LikelyRename{
		{From: cometchat("old-bot"), To: cometchat("concierge"), SameName: true,
			Source: diag.Pos{File: "manifests/support.yaml", Line: 12, Column: 11}},
		{From: mindset("helper"), To: mindset("help-desk"), Similarity: 87, Source: at},
	}}
	deleted, made := deleteOld(), createConcierge()
	kept := plan.Change{Address: mindset("helper"), Name: "Helper", Action: plan.Kept, UID: "Helper00000000000000a",
		Likely: &p.LikelyRenames[1]}
	desk := plan.Change{Address: mindset("help-desk"), Name: "Help desk", Action: plan.Create, Source: at,
		Likely: &p.LikelyRenames[1],
		Fields: []plan.FieldChange{{Path: "/agentName", After: "Help desk"}}}
	for _, c := range []*plan.Change{&deleted, &made} {
		c.Likely, c.Blocked = &p.LikelyRenames[0], plan.BlockedByRename
	}
	p.Changes = []plan.Change{made, deleted, desk, kept}
	for _, c := range p.Changes {
		p.Summary.Count(c)
	}
	return p
}

// linkAll links every place, as a CI with a page for each line does.
func linkAll(pos diag.Pos) string {
	return "https://github.com/acme/agents/blob/0123abcd/" + url.PathEscape(pos.File) + fmt.Sprintf("#L%d", pos.Line)
}

// refreshed is everything, with what only a look at the platforms can tell.
func refreshed() *plan.Plan {
	p := everything()
	p.Doubted = []agent.AppID{{Platform: "mindset", App: "beta"}}
	p.Unmanaged = []plan.Unmanaged{
		{App: agent.AppID{Platform: "cometchat", App: "2754abc"}, UID: "u1", Name: agent.Fields{"name": "Stray"}},
		{App: agent.AppID{Platform: "mindset", App: "acme"}, UID: "u2", Name: agent.Fields{"agentName": "Lost"}},
	}
	p.RecordUpdates = []plan.RecordUpdate{{Address: mindset("coach")}}
	return p
}

// evil is what a hostile agent would say: it tries to end fences, tables, folds and comments, to ping,
// link and load, to steer terminals and CI runners, and to hide text.
const evil = "``` \n`````\n</details>\n</code></pre><script>alert(1)</script>\n" +
	"@everyone #1 GH-2 octo/repo#3 https://evil.example/x www.evil.example a@b.example\n" +
	"![x](https://evil.example/i.png) [x](javascript:alert(1)) <img src=x onerror=alert(1)>\n" +
	"::add-mask::hidden\n  ::stop-commands::x\n##[error]x\n| a \\| b | `c` |\n-->\n" +
	"\x1b[2J\x1b]8;;https://evil.example\x07link\x1b]8;;\x07\r\x9b31m \u202egnp.exe\u2066 \u200b\u2028\U000e0041 \xff " +
	"&lt;b&gt; :tada:"

// hostile is a plan in which every string that can come from outside is evil.
func hostile() *plan.Plan {
	name := strings.ReplaceAll(evil, "\n", " ")
	p := &plan.Plan{Changes: []plan.Change{
		{
			Address: agent.Address{Platform: evil, App: evil, Key: evil}, Action: plan.Update, UID: evil, Name: evil,
			From: agent.Address{Platform: evil, App: evil, Key: evil}, Blocked: plan.Block(evil),
			Source: diag.Pos{File: evil, Line: 1, Column: 1}, Obsolete: []string{evil},
			Fields: []plan.FieldChange{
				{Path: "/name", Before: name, After: name + "!"},
				{Path: "/" + evil, Before: evil, After: evil + "\nmore\n"},
				{Path: "/same", Before: evil + "\nx\n", After: evil + "\ny\n"},
				{Path: "/tools", Before: []any{evil}, After: []any{evil, name}},
				{Path: "/map", After: map[string]any{evil: evil}},
				{Path: "/drift", Before: "a", After: "b", Live: name, Drift: true},
			},
		},
		{Address: cometchat("x"), Name: evil, Action: plan.Create, Blocked: plan.BlockedByNamesake,
			InTheWay: []string{evil},
			Fields:   []plan.FieldChange{{Path: "/name", After: evil}}},
		{Address: cometchat("y"), Name: name, Action: plan.Kept, UID: evil},
	}}
	for _, c := range p.Changes {
		p.Summary.Count(c)
	}
	e := agent.Address{Platform: evil, App: evil, Key: evil}
	p.LikelyRenames = []plan.LikelyRename{{From: e, To: e, Source: diag.Pos{File: evil, Line: 1, Column: 1}}}
	p.Doubted = []agent.AppID{{Platform: evil, App: evil}}
	p.Unmanaged = []plan.Unmanaged{{App: agent.AppID{Platform: evil, App: evil}, UID: evil,
		Name: agent.Fields{"name": evil, evil: evil}}}
	return p
}

// crowd is a plan of n changes: mostly creates and updates of prompts, a few deletes.
func crowd(n int) *plan.Plan {
	p := &plan.Plan{}
	for i := range n {
		c := plan.Change{Address: mindset(fmt.Sprintf("agent-%05d", i)), Name: fmt.Sprintf("Agent %d", i),
			Source: diag.Pos{File: "manifests/hr.yaml", Line: i + 1, Column: 3}}
		switch i % 10 {
		case 0:
			c.Action, c.UID = plan.Delete, fmt.Sprintf("uid-%d", i)
			c.Fields = []plan.FieldChange{{Path: "/agentName", Before: "Agent"}}
		case 1, 2, 3, 4:
			c.Action, c.UID = plan.Update, fmt.Sprintf("uid-%d", i)
			c.Fields = []plan.FieldChange{{Path: "/agentPurpose", Before: oldPurpose, After: newPurpose}}
		default:
			c.Action = plan.Create
			c.Fields = []plan.FieldChange{{Path: "/agentName", After: fmt.Sprintf("Agent %d", i)},
				{Path: "/agentPurpose", After: newPurpose}}
		}
		p.Changes = append(p.Changes, c)
		p.Summary.Count(c)
	}
	return p
}

func problems() diag.List {
	var l diag.List
	l.Errorf(diag.Pos{File: "manifests/b.yaml", Line: 7, Column: 5}, "unknown field %q: did you mean %q", "nmae",
		"name")
	l.Errorf(diag.Pos{File: "manifests/a.yaml"}, "the file is empty: it needs at least \"version: 1\"")
	l.Warnf(diag.Pos{File: "manifests/b.yaml", Line: 9, Column: 22},
		"a credential stands here as it is: use ${secret:NAME}")
	l[0].Address = "cometchat/2754abc/concierge"
	return l
}

func ranReport() *apply.Report {
	return &apply.Report{
		Outcome: apply.OutcomePartial,
		Results: []apply.Result{
			{Address: cometchat("concierge"), Action: plan.Create, Status: apply.StatusDone,
				UID: "0b7e1c1e-0000-4000-8000-000000000009"},
			{Address: cometchat("guide"), Action: plan.Create, Status: apply.StatusFailed, Name: "Guide",
				Source: diag.Pos{File: "manifests/support.yaml", Line: 41, Column: 11},
				Err:    errors.New("POST /v3/ai-agents/agents: 400 Bad Request: ERR_TOOL_NOT_FOUND: no tool is called \"serach\""),
				Hint: "take over the one that is there:\n    agentsync import cometchat/2754abc/guide " +
					"0b7e1c1e-0000-4000-8000-000000000003"},
			{Address: cometchat("helper"), Action: plan.Update, Status: apply.StatusDone, UID: "h",
				Warning: "the platform shows another value for icon than was sent"},
			{Address: mindset("coach"), Action: plan.Create, Status: apply.StatusUnknown,
				Err: errors.New("POST /api/v1/appuid/acme/agents: unexpected EOF")},
			{Address: mindset("tutor"), Action: plan.Replace, Status: apply.StatusNotStarted, UID: "t"},
		},
		Warnings: []string{"mindset/acme could not be listed after the writes: GET /api/v1/appuid/acme/agents: 502 Bad " +
			"Gateway"},
	}
}
