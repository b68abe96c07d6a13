package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/sandbox"
)

func sprint(v any) string { return fmt.Sprint(v) }

// with puts members into a JSON object that is not empty.
func with(object, members string) string { return "{" + members + "," + object[1:] }

func TestRefusesWhatTheContractRefuses(t *testing.T) {
	r := start(t, sandbox.Options{Tools: []string{"weather"}, Actions: []string{"handoff"}, Contexts: []string{"c1"}})
	cometUID := r.create(comet, strings.Replace(fullComet, `"isActive":false,`, "", 1))["uid"].(string)
	mindUID := r.create(mind, newMind)["uid"].(string)
	cometOne, mindOne := comet+"/"+cometUID, mind+"/uid/"+mindUID
	made := r.made()
	meta := func(kind, meta string) string {
		return with(strings.Replace(newComet, "mastra", kind, 1), `"integrationMeta":`+meta)
	}
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		says                     string
	}{
		{"no key", "GET", comet, "", []string{"apikey: "}, 401, "AUTH_ERR_EMPTY_APIKEY"},
		{"wrong key", "GET", comet, "", []string{"apikey: wrong-1"}, 401, "AUTH_ERR_APIKEY_NOT_FOUND"},
		{"forbidden key", "GET", comet, "", []string{"apikey: forbidden-1"}, 403, "AUTH_ERR_NO_ACCESS"},
		{"no key, Mindset", "GET", mind, "", []string{"x-api-key: "}, 401, "Unauthorized"},
		{"forbidden key, Mindset", "GET", mind, "", []string{"x-api-key: forbidden"}, 403, "Forbidden"},
		{"API version", "GET", comet, "", []string{"chatApiVersion: v2"}, 400, "chatApiVersion"},
		{"query", "GET", comet + "?limit=5", "", nil, 400, "limit"},
		{"query, Mindset", "GET", mind + "?limit=5", "", nil, 400, "limit"},
		{"startAfter", "GET", mind + "?startAfter=yesterday", "", nil, 400, "ISO 8601"},
		{"content type", "POST", comet, newComet, []string{"Content-Type: text/plain"}, 415, "application/json"},
		{"no content type", "POST", mind, newMind, []string{"Content-Type: "}, 415, "application/json"},
		{"empty body", "POST", comet, "", nil, 400, "unexpected EOF"},
		{"no JSON", "POST", comet, "{", nil, 400, "JSON"},
		{"no object", "POST", comet, "[]", nil, 400, "object"},
		{"trailing data", "POST", comet, newComet + "{}", nil, 400, "after the end"},
		{"key twice", "POST", comet, with(newComet, `"name":"x"`), nil, 400, "name stands twice"},
		{"key twice, deep", "POST", comet, with(newComet, `"metaData":{"a":{"b":1,"b":2}}`), nil, 400,
			"metaData.a.b stands twice"},
		{"key twice, escaped", "POST", comet, with(newComet, `"n\u0061me":"x"`), nil, 400, "name stands twice"},
		{"key twice, in a list", "POST", comet, with(newComet, `"metaData":{"a":[{"\"":"{,"},{"b":1,"b":[]}]}`), nil,
			400,
			"metaData.a.b stands twice"},
		{"not UTF-8", "POST", mind, "{\"agentName\":\"\xff\"}", nil, 400, "UTF-8"},
		{"too deep", "POST", comet, with(newComet, `"metaData":{"a":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+
			`}`),
			nil, 400, "nested"},
		{"too long", "POST", comet, with(newComet, `"metaData":{"a":"`+strings.Repeat("x", 1<<20)+`"}`), nil, 413,
			"longer"},

		{"unknown field", "POST", comet, with(newComet, `"key":"x"`), nil, 400, "ERR_AGENT_CREATION_FAILED"},
		{"instruction", "POST", comet, with(newComet, `"instruction":"x"`), nil, 400, "instruction"},
		{"no icon", "POST", comet, strings.Replace(newComet, `"icon":"https://cdn.example.com/a.png",`, "", 1), nil,
			400,
			"icon is required"},
		{"empty name", "POST", comet, strings.Replace(newComet, "Concierge", "", 1), nil, 400, "at least 1"},
		{"long name", "POST", comet, nameComet(strings.Repeat("ä", 101)), nil, 400, "at most 100"},
		{"name is a number", "POST", comet, strings.Replace(newComet, `"Concierge"`, "7", 1), nil, 400, "string"},
		{"name is null", "PATCH", cometOne, `{"name":null}`, nil, 400, "string"},
		{"icon is no URL", "PATCH", cometOne, `{"icon":"bot.png"}`, nil, 400, "URL"},
		{"isActive", "PATCH", cometOne, `{"isActive":"true"}`, nil, 400, "true or false"},
		{"integrateWith", "PATCH", cometOne, `{"integrateWith":"other"}`, nil, 400, "one of"},
		{"integrationType", "PATCH", cometOne, `{"integrationType":"bot"}`, nil, 400, "one of"},
		{"nothing to change", "PATCH", cometOne, `{}`, nil, 400, "nothing"},
		{"tools", "PATCH", cometOne, `{"tools":"weather"}`, nil, 400, "array"},
		{"unknown tool", "POST", comet, with(newComet, `"tools":["weather","nope"]`), nil, 400, "ERR_TOOL_NOT_FOUND"},
		{"unknown action", "PATCH", cometOne, `{"actions":["nope"]}`, nil, 400, "ERR_TOOL_NOT_FOUND"},
		{"metaData", "PATCH", cometOne, `{"metaData":{"suggestedMessages":["a",1]}}`, nil, 400,
			"suggestedMessages item 1"},
		{"metaData is a list", "PATCH", cometOne, `{"metaData":[]}`, nil, 400, "object"},

		{"no baseUrl", "POST", comet, meta("mastra", `{"agentId":"x"}`), nil, 400, "baseUrl"},
		{"empty meta", "POST", comet, meta("mastra", `{}`), nil, 400, "baseUrl"},
		{"http baseUrl", "POST", comet, meta("rasa", `{"baseUrl":"http://b.example"}`), nil, 400, "https"},
		{"headers at mastra", "POST", comet, meta("mastra", `{"baseUrl":"https://b.example","headers":{}}`), nil, 400,
			"headers should not exist"},
		{"header text at langgraph", "POST", comet,
			meta("langgraph", `{"baseUrl":"https://b.example","headers":"a: b"}`),
			nil, 400, "an object of strings"},
		{"header map at agno", "POST", comet, meta("agno", `{"baseUrl":"https://b.example","headers":{}}`), nil, 400,
			"a string"},
		{"header number", "POST", comet, meta("crewai", `{"baseUrl":"https://b.example","headers":{"a":1}}`), nil, 400,
			"strings"},
		{"agentId at ag2", "POST", comet, meta("ag2", `{"baseUrl":"https://b.example","agentId":"x"}`), nil, 400,
			"agentId"},
		{"kind that its meta does not fit", "PATCH", cometOne, `{"integrateWith":"mastra"}`, nil, 400,
			"headers should not exist"},

		{"no agentName", "POST", mind, `{"live":true}`, nil, 400, "agentName is required"},
		{"empty agentName", "POST", mind, `{"agentName":""}`, nil, 400, "at least 1"},
		{"long agentName", "POST", mind, nameMind(strings.Repeat("🤖", 51)), nil, 400, "at most 50"},
		{"empty purpose", "POST", mind, with(newMind, `"agentPurpose":""`), nil, 400, "at least 1"},
		{"long purpose", "PATCH", mindOne, `{"agentPurpose":"` + strings.Repeat("x", 1001) +
			`"}`, nil, 400, "at most 1000"},
		{"too many tags", "PATCH", mindOne, `{"tags":["1","2","3","4","5","6","7","8","9","10","11"]}`, nil, 400,
			"at most 10"},
		{"short mcpserver", "POST", mind, with(newMind, `"mcpserverUids":["short"]`), nil, 400, "at least 20"},
		{"long context", "PATCH", mindOne, `{"contextUids":["` + strings.Repeat("x", 31) +
			`"]}`, nil, 400, "at most 30"},
		{"access", "PATCH", mindOne, `{"access":"open"}`, nil, 400, "one of"},
		{"tenant with a space", "POST", mind, with(newMind, `"externalTenantId":"a b"`), nil, 400, "match"},
		{"tenant on update", "PATCH", mindOne, `{"externalTenantId":"t"}`, nil, 400, "cannot be changed"},
		{"unknown field, Mindset", "PATCH", mindOne, `{"name":"x"}`, nil, 400, "should not exist"},

		{"unknown agent", "DELETE", comet + "/nope", "", nil, 404, "ERR_AGENT_NOT_FOUND"},
		{"unknown agent, Mindset", "GET", mind + "/uid/nope", "", nil, 404, "nope"},
		{"unknown context", "PATCH", mindOne, `{"contextUids":["c1","c2"]}`, nil, 400, "there is no context c2"},
		{"unknown path", "GET", "/v3/agents", "", nil, 404, "<pre>Cannot GET"},
		{"trailing slash", "GET", comet + "/", "", nil, 404, "Cannot GET"},
		{"bad app", "GET", "/cometchat/%2e%2e/v3/ai-agents/agents", "", nil, 404, "Cannot GET"},
		{"unknown path, Mindset", "GET", "/api/v3/appuid/acme/agents", "", nil, 404, "Cannot GET"},
		{"read of one at CometChat", "GET", cometOne, "", nil, 405, "not allowed"},
		{"PUT", "PUT", mindOne, "{}", nil, 405, "not allowed"},
		{"DELETE of all", "DELETE", mind, "", nil, 405, "not allowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := r.send(tc.method, tc.path, tc.body, tc.headers...)
			if got.err != nil || got.status != tc.status || !strings.Contains(got.body, tc.says) {
				t.Errorf("%d %s %v, want %d and %q", got.status, got.body, got.err, tc.status, tc.says)
			}
			if (tc.status == 405) != (got.header.Get("Allow") != "") {
				t.Errorf("Allow: %q", got.header.Get("Allow"))
			}
			if r.made() != made {
				t.Errorf("%d agents, want %d", r.made(), made)
			}
		})
	}
}

