package torture

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Each test of this file is a way in which two agents were made for one address.

// TestCreateTakesEffectAfterItsTimeLimit: the platform carries a create out although the client has closed the
// connection, later than the whole grace period would last if it began when the request left.
func TestCreateTakesEffectAfterItsTimeLimit(t *testing.T) {
	var s *site
	var first atomic.Bool
	late := make(chan struct{})
	s = newSite(t, manners{before: func(q *query) bool {
		if q.op != "create" || first.Swap(true) {
			return false
		}
		q.until()
		time.AfterFunc(1500*time.Millisecond, func() {
			s.put(q.platform, q.fields)
			close(late)
		})
		return true
	}})
	s.write(concierge("a"))
	s.apply(0, "--timeout", "2s", "--settle-timeout", "3s")
	<-late
	s.whole("Concierge a")
}

// TestListThatLagsUnderRefresh: what was just made is not listed yet, and another run asks what is live.
func TestListThatLagsUnderRefresh(t *testing.T) {
	for name, saved := range map[string]bool{"apply": false, "saved plan": true} {
		t.Run(name, func(t *testing.T) {
			var lagging atomic.Bool
			s := newSite(t, manners{list: func(_ string, all []*being) []*being {
				if lagging.Load() {
					return slices.DeleteFunc(all, func(a *being) bool {
						return strings.HasSuffix(nameOf(a.fields), " new")
					})
				}
				return all
			}})
			s.write(concierge("a"), coach("a"))
			s.apply(0)
			lagging.Store(true)
			both := []string{concierge("a"), coach("a"), concierge("new"), coach("new")}
			s.write(both...)
			s.run(quick("apply", "--auto-approve")...) // what it says of the list is not the point
			if saved {
				s.run("plan", "--refresh", "--out", "plan.bin")
				s.run(quick("apply", "--auto-approve", "--plan", "plan.bin")...)
			}
			s.run(quick("apply", "--auto-approve", "--refresh")...)
			lagging.Store(false)
			s.apply(0)
			s.whole("Concierge a", "Coach a", "Concierge new", "Coach new")
		})
	}
}

// TestListThatIsCut: CometChat lists four of six agents. Neither apply nor what its hint says makes the two again.
func TestListThatIsCut(t *testing.T) {
	var cut atomic.Bool
	s := newSite(t, manners{list: func(_ string, all []*being) []*being {
		if cut.Load() {
			return all[:4]
		}
		return all
	}})
	fleet := []string{concierge("a"), concierge("b"), concierge("c"), concierge("d"), concierge("e"), concierge("f")}
	names := []string{"Concierge a", "Concierge b", "Concierge c", "Concierge d", "Concierge e", "Concierge f"}
	s.write(fleet...)
	s.apply(0)
	cut.Store(true)
	for _, args := range [][]string{{"--auto-approve"}, {"--auto-approve", "--refresh"},
		{"--auto-approve", "--prune"}} {
		s.run(quick("apply", args...)...)
		s.there(names...)
		s.everyUID()
	}
	s.write(append(fleet, concierge("g"))...)
	s.run(quick("apply", "--auto-approve", "--refresh")...)
	cut.Store(false)
	s.apply(0)
	s.whole(append(names, "Concierge g")...)
}

// TestAgentDeletedInTheDashboard: one of the known agents is gone, the platform says so in its own words, and its list
// shows the others. It is made again by a plain apply, once.
func TestAgentDeletedInTheDashboard(t *testing.T) {
	s := newSite(t, manners{})
	s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
	s.apply(0)
	s.remove("Concierge b")
	s.remove("Coach b")
	s.apply(0)
	s.whole("Concierge a", "Concierge b", "Coach a", "Coach b")
	if n := s.asked("create"); n != 6 {
		t.Errorf("%d creates for 4 agents and 2 that were deleted", n)
	}
}

// TestNotFoundInAnotherVoice: the list lacks an agent, and an update of it is answered 404 by something that is not the
// platform. That proves nothing.
func TestNotFoundInAnotherVoice(t *testing.T) {
	var lying atomic.Bool
	s := newSite(t, manners{
		list: func(_ string, all []*being) []*being {
			if lying.Load() {
				return all[:len(all)-1]
			}
			return all
		},
		before: func(q *query) bool {
			return lying.Load() && (q.op == "update" || q.op == "read") &&
				q.send(http.StatusNotFound, "<html>Not Found</html>")
		},
	})
	s.write(concierge("a"), concierge("b"), coach("a"), coach("b"))
	s.apply(0)
	lying.Store(true)
	for _, more := range []string{"--refresh", "--prune"} {
		s.run(quick("apply", "--auto-approve", more)...)
		s.there("Concierge a", "Concierge b", "Coach a", "Coach b")
		s.everyUID()
	}
}

