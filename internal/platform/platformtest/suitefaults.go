package platformtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/internal/sandbox"
	"agentsync/internal/secret"
)

// faultTrial is one fault of the sandbox and what must come of a request that meets it.
type faultTrial struct {
	fault string
	class platform.Class
	// done is whether the platform carried the request out.
	done bool
	// says is part of the error, where the words matter.
	says string
	// timeout is the request's time limit, where the fault needs one to end.
	timeout time.Duration
}

// writeTrials hold for create, update and delete alike.
func writeTrials() []faultTrial {
	list := []faultTrial{
		{fault: "drop-before", class: platform.Unknown},
		{fault: "drop-after", class: platform.Unknown, done: true},
		{fault: "status-before=500", class: platform.Unknown},
		{fault: "status-after=500", class: platform.Unknown, done: true},
		{fault: "status-before=500 body=empty", class: platform.Unknown, says: "an empty body"},
		{fault: "html", class: platform.Unknown, says: "an HTML page"},
		{fault: "status-before=500 body=deflate", class: platform.Unknown, says: "bytes that are no text"},
		{fault: "status-before=400 body=bom", class: platform.Refused, says: "the sandbox was told to answer 400"},
		{fault: "not-done=error", class: platform.Unknown, says: "200 OK: "},
		{fault: "not-done=status", class: platform.Unknown, says: "200 OK: "},
		{fault: "not-done=false", class: platform.Unknown, says: "the answer says that it was not done"},
		{fault: "not-done=html", class: platform.Unknown, says: "an HTML page"},
		{fault: "not-done=list", class: platform.Unknown},
		{fault: "not-done=nothing", class: platform.Unknown},
		{fault: "throttle=2s", class: platform.Throttled},
		{fault: "throttle=2000s", class: platform.Refused, says: "asks to wait for too long: 33m20s"},
		{fault: "unavailable=2000s", class: platform.Refused, says: "asks to wait for too long: 33m20s"},
		{fault: "throttle=2s retry-as=date", class: platform.Throttled},
		{fault: "throttle retry-as=none", class: platform.Throttled},
		{fault: "unavailable=2s", class: platform.Throttled},
		{fault: "unavailable retry-as=none", class: platform.Unknown},
		{fault: "redirect=307", class: platform.Unknown, says: "not followed"},
		{fault: "redirect=308", class: platform.Unknown, says: "not followed"},
		{fault: "hang-before", class: platform.Unknown, says: "in time", timeout: 200 * time.Millisecond},
		{fault: "hang-after", class: platform.Unknown, done: true, says: "in time", timeout: 200 * time.Millisecond},
	}
	for _, status := range []string{"400", "401", "402", "403", "405", "406", "410", "412", "413", "415", "418", "422",
		"423", "451"} {
		list = append(list, faultTrial{fault: "status-before=" + status, class: platform.Refused, says: ": " + status})
	}
	for _, status := range []string{"408", "409", "425", "499", "501", "502", "503", "504"} {
		list = append(list, faultTrial{fault: "status-before=" + status, class: platform.Unknown, says: ": " + status})
	}
	return list
}

// answerTrials are faults in the body of an answer, which is read where it says something.
func answerTrials() []faultTrial {
	return []faultTrial{
		{fault: "cut-body", class: platform.Unknown, done: true, says: "cut short"},
		{fault: "garbage", class: platform.Unknown, done: true, says: "not JSON"},
		{fault: "garbage=html", class: platform.Unknown, done: true, says: "an HTML page"},
		{fault: "garbage=empty", class: platform.Unknown, done: true, says: "an empty body"},
		{fault: "garbage=deflate", class: platform.Unknown, done: true, says: "bytes that are no text"},
	}
}

// testOdd: one odd agent is one odd agent. Its uid is known, and the others are as they are.
func testOdd(t *testing.T, f Fixture) {
	shared := newFaultyRig(t, f, sandbox.Options{Now: tickingClock(1)})
	for _, form := range []string{"list", "deep", "number", "no-name", "null", "no-time"} {
		t.Run(form, func(t *testing.T) {
			r := shared.script(t, "odd-agents="+form+" agent=Odd*")
			var made []platform.Remote
			for _, name := range []string{"First", "Odd one", "Last"} {
				made = append(made, r.create(f.named(name)))
			}
			list, err := r.client.List(t.Context())
			if err != nil || len(list) != len(made) {
				t.Fatalf("listed %d agents, %v", len(list), err)
			}
			for i, one := range list {
				odd := i == 1 && (form == "list" || form == "deep")
				if one.UID != made[i].UID || (one.Unreadable != nil) != odd || one.Content.IsZero() != odd {
					t.Errorf("agent %d is %s, unreadable: %v", i, one.UID, one.Unreadable)
				}
			}
		})
	}
	t.Run("no-uid", func(t *testing.T) {
		r := shared.script(t, "odd-agents=no-uid agent=Odd* op=list")
		r.create(f.named("Odd one"))
		if list, err := r.client.List(t.Context()); platform.ClassOf(err) != platform.Unknown || list != nil {
			t.Errorf("a list with an agent that nobody can name: %v, %v", list, err)
		}
	})
}