func TestTakesWhatTheContractTakes(t *testing.T) {
	r := start(t, sandbox.Options{Tools: []string{"only"}, Actions: []string{"this"},
		Keys: []string{"k", "wrong-but-right"}})
	for i, body := range []string{
		`"integrateWith":"mastra","integrationMeta":{"baseUrl":"https://b.example","agentId":"x"}`,
		`"integrateWith":"mastra-legacy","integrationMeta":{"baseUrl":"https://b.example","agentId":"x"}`,
		`"integrateWith":"langgraph","integrationMeta":{"baseUrl":"https://b.example","headers":{"a":"b"}}`,
		`"integrateWith":"crewai","integrationMeta":{"baseUrl":"https://b.example","headers":{"a":"b"}}`,
		`"integrateWith":"vercelV5","integrationMeta":{"baseUrl":"https://b.example","headers":{}}`,
		`"integrateWith":"ag2","integrationMeta":{"baseUrl":"https://b.example","defaultUserId":"u","headers":"a: b"}`,
		`"integrateWith":"rasa","integrationMeta":{"baseUrl":"https://b.example","headers":"a: b"}`,
		`"integrateWith":"agno","integrationMeta":{"baseUrl":"https://b.example","agentId":"x","headers":"a: b"}`,
		`"integrateWith":"ag-ui","integrationMeta":{"baseUrl":"https://b.example"},"tools":["only"],"actions":["this"]`,
	} {
		name := strings.Repeat("ä", 100-i)
		r.must(200, "POST", comet, `{"name":"`+name+`","icon":"http://i.example/","integrationType":"agent",`+body+`}`,
			"Content-Type: application/json; charset=utf-8", "chatApiVersion: v3.0", "apikey: wrong-but-right")
	}
	r.must(401, "GET", comet, "", "apikey: another")
	r.must(400, "POST", comet, with(newComet, `"tools":["weather"]`))

	r.must(200, "POST", comet,
		with(newComet, `"metaData":{"a":[{"b":{"b":"\"b\":"}},{"b":"b"},"b","b"],"b":[["b"],{}]}`),
		"apikey: k")
	name50 := r.create(mind, nameMind(strings.Repeat("🤖", 50)))
	one := mind + "/uid/" + name50["uid"].(string)
	r.must(200, "PATCH", one,
		`{"agentName":"","agentPurpose":"","formatting":"","contextUids":[],"mcpserverUids":["short",""],"tags":[""]}`)
}
