package apply_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"agentsync/internal/agent"
)

// tale is a story at platforms that do to texts what platforms do, take longer for a request than anybody waits,
// answer what is not so, and are used by other people as well. It is drawn as a whole before it is played.
type tale struct {
	Seed     uint64
	Nature   [2]nature // of CometChat and Mindset
	Chapters []chapter
}

// nature is what a platform is like all the time.
type nature struct {
	Habit   string        // see platformtest.Habit, "" for none
	Seconds bool          // times are cut to the second
	Lag     time.Duration // lists do not show for so long what was made, changed or deleted
}

// chapter is a change of the manifests and one apply that goes wrong, and what other people did before.
type chapter struct {
	Want      []role
	Faults    float64 // share of calls that go wrong
	Cut       bool    // all lists are cut before an agent that state knows
	Drift     int     // agents in which somebody has changed a field
	Strangers int     // agents that somebody has made
	Rival     bool    // while a person reads the plan, another checkout applies the same manifests
	Refresh   bool
	CrashAt   int // call of the file system, 0 for no crash
	PowerCut  bool
	Interrupt int // create at which the run is interrupted, 0 for none
	Parallel  int
	Lose      string // files that are gone after the chapter
}

// desired are the agents that the chapter wants.
func (c chapter) desired() []agent.Desired {
	var want []agent.Desired
	for _, r := range c.Want {
		want = append(want, r.desired())
	}
	return want
}

// role is one wanted agent: a spec whose texts are of every kind, and whose objects have members that come and go.
type role struct {
	spec
	Meta int // which members metaData has, and which tags there are
}

func (r role) desired() agent.Desired {
	d := r.spec.desired()
	if !r.Comet {
		d.Fields["agentPurpose"] = fmt.Sprintf("Help <%d> & others.\nStep by step.\n", r.Text)
		if r.Meta > 0 {
			d.Fields["tags"] = []any{"hr", "a & b", "x "}[:r.Meta%4]
		}
		return d
	}
	metas := []map[string]any{
		nil,
		{"greetingMessage": fmt.Sprintf("Hello <%d>\n", r.Text)},
		{"greetingMessage": fmt.Sprintf("Hello <%d>\n", r.Text), "introductoryMessage": "I & you "},
		{"button": map[string]any{"label": "Hi", "value": "abc"}},
		{"button": map[string]any{"label": "Hi", "value": ""}},
	}
	if meta := metas[r.Meta]; meta != nil {
		d.Fields["metaData"] = meta
	} else {
		delete(d.Fields, "metaData")
	}
	if r.Text == 1 {
		d.Fields["integrationMeta"] = map[string]any{"baseUrl": "https://agents.example.com", "agentId": "x"}
	}
	return d
}

func genRoles(t *rapid.T) []role {
	var roles []role
	for _, s := range genSpecs(t) {
		roles = append(roles, role{s, rapid.IntRange(0, 4).Draw(t, "meta")})
	}
	return roles
}

func genNature(t *rapid.T) nature {
	return nature{
		Habit: rapid.SampledFrom([]string{"", "", "trim", "crlf", "escape", "slash", "noslash", "fill"}).
			Draw(t, "habit"),
		Seconds: rapid.Bool().Draw(t, "seconds"),
		Lag:     rapid.SampledFrom([]time.Duration{0, time.Second, 8 * time.Second}).Draw(t, "lag"),
	}
}

func genChapter(t *rapid.T) chapter {
	c := chapter{
		Faults:   rapid.SampledFrom([]float64{0, 0.1, 0.3, 0.6}).Draw(t, "faults"),
		Cut:      rapid.IntRange(0, 5).Draw(t, "cut") == 5,
		Refresh:  rapid.Bool().Draw(t, "refresh"),
		Parallel: rapid.SampledFrom([]int{1, 3, 10}).Draw(t, "parallel"),
	}
	switch rapid.IntRange(0, 3).Draw(t, "end") {
	case 1, 2:
		c.CrashAt, c.PowerCut = rapid.IntRange(1, 120).Draw(t, "crash"), rapid.Bool().Draw(t, "power cut")
	case 3:
		c.Interrupt = rapid.IntRange(1, 6).Draw(t, "interrupt")
	}
	return c
}

// changing is a tale of manifests that change, renames included, and of other people.
func changing(t *rapid.T) tale {
	s := tale{Seed: rapid.Uint64().Draw(t, "seed"), Nature: [2]nature{genNature(t), genNature(t)}}
	for range rapid.IntRange(1, 4).Draw(t, "chapters") {
		c := genChapter(t)
		c.Want = genRoles(t)
		c.Drift, c.Strangers = rapid.IntRange(0, 2).Draw(t, "drift"), rapid.IntRange(0, 2).Draw(t, "strangers")
		if n := len(s.Chapters); n > 0 && rapid.Bool().Draw(t, "rename") {
			renameRoles(c.Want, s.Chapters[n-1].Want)
		}
		s.Chapters = append(s.Chapters, c)
	}
	return s
}

// forgetting is a tale of one fleet that is made while its files are lost.
func forgetting(t *rapid.T) tale {
	s := tale{Seed: rapid.Uint64().Draw(t, "seed"), Nature: [2]nature{genNature(t), genNature(t)}}
	want := genRoles(t)
	for range rapid.IntRange(1, 4).Draw(t, "chapters") {
		c := genChapter(t)
		c.Want = want
		c.Rival = rapid.IntRange(0, 5).Draw(t, "rival") == 5
		c.Strangers = rapid.IntRange(0, 1).Draw(t, "strangers")
		c.Lose = rapid.SampledFrom([]string{"", "state", "journal", "state journal"}).Draw(t, "lose")
		s.Chapters = append(s.Chapters, c)
	}
	return s
}

func renameRoles(want, before []role) {
	specs := func(roles []role) (specs []spec) {
		for _, r := range roles {
			specs = append(specs, r.spec)
		}
		return specs
	}
	renamed := specs(want)
	rename(renamed, specs(before))
	for i, s := range renamed {
		want[i].Renamed = s.Renamed
	}
}