// testListEnds: a list ends in any of the ways in which one may, with any number of agents.
func testListEnds(t *testing.T, f Fixture) {
	for _, end := range []string{"list-end=404", "list-end=200", "null-list"} {
		if end == "null-list" && !f.NullLists {
			continue
		}
		for n := range 7 {
			t.Run(fmt.Sprintf("%s with %d", end, n), func(t *testing.T) {
				r := newFaultyRig(t, f, sandbox.Options{Now: tickingClock(1), PageSize: 3}).script(t, end)
				for i := range n {
					r.create(f.named(fmt.Sprintf("agent %d", i)))
				}
				if list, err := r.client.List(t.Context()); err != nil || len(list) != n {
					t.Errorf("%d agents, %v", len(list), err)
				}
			})
		}
	}
}

// testEchoes: a secret of the run that the platform repeats elsewhere is a secret there too.
func testEchoes(t *testing.T, f Fixture) {
	r := newFaultyRig(t, f, sandbox.Options{}).script(t, "echo-secrets")
	made := r.create(f.Full)
	for _, one := range append(r.list(), made) {
		doc, err := agent.Encode(one.Content.Fields().Seal(secret.Sealer{Key: []byte("k")}))
		if err != nil {
			t.Fatal(err)
		}
		for _, plain := range r.secrets() {
			if strings.Contains(string(doc), plain) {
				t.Errorf("a secret is kept in clear: %s", doc)
			}
		}
	}
}

func testCreateFaults(t *testing.T, f Fixture) {
	shared := newFaultyRig(t, f, sandbox.Options{})
	for _, tr := range append(writeTrials(), answerTrials()...) {
		t.Run(tr.fault, func(t *testing.T) {
			r := shared.script(t, tr.fault+" method=POST")
			_, err := r.clientWith(rigKey, tr.timeout).Create(t.Context(), agent.ContentOf(f.Full))
			r.checkTrial(tr, "POST", "create", err)
			if made := len(r.agents()) == 1; made != tr.done {
				t.Errorf("an agent was made: %v, want %v", made, tr.done)
			}
		})
	}
}

func testChangeFaults(t *testing.T, f Fixture) {
	shared := newFaultyRig(t, f, sandbox.Options{})
	for _, tr := range writeTrials() {
		t.Run("update/"+tr.fault, func(t *testing.T) {
			r := shared.script(t, tr.fault+" op=update")
			made := r.create(f.Full)
			_, err := r.clientWith(rigKey, tr.timeout).Update(t.Context(), made.UID, f.someChange())
			r.checkTrial(tr, "PATCH", "update", err)
			if changed := r.agents()[0].Name == f.Change[f.identity()]; changed != tr.done {
				t.Errorf("the agent was changed: %v, want %v", changed, tr.done)
			}
		})
		t.Run("delete/"+tr.fault, func(t *testing.T) {
			r := shared.script(t, tr.fault+" op=delete")
			made := r.create(f.Full)
			r.checkTrial(tr, "DELETE", "delete", r.clientWith(rigKey, tr.timeout).Delete(t.Context(), made.UID))
			if gone := len(r.agents()) == 0; gone != tr.done {
				t.Errorf("the agent is gone: %v, want %v", gone, tr.done)
			}
		})
	}
}

// checkTrial checks an error against the trial, and that exactly one request arrived.
func (r *adapterRig) checkTrial(tr faultTrial, method, op string, err error) {
	r.t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) {
		r.t.Fatalf("error %v, want a *platform.Error", err)
	}
	if e.Class != tr.class || e.NeverSent {
		r.t.Errorf("%v is %v (never sent: %v), want %v", err, e.Class, e.NeverSent, tr.class)
	}
	if e.Method != method || !strings.Contains(e.Path, "/agents") || !strings.Contains(err.Error(), tr.says) {
		r.t.Errorf("%q does not say %s, the path and %q", err, method, tr.says)
	}
	if strings.Contains(tr.fault, "=2s") && (e.RetryAfter < time.Second || e.RetryAfter > 3*time.Second) {
		r.t.Errorf("retry after %v, want about 2s", e.RetryAfter)
	}
	if n := r.count(op); n != 1 {
		r.t.Errorf("%d requests arrived, want 1", n)
	}
	r.noSecrets(err)
}

// testListFaults: a list is whole, or it is an error.
func testListFaults(t *testing.T, f Fixture) {
	shared := newFaultyRig(t, f, sandbox.Options{Now: tickingClock(1)})
	for _, fault := range []string{
		"drop-before", "status-before=500", "html", "empty", "cut-body", "garbage", "repeat-page",
		"redirect=307", "throttle=2s",
	} {
		t.Run(fault, func(t *testing.T) {
			r := shared.script(t, fault+" op=list")
			for range 2 {
				r.create(f.Full)
			}
			list, err := r.client.List(t.Context())
			if err == nil || list != nil {
				t.Errorf("listed %d agents, error %v", len(list), err)
			}
			if c := platform.ClassOf(err); c != platform.Unknown && c != platform.Throttled {
				t.Errorf("%v is %v", err, c)
			}
			r.noSecrets(err)
		})
	}
	t.Run("lag", func(t *testing.T) {
		r := shared.script(t, "lag-lists=1 op=create")
		r.create(f.Full)
		if got := r.list(); len(got) != 0 {
			t.Errorf("the first list shows %v", got)
		}
		if got := r.list(); len(got) != 1 {
			t.Errorf("the second list shows %v", got)
		}
	})
}
