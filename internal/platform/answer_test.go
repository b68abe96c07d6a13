package platform_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/secret"
)

// shape is one that wraps like CometChat's.
func shape(t *testing.T) platform.Shape {
	return platform.Shape{Schema: load(t, "cometchat"), UID: "uid", CreatedAt: "createdAt",
		Wrappers: []string{"data", "agent"}, Lists: []string{"data", "agents"}}
}

func answer(text string) platform.Answer { return platform.Answer{Status: 200, Body: []byte(text)} }

func elements(s platform.Shape, text string) ([]agent.Raw, error) {
	raw, err := answer(text).JSON()
	if err != nil {
		return nil, err
	}
	return s.Elements(raw)
}

func TestElements(t *testing.T) {
	s := shape(t)
	for text, want := range map[string]int{
		`[]`: 0, `[{"uid": "a"}]`: 1, `{"data": [{}, {}]}`: 2, `{"agents": []}`: 0,
		`{"meta": 1, "data": [], "agents": [{}]}`: 0,
		"\ufeff []": 0, `[1]`: 1,
	} {
		t.Run(text, func(t *testing.T) {
			if got, err := elements(s, text); err != nil || len(got) != want {
				t.Errorf("%d agents, %v", len(got), err)
			}
		})
	}
	for _, text := range []string{``, ` `, `null`, `{}`, `{"data": null}`, `{"data": {}}`, `[`, `[] []`, `[{}]x`, `"a"`,
		"\ufeff"} {
		if got, err := elements(s, text); err == nil {
			t.Errorf("%q was taken for a list of %d", text, len(got))
		}
	}
}

