package sandbox_test

import (
	"strings"
	"testing"

	"agentsync/internal/sandbox"
)

func TestParseFaults(t *testing.T) {
	got, err := sandbox.ParseFaults("drop-after platform=mindset nth=3",
		"# a file\n\n  latency=5ms\tjitter=1ms # why\nthrottle name=\"A # b\"\r\n", "")
	if err != nil {
		t.Fatal(err)
	}
	want := "drop-after platform=mindset nth=3\nlatency=5ms jitter=1ms\nthrottle name=\"A # b\""
	if got.String() != want {
		t.Errorf("read\n%s\nwant\n%s", got, want)
	}
	back, err := sandbox.ParseFaults(got.String())
	if err != nil || back.String() != want {
		t.Errorf("read again\n%s\n%v", back, err)
	}
}

func TestParseFaultsSaysWhatWouldBeRight(t *testing.T) {
	for rule, want := range map[string]string{
		"drop-aftr":                  `fault rule 1: "drop-aftr" is no fault: there are cap-list, clock, cut-body,`,
		"latency":                    "latency: write latency=2s",
		"latency=5":                  `latency: want a time such as 50ms or 2s, up to 24h, not "5"`,
		"latency=-5s":                "want a time",
		"drop-after=1":               "drop-after: takes no value",
		"status-before":              "write status-before=503",
		"status-after=200":           `want a status from 400 to 599, not "200"`,
		"redirect=301":               `redirect: want 307 or 308, not "301"`,
		"redirect=307 to=elsewhere":  `redirect: to: want a URL, not "elsewhere"`,
		"lag-lists=0":                "want a whole number above 0",
		"short-list=x":               "want a whole number above 0",
		"rewrite=name":               "want FIELD:HOW",
		"rewrite":                    "write rewrite=FIELD:HOW",
		"drop-after nth=x":           `drop-after: nth: want a whole number above 0, not "x"`,
		"drop-after p=1.5":           "want a number above 0 and up to 1",
		"drop-after p=NaN":           "want a number above 0 and up to 1",
		"drop-after seed=-1":         "want a whole number",
		"drop-after platform=slack":  `platform: want one of cometchat, mindset, not "slack"`,
		"drop-after method=PUT":      "method: want one of GET, POST, PATCH, DELETE",
		"short-list op=create":       `short-list: op: want one of list, tools, contexts, not "create"`,
		"drop-after op=make":         "op: want one of create, list, read, update, delete, tools, contexts",
		"drop-after twice":           `"twice" is no limit: write name=value`,
		"drop-after jitter=1s":       "jitter: there is no such limit: there are platform, app,",
		"throttle retry-as=x":        "want one of seconds, date, none",
		"status-before=500 body=xml": "want one of json, html, empty, deflate, bom",
		`drop-after name="A`:         `a " is not closed`,
		"drop-before\nnope\nhtml=9":  "fault rule 2: \"nope\" is no fault",
		"nope\nhtml=9":               "fault rule 2: html: want a status",
	} {
		t.Run(rule, func(t *testing.T) {
			faults, err := sandbox.ParseFaults(rule)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v (%v), want %q", err, faults, want)
			}
		})
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("drop-after platform=mindset method=POST nth=3")
	f.Add("latency=50ms jitter=20ms # slow\nthrottle=2s name=\"Support *\" retry-as=date")
	f.Add("rewrite=name:trim p=0.5 seed=3\nredirect=307 to=http://x/")
	f.Fuzz(func(t *testing.T, script string) {
		faults, err := sandbox.ParseFaults(script)
		if err != nil {
			return
		}
		again, err := sandbox.ParseFaults(faults.String())
		if err != nil || again.String() != faults.String() {
			t.Errorf("%q became %q: %v", faults, again, err)
		}
	})
}

// FuzzBody: whatever the body, the answer is one of the contract's and nothing is made by a refusal.
func FuzzBody(f *testing.F) {
	for _, body := range []string{newComet, fullComet, newMind, fullMind, "", "{", `{"a":[[{}]]}`,
		`{"name":"a","name":"b"}`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s, err := sandbox.New(sandbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range []string{comet, mind} {
			made := len(s.Agents("", ""))
			answer := ask(t, s, "POST", path, body)
			ok := answer.Code == 200 && len(s.Agents("", "")) == made+1
			refused := (answer.Code == 400 || answer.Code == 413) && len(s.Agents("", "")) == made
			if !ok && !refused {
				t.Errorf("%d: %d %s with %d agents", i, answer.Code, answer.Body, len(s.Agents("", "")))
			}
		}
	})
}
