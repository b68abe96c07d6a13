package apply_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/apply"
	"agentsync/internal/platform"
	"agentsync/internal/platform/platformtest"
)

// What is recorded as observed when an update is answered: of what was not sent, nothing that nobody saw, and nothing
// that somebody else put there.

// unreadable are lists whose agents have a uid and nothing else that can be read.
func unreadable(all []platform.Remote) []platform.Remote {
	for i := range all {
		all[i].Content, all[i].Unreadable = agent.Content{}, errors.New("a list where a text should be")
	}
	return all
}

// An agent that the lists show without anything that can be read: what was observed of the fields that are not sent
// stays.
func TestAnAgentThatCannotBeReadKeepsWhatWasObserved(t *testing.T) {
	w := newWorld(t)
	w.want, w.refresh = []agent.Desired{coach("a")}, true
	w.mustApply()
	w.memory[mind].Set("agent-0001", "agentPersonality", "Theirs.")
	w.seeAgain()
	w.want[0].Fields["agentPurpose"] = "New."
	w.client[mind] = altered{Client: w.memory[mind], list: unreadable}
	w.mustApply()
	seen, err := w.load(w.file()).State.Agents[w.want[0].Address].Observed.Fields()
	if err != nil || seen["agentPersonality"] != "Theirs." || seen["agentPurpose"] != "New." {
		t.Errorf("%v, %v", seen, err)
	}
}

// The list before an update cannot be read, and the one after it shows the old value: that it was the value before, the
// record says.
func TestAnIgnoredUpdateBehindAListThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh = []agent.Desired{coach("a", "agentPurpose", "Old.")}, true
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "New."
		lists := 0
		w.client[mind] = altered{Client: platformtest.WithFaults(w.memory[mind], platformtest.Fault{
			Op: platformtest.OpUpdate, Ignored: true}), list: func(all []platform.Remote) []platform.Remote {
			if lists++; lists == 1 {
				return unreadable(all)
			}
			return all
		}}
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusFailed) != 1 {
			t.Errorf("%v\n%s", err, describe(rep))
		}
	})
}

// answersBefore answers an update with the agent as it was before it.
type answersBefore struct{ platform.Client }

func (a answersBefore) Update(ctx context.Context, uid string, _ agent.Fields) (platform.Remote, error) {
	if err := platform.Leaving(ctx); err != nil {
		return platform.Remote{}, &platform.Error{Class: platform.Refused, Method: "PATCH", NeverSent: true, Err: err}
	}
	return a.Client.Read(ctx, uid)
}

// An update is answered with the agent as it was, and no list comes after it: the next apply that looks sends it again.
func TestAnAnswerThatShowsTheOldValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want, w.refresh = []agent.Desired{coach("a", "agentPurpose", "Old.")}, true
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "New."
		w.client[mind] = platformtest.WithFaults(answersBefore{w.memory[mind]}, platformtest.Fault{
			Op: platformtest.OpList, Nth: 2, Class: platform.Unknown})
		if rep, err := w.apply(t.Context()); err != nil || rep.Unread != 1 {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		w.client[mind] = w.memory[mind]
		w.mustApply()
		w.check()
		if purpose := w.memory[mind].Agents()[0].Content.Value("agentPurpose"); purpose != "New." {
			t.Errorf("the platform has %v", purpose)
		}
	})
}

// What an update is answered with is observed, also where no list comes after it.
func TestTheAnswerToAnUpdateIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old.")}
		w.mustApply()
		w.want[0].Fields["agentPurpose"] = "New. "
		w.client[mind] = platformtest.WithFaults(platformtest.WithRewrite(w.memory[mind], texts(strings.TrimSpace)),
			platformtest.Fault{Op: platformtest.OpList, Class: platform.Unknown})
		if rep, err := w.apply(t.Context()); err != nil || rep.Unread != 1 {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		seen, err := w.load(w.file()).State.Agents[w.want[0].Address].Observed.Fields()
		if err != nil || seen["agentPurpose"] != "New." || seen["agentName"] != "Coach a" {
			t.Errorf("%v, %v", seen, err)
		}
	})
}

