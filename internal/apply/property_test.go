package apply_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
)

// story is what happens to a fleet: each step is a change of the manifests and one run of apply that
// goes wrong. It is drawn as a whole before it is played, so that rapid can shrink it.
type story struct {
	Seed  uint64
	Steps []step
}

type step struct {
	Want      []spec
	Faults    float64 // share of calls that go wrong
	Lag       time.Duration
	CrashAt   int // call of the file system, 0 for no crash
	PowerCut  bool
	Interrupt int // create at which the run is interrupted, 0 for none
	Parallel  int
	Lose      string // files that are gone after the step
	Marker    bool   // agents are to carry marks
	Refresh   bool   // what is live is read first
}

// desired are the agents that the step wants.
func (s step) desired() []agent.Desired {
	var want []agent.Desired
	for _, w := range s.Want {
		d := w.desired()
		if s.Marker {
			d.Mark = d.Address.Mark()
		}
		want = append(want, d)
	}
	return want
}

// spec is one wanted agent.
type spec struct {
	Key     string
	Comet   bool
	Name    int // few, so that several agents want the same
	Text    int
	Tenant  int // Mindset: a change makes it another agent
	Renamed string
}

func (s spec) desired() agent.Desired {
	if s.Comet {
		d := concierge(s.Key, "name", fmt.Sprintf("Concierge %d", s.Name),
			"metaData", map[string]any{"greetingMessage": fmt.Sprintf("Hello %d", s.Text)})
		d.PreviousKeys = previous(s)
		return d
	}
	d := coach(s.Key, "agentName", fmt.Sprintf("Coach %d", s.Name), "agentPurpose", fmt.Sprintf("Purpose %d", s.Text))
	if s.Tenant > 0 {
		d.Fields["externalTenantId"] = fmt.Sprintf("t%d", s.Tenant)
	}
	d.PreviousKeys = previous(s)
	return d
}

func previous(s spec) []string {
	if s.Renamed == "" {
		return nil
	}
	return []string{s.Renamed}
}

func genSpecs(t *rapid.T) []spec {
	specs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) spec {
		return spec{
			Key: rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "key"), Comet: rapid.Bool().
				Draw(t, "comet"),
			Name: rapid.IntRange(0, 3).Draw(t, "name"), Text: rapid.IntRange(0, 2).Draw(t, "text"),
			Tenant: rapid.IntRange(0, 2).Draw(t, "tenant"),
		}
	}), 0, 10, func(s spec) string { return fmt.Sprint(s.Comet, s.Key) }).Draw(t, "want")
	return specs
}

func genStep(t *rapid.T) step {
	s := step{
		Faults:   rapid.SampledFrom([]float64{0, 0.1, 0.3, 0.6}).Draw(t, "faults"),
		Lag:      rapid.SampledFrom([]time.Duration{0, time.Second, 8 * time.Second}).Draw(t, "lag"),
		Parallel: rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "parallel"),
		Marker:   rapid.Bool().Draw(t, "marker"),
		Refresh:  rapid.Bool().Draw(t, "refresh"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "end") {
	case 1, 2:
		s.CrashAt, s.PowerCut = rapid.IntRange(1, 120).Draw(t, "crash"), rapid.Bool().Draw(t, "power cut")
	case 3:
		s.Interrupt = rapid.IntRange(1, 6).Draw(t, "interrupt")
	}
	return s
}

// evolving is a story of changing manifests.
func evolving(t *rapid.T) story {
	s := story{Seed: rapid.Uint64().Draw(t, "seed")}
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		st := genStep(t)
		st.Want = genSpecs(t)
		if n := len(s.Steps); n > 0 && rapid.Bool().Draw(t, "rename") {
			rename(st.Want, s.Steps[n-1].Want)
		}
		s.Steps = append(s.Steps, st)
	}
	return s
}

// rename lets wanted agents whose key is new take over agents whose key is gone.
func rename(want, before []spec) {
	used := map[string]bool{}
	for _, w := range want {
		used[fmt.Sprint(w.Comet, w.Key)] = true
	}
	was := map[string]bool{}
	for _, b := range before {
		was[fmt.Sprint(b.Comet, b.Key)] = true
	}
	for i, w := range want {
		if was[fmt.Sprint(w.Comet, w.Key)] {
			continue
		}
		for _, b := range before {
			id := fmt.Sprint(b.Comet, b.Key)
			if b.Comet == w.Comet && !used[id] {
				want[i].Renamed, used[id] = b.Key, true
				break
			}
		}
	}
}

// losing is a story of one fleet that is made while its files are lost.
func losing(t *rapid.T) story {
	s := story{Seed: rapid.Uint64().Draw(t, "seed")}
	want := genSpecs(t)
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		st := genStep(t)
		st.Want = want
		st.Lose = rapid.SampledFrom([]string{"", "state", "journal", "state journal"}).Draw(t, "lose")
		s.Steps = append(s.Steps, st)
	}
	return s
}

// checkStories plays drawn stories until rapid has enough of them.
func checkStories[S any](t *testing.T, draw func(*rapid.T) S, play func(*testing.T, S) *player) {
	var stories, runs, crashes, faults int64
	rapid.Check(t, func(rt *rapid.T) {
		s := draw(rt)
		p := play(t, s)
		stories++
		runs, crashes, faults = runs+int64(p.runs), crashes+int64(p.crashes), faults+p.faults.Load()
		if len(p.failures) > 0 {
			rt.Fatalf("%+v\n%s\n%s", s, strings.Join(p.failures, "\n"), strings.Join(p.log, "\n"))
		}
	})
	t.Logf("%d stories, %d runs, %d crashes, %d faults", stories, runs, crashes, faults)
}

func TestStoriesOfChange(t *testing.T) { checkStories(t, evolving, play) }

func TestStoriesOfLoss(t *testing.T) { checkStories(t, losing, play) }

func TestTalesOfChange(t *testing.T) { checkStories(t, changing, tell) }

func TestTalesOfLoss(t *testing.T) { checkStories(t, forgetting, tell) }

// TestTortureStories plays AGENTSYNC_TORTURE_STORIES of each kind, 10,000 unless it says otherwise.
func TestTortureStories(t *testing.T) {
	if os.Getenv("AGENTSYNC_TORTURE") == "" {
		t.Skip("AGENTSYNC_TORTURE is not set")
	}
	checks := flag.Lookup("rapid.checks").Value
	before := checks.String()
	defer func() { _ = checks.Set(before) }() // it was right before
	if err := checks.Set(cmp.Or(os.Getenv("AGENTSYNC_TORTURE_STORIES"), "10000")); err != nil {
		t.Fatal(err)
	}
	t.Run("Change", TestStoriesOfChange)
	t.Run("Loss", TestStoriesOfLoss)
	t.Run("TalesOfChange", TestTalesOfChange)
	t.Run("TalesOfLoss", TestTalesOfLoss)
}