// TestRenameWhileTheCreateIsOpen: nobody knows what became of a create, and its agent gets another key.
func TestRenameWhileTheCreateIsOpen(t *testing.T) {
	upper := func(fields body) body {
		for _, name := range []string{"name", "agentName"} {
			if text, ok := fields[name].(string); ok {
				fields[name] = strings.ToUpper(text)
			}
		}
		return fields
	}
	lose := func(q *query, _ int, _ any) bool { return q.op == "create" && q.drop() }
	fail := func(q *query) bool {
		return q.op == "list" && q.send(http.StatusBadGateway, "<html>Bad Gateway</html>")
	}
	t.Run("names are rewritten", func(t *testing.T) {
		s := newSite(t, manners{keep: upper, after: lose})
		s.write(concierge("a"), coach("a"))
		s.run(quick("apply", "--auto-approve")...)
		s.behave(manners{keep: upper})
		s.write(concierge("b", "name: Concierge a", "previousKeys: [a]"), coach("b", "agentName: Coach a",
			"agentPurpose: Help with a.", "previousKeys: [a]"))
		s.run(quick("apply", "--auto-approve")...)
		s.run(quick("apply", "--auto-approve")...)
		s.there("CONCIERGE A", "COACH A")
	})
	t.Run("lists fail", func(t *testing.T) {
		s := newSite(t, manners{})
		// killed starts an apply and kills it when lists have failed: after the creates of a first run, and from the
		// beginning of a second one.
		killed := func(after int) {
			failed := make(chan struct{}, 1_000)
			var made atomic.Int64
			s.behave(manners{
				after: func(q *query, _ int, _ any) bool { return q.op == "create" && made.Add(1) > 0 && q.drop() },
				before: func(q *query) bool {
					if q.op != "list" || made.Load() < int64(after) {
						return false
					}
					failed <- struct{}{}
					return fail(q)
				},
			})
			cmd := s.command(quick("apply", "--auto-approve")...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-failed
			<-failed
			_ = cmd.Process.Kill() // it tries again
			_ = cmd.Wait()         // it was killed
		}
		s.write(concierge("a"), coach("a"))
		killed(2)
		s.write(concierge("b", "name: Concierge a",
			"integrationMeta: {baseUrl: https://agents.example.com, agentId: a}",
			"previousKeys: [a]"), coach("b", "agentName: Coach a", "agentPurpose: Help with a.", "previousKeys: [a]"))
		killed(0)
		s.behave(manners{})
		s.apply(0)
		s.whole("Concierge a", "Coach a")
	})
}

// TestStrangerBlocksNoOpenCreate: a run is killed while its creates wait at the platform, and they have no effect.
// Somebody else made agents that have nothing in common with them. They are not held for ours, and are left as they
// are.
func TestStrangerBlocksNoOpenCreate(t *testing.T) {
	arrived := make(chan struct{}, 2)
	s := newSite(t, manners{before: func(q *query) bool {
		if q.op == "create" {
			arrived <- struct{}{}
			q.until()
		}
		return q.op == "create"
	}})
	s.write(concierge("a"), coach("a"))
	cmd := s.command(quick("apply", "--auto-approve")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	<-arrived
	_ = cmd.Process.Kill() // it waits for answers
	_ = cmd.Wait()         // it was killed
	other := s.put("cometchat", body{"name": "Other", "icon": "https://example.org/i.png", "integrateWith": "rasa",
		"integrationType": "agent", "integrationMeta": body{"baseUrl": "https://example.org"}})
	other.created = other.created.Add(-time.Minute) // the list of the first run lacked it: it lagged
	s.put("mindset", body{"agentName": "Other", "agentPurpose": "Another thing."})
	s.behave(manners{})
	s.apply(0)
	s.there("Concierge a", "Coach a", "Other", "Other")
	s.everyUID("Other")
}

// TestRepeatedRefusalsCostOnePost: what the platform refuses for good is sent once, and what it said is shown.
func TestRepeatedRefusalsCostOnePost(t *testing.T) {
	for _, status := range []int{http.StatusPaymentRequired, http.StatusConflict, http.StatusLocked} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := newSite(t, manners{before: func(q *query) bool {
				return q.op == "create" &&
					q.send(status, body{"error": body{"code": "ERR_NO",
						"message": "An agent of this name is in the trash."}})
			}})
			s.write(concierge("a"))
			code, out := s.run(quick("apply", "--auto-approve")...)
			if code == 0 || !strings.Contains(out, "is in the trash") {
				t.Errorf("exit %d\n%s", code, out)
			}
			if n := s.asked("create"); n != 1 {
				t.Errorf("%d POSTs, want one", n)
			}
		})
	}
}