// Somebody renames an agent, and the team changes another field of it without a refresh while another agent is made:
// the list that this needs shows the foreign name, and it does not pass for the platform's own.
func TestAListForACreateSwallowsNoDrift(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a")}
	w.mustApply()
	w.memory[mind].Set("agent-0001", "agentName", "Theirs")
	w.want[0].Fields["agentPurpose"] = "New."
	w.want = append(w.want, coach("b"))
	w.mustApply()
	w.refresh = true
	w.mustApply()
	if name := w.memory[mind].Agents()[0].Content.Value("agentName"); name != "Coach a" {
		t.Errorf("the name is %v", name)
	}
	w.check()
}

// An update has no answer, and then its field is left to others: the next one does not send it with its own.
func TestAFieldThatIsLeftToOthersIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{coach("a", "agentPurpose", "Old.", "formatting", "Old.")}
		w.mustApply()
		w.want[0].Fields["agentPurpose"], w.want[0].Fields["formatting"] = "New.", "New."
		w.ending(false)
		w.want[0].IgnoreChanges = []string{"agentPurpose"}
		w.want[0].Fields["agentName"] = "Another"
		faulty := platformtest.WithFaults(w.memory[mind], platformtest.Fault{Op: platformtest.OpList, Nth: 1,
			Class: platform.Unknown})
		w.client[mind] = faulty
		if rep, err := w.apply(t.Context()); err != nil || rep.Count(apply.StatusDone) != 1 {
			t.Fatalf("%v\n%s", err, describe(rep))
		}
		for _, c := range faulty.Log() {
			if _, sent := c.Fields["agentPurpose"]; c.Op == platformtest.OpUpdate && (sent || len(c.Fields) != 2) {
				t.Errorf("sent %v", c.Fields)
			}
		}
	})
}

// Somebody made a change at the platform that the manifest asks for later. It is not sent, and counts as seen.
func TestWhatIsThereAlreadyIsObserved(t *testing.T) {
	w := newWorld(t)
	w.want, w.refresh = []agent.Desired{coach("a", "formatting", "Old.")}, true
	w.mustApply()
	w.memory[mind].Set("agent-0001", "formatting", "New.")
	w.want[0].Fields["formatting"], w.want[0].Fields["agentPurpose"] = "New.", "New."
	faulty := platformtest.WithFaults(w.memory[mind])
	w.client[mind] = faulty
	w.mustApply()
	seen, err := w.load(w.file()).State.Agents[w.want[0].Address].Observed.Fields()
	if err != nil || seen["formatting"] != "New." {
		t.Errorf("%v, %v", seen, err)
	}
	w.check()
}

// A list that lags does not show what was made just now: that is told, and is no failure.
func TestANewAgentThatIsNotListedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want = []agent.Desired{concierge("a")}
		w.client[comet] = platformtest.WithLag(w.memory[comet], platformtest.Lag{For: time.Hour})
		if rep := w.mustApply(); rep.Results[0].Warning != "the platform's list does not show the agent yet" {
			t.Errorf("warning %q", rep.Results[0].Warning)
		}
	})
}

// What a manifest leaves to others stays as it was observed, also where the list shows it as it is wanted.
func TestWhatIsLeftToOthersStaysAsItWasObserved(t *testing.T) {
	w := newWorld(t)
	w.want = []agent.Desired{coach("a", "formatting", "Short.")}
	w.want[0].IgnoreChanges = []string{"formatting"}
	w.mustApply()
	w.memory[mind].Set("agent-0001", "formatting", "Theirs.")
	w.want[0].Fields["formatting"], w.want[0].Fields["agentPurpose"] = "Theirs.", "New."
	w.want = append(w.want, coach("b")) // for which the app is listed
	w.mustApply()
	seen, err := w.load(w.file()).State.Agents[w.want[0].Address].Observed.Fields()
	if err != nil || seen["formatting"] != "Short." {
		t.Errorf("%v, %v", seen, err)
	}
}