// deep is a value that is nested n levels deep.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// One odd agent is one odd agent: the list is read, its uid is known, and the others are as they are.
func TestListedAgentsOfWhichOneIsOdd(t *testing.T) {
	s := shape(t)
	for name, odd := range map[string]string{
		"type": `"tools": "x"`, "an object for a list": `"tools": {"a": 1}`, "number": `"metaData": {"n": 1e999}`,
		"too deep":                    `"metaData": {"a": ` + deep(agent.MaxDepth) + `}`,
		"deeper than any reader goes": `"metaData": {"a": ` + deep(30_000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			list, err := elements(s, `[{"uid": "a", "name": "x"}, {"uid": "b", `+odd+
				`, "name": "y"}, {"uid": "c", "name": "z"}]`)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := s.Listed(list, nil)
			if err != nil || len(got) != 3 {
				t.Errorf("%v, %v", got, err)
				return
			}
			for i, uid := range []string{"a", "b", "c"} {
				if r := got[i]; r.UID != uid || (r.Unreadable != nil) != (uid == "b") ||
					r.Content.IsZero() != (uid == "b") {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	for _, text := range []string{`[{"name": "a"}]`, `[{"uid": "a/b"}]`, `[1]`, `[null]`,
		`[{"uid": "a"}, {"uid": "a"}]`,
		`[{"uid": null}]`} {
		list, err := elements(s, text)
		if err == nil {
			_, err = s.Listed(list, nil)
		}
		if err == nil {
			t.Errorf("%s was taken for a list", text)
		}
	}
}

// The limit is one, for agents with and without what keeps them from the short way.
func TestDepth(t *testing.T) {
	s := shape(t)
	for _, secret := range []string{``, `, "integrationMeta": {"headers": {"a": "b"}}`} {
		for levels, ok := range map[int]bool{agent.MaxDepth - 1: true, agent.MaxDepth: true, agent.MaxDepth +
			1: false} {
			t.Run(fmt.Sprint(levels), func(t *testing.T) {
				// The field's own object is one level.
				text := fmt.Sprintf(`{"uid": "a", "metaData": {"m": %s}%s}`, deep(levels-1), secret)
				if r, err := s.Agent(answer(text)); err != nil || (r.Unreadable == nil) != ok {
					t.Errorf("%d levels%s: %+v, %v", levels, secret, r.Unreadable, err)
				}
			})
		}
	}
}

// What is wide and not deep is read, and so is an agent with a field that nobody knows, however deep that is.
func TestWideIsNotDeep(t *testing.T) {
	s := shape(t)
	for name, text := range map[string]string{
		"wide":    `"metaData": {"m": [` + strings.Repeat("[],", 2*agent.MaxDepth) + `[]]}`,
		"unknown": `"theirs": ` + deep(agent.MaxDepth+1),
	} {
		for _, secret := range []string{``, `, "integrationMeta": {"headers": {"a": "b"}}`} {
			t.Run(name+secret, func(t *testing.T) {
				r, err := s.Agent(answer(`{"uid": "a", "name": "x", ` + text + secret + `}`))
				if err != nil || r.Unreadable != nil || r.Content.Value("name") != "x" {
					t.Errorf("%v, %v", r.Unreadable, err)
				}
			})
		}
	}
}

// An answer that names the new agent is not lost, whatever else it is.
func TestTheUIDComesFirst(t *testing.T) {
	s := shape(t)
	cut := errors.New("cut")
	for text, uid := range map[string]string{
		`{"agent": {"uid": "a", "name": "x`: "a",
		`{"uid": "a"`:                       "a",
		`{"uid" : 42, "x`:                   "42",
		`{"data":{"agent":{"name":"uid","tools":["uid","b"],"uid":"a","m":`:   "a",
		`{"agent": {"metaData": {"uid": "not this"}, "uid": "a"}}]`:           "a",
		`{"uid": "a", "name": half}`:                                          "a",
		`{"metaData": ` + deep(30_000) + `, "uid": "a"}`:                      "a",
		`{"metaData": ` + strings.Repeat(`{"uid":`, 30_000) + `1, "uid": "a"`: "",
		`{"u\u0069d": "a", "x`:                                                "a",
		`{"agent": {"uid": "a`:                                                "",
		`{"uid": 4`:                                                           "",
		`{"uid": true, "x`:                                                    "",
		`{"uid": null, "x`:                                                    "",
		`{"uid": {"uid": "not this"}, "x`:                                     "",
		`{"metaData": {"uid": "not this"}, "na`:                               "",
		`[{"uid": "not this"`:                                                 "",
		`{"list": [{"uid": "not this"}], "x`:                                  "",
		`{"uid": "no / uid", "x`:                                              "",
		`<html>"uid": "a"`:                                                    "",
		``:                                                                    "",
	} {
		t.Run(fmt.Sprintf("%.60s", text), func(t *testing.T) {
			a := answer(text)
			if !strings.HasSuffix(text, "]") && !strings.HasSuffix(text, "half}") {
				a.Cut = cut
			}
			r, err := s.Agent(a)
			switch {
			case uid == "" && err == nil:
				t.Errorf("read as %+v", r)
			case uid != "" && (err != nil || r.UID != uid || r.Unreadable == nil || !r.Content.IsZero()):
				t.Errorf("%+v, %v, want the uid %s", r, err, uid)
			case a.Cut != nil && uid == "" && !errors.Is(err, cut):
				t.Errorf("%v does not say that it was cut", err)
			}
		})
	}
}

// Memory grows with values and not with bytes: texts may be long.
func TestValuesAreBounded(t *testing.T) {
	s := shape(t)
	if _, err := elements(s, "["+strings.Repeat("{},", 2_000_000)+"{}]"); err == nil ||
		!strings.Contains(err.Error(), "values") {
		t.Errorf("two million objects: %v", err)
	}
	if _, err := elements(s, `[{"uid": "a", "name": "`+strings.Repeat(`, \"[{`, 1_000_000)+`"}]`); err != nil {
		t.Errorf("a text with two million commas: %v", err)
	}
	if _, err := elements(s, "["+strings.Repeat("1,", 500_000)+"1]"); err == nil ||
		!strings.Contains(err.Error(), "more than 500000 agents") {
		t.Errorf("half a million agents and one: %v", err)
	}
}

// What a 2xx says in its body is the outcome.
func TestErrorEnvelopes(t *testing.T) {
	for text, done := range map[string]bool{
		`{"error": {"code": "ERR_X", "message": "no"}}`:                     false,
		`{"statusCode": 403, "message": "Forbidden", "error": "Forbidden"}`: false,
		`{"success": false}`: false, `{"data": {"success": false}}`: false, `{"errors": ["no"]}`: false,
		`{"error": "no"}`:     false,
		`{"statusCode": 500}`: false, `{"error": true}`: false, `{"error": 1}`: false,
		`<html>`: false, ``: false, `{"success": true}x`: false,
		`{"success": true}`: true, `{"error": null}`: true, `{"error": false}`: true, `{"error": ""}`: true,
		`{"errors": []}`:      true,
		`{"statusCode": 200}`: true, `{"error": 0}`: true, `{}`: true,
	} {
		t.Run(text, func(t *testing.T) {
			if err := answer(text).NotDone(); (err == nil) != done {
				t.Error(err)
			}
		})
	}
	if err := (platform.Answer{Status: 200, Body: []byte("{}"), Cut: errors.New("cut")}).NotDone(); err == nil {
		t.Error("half an answer is done")
	}
}

// A secret of this run that the platform repeats, in whatever member and spelling, is a secret there too.
func TestEchoedSecretsAreSealed(t *testing.T) {
	s := shape(t)
	const token = "tok-4f9a8b7c6d5e"
	s.Secrets = secret.Whole(token)
	for name, echo := range map[string]string{
		"itself": token, "with more": "Bearer " + token + "!", "upper case": strings.ToUpper(token),
		"base64": base64.StdEncoding.EncodeToString([]byte("user:" + token)), "escaped": `\u0074ok\u002d4f9a8b7c6d5e`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, fields := range []string{
				`"name": "` + echo + `"`, `"metaData": {"config": {"list": ["x", "` + echo + `"]}}`,
				`"integrationMeta": {"baseUrl": "u", "requestHeaders": {"auth": "` + echo + `"}}`, `"tools": ["` +
					echo +
					`"]`,
			} {
				r, err := s.Agent(answer(`{"uid": "a", "isActive": true, ` + fields + `}`))
				if err != nil || r.Unreadable != nil {
					t.Errorf("%s: %+v, %v", fields, r, err)
					continue
				}
				doc, err := agent.Encode(r.Content.Fields().Seal(secret.Sealer{Key: []byte("k")}))
				if err != nil || !doc.HasSecrets() || s.Secrets.In(string(doc)) {
					t.Errorf("%s in %s: %s, %v", echo, fields, doc, err)
				}
			}
		})
	}
	r, err := s.Agent(answer(`{"uid": "a", "metaData": {"` + token + `": "x", "y": "z"}}`))
	if doc, encErr := agent.Encode(r.Content.Fields()); err != nil || encErr != nil ||
		string(doc) != `{"metaData":{"y":"z"}}` {
		t.Errorf("a name that is a secret: %s, %v, %v", doc, err, encErr)
	}
	r, err = s.Agent(answer(`{"uid": "a", "name": "tok-4f9a8b7c6d5f", "metaData": {"y": "100% \u00e9"}}`))
	if doc, encErr := agent.Encode(r.Content.Fields()); err != nil || encErr != nil ||
		!strings.Contains(string(doc), "tok-4f9a8b7c6d5f") {
		t.Errorf("another text: %s, %v, %v", doc, err, encErr)
	}
}
