//go:build unix

// Not for Windows: it has no SIGSTOP.

package torture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"agentsync/internal/state"
)

// soakFor is the variable that says for how long 'make soak' goes on.
const soakFor = "AGENTSYNC_SOAK"

// TestSoak lives with a fleet of 2,000 agents for as long as make soak says. TestTortureTeam does it with a few.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakFor)
	if text == "" {
		t.Skip("make soak runs it")
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakFor, err)
	}
	end := time.Now().Add(d)
	liveWith(t, 2000, 5*time.Second, func(int) bool { return time.Now().Before(end) })
}

// liveWith lives with a fleet: it is edited, and applied by runs that are killed, interrupted, locked out and taken
// over from, at platforms that fail in every way that the sandbox knows. The fleet has agents of CometChat and of both
// versions of Mindset's API, and is in three places at once: with a state file, in an S3 and in a PostgreSQL behind a
// pooler. After each round nothing is lost. grace is the grace period: a machine that is busy with many agents carries
// requests out late.
func liveWith(t *testing.T, agents int, grace time.Duration, goesOn func(round int) bool) {
	places := []struct {
		name string
		make func(t *testing.T) *soak
	}{
		{"state file", func(t *testing.T) *soak { return &soak{rig: newRig(t)} }},
		{"S3", func(t *testing.T) *soak { return newTeamSoak(t, newOffice(t)) }},
		{"PostgreSQL", func(t *testing.T) *soak { return newTeamSoak(t, newDatabaseOffice(t)) }},
	}
	var living sync.WaitGroup // they mostly wait, so without t.Parallel
	for i, place := range places {
		living.Go(func() {
			t.Run(place.name, func(t *testing.T) {
				s := place.make(t)
				seed := uint64(time.Now().Unix())
				s.t, s.rng, s.took, s.grace, s.patience = t, rand.New(rand.NewPCG(seed,
					uint64(i))), time.Second, grace, 10*time.Minute
				s.first = s.rng.IntN(7)
				t.Logf("seed %d", seed)
				for range agents {
					s.add()
				}
				for n := 0; !t.Failed() && goesOn(n); n++ {
					s.round(n)
				}
				if t.Failed() {
					return
				}
				t.Logf("%s\nnothing was lost: %d agents are live, one for each address, the state has the uid of each, and the "+
					"plan is empty",
					s.done, len(s.agents))
			})
		})
	}
	living.Wait()
}

// soak is a fleet in one place, with a sandbox of its own.
type soak struct {
	*rig
	team   *team // nil for a state file
	t      *testing.T
	rng    *rand.Rand
	grace  time.Duration
	first  int // of the happenings
	agents []soaked
	made   int           // agents so far, for names that nobody had
	took   time.Duration // what the last apply took that came to its end
	done   soakCounts
}

// soaked is an agent that the fleet is to have.
type soaked struct {
	section, key, name string
	was                []string // keys that it had
	revision           int
}

// soakCounts are what was done to a fleet.
type soakCounts struct {
	rounds, edits, faults, runs, kills, machines, interrupts, stops, lockedOut, unlocks int
}

func (c soakCounts) String() string {
	return fmt.Sprintf("%d rounds: %d edits of agents, %d rules of faults, %d runs of apply\n"+
		"%d kills (kill -9), %d of them with machine and disk; %d interrupts, %d stops for longer than a lease, "+
		"%d runs locked out, %d locks taken by hand",
		c.rounds, c.edits, c.faults, c.runs, c.kills, c.machines, c.interrupts, c.stops, c.lockedOut, c.unlocks)
}

func newTeamSoak(t *testing.T, o *office) *soak {
	return &soak{rig: o.rig, team: o.newTeam(t, "soak", 1)}
}

// sections are the heads of the manifests: both platforms, and both versions of Mindset's API.
var sections = []string{
	"cometchat:\n  appId: app1\n  region: eu\n  defaults:\n    icon: https://cdn.example.com/b.png\n" +
		"    integrateWith: mastra\n    integrationType: agent\n",
	"mindset:\n  appUid: acme\n",
	"mindset:\n  appUid: acme-two\n  api: v2\n",
}

func (a soaked) yaml() string {
	head := fmt.Sprintf("    - key: %s\n      previousKeys: [%s]\n", a.key, strings.Join(a.was, ", "))
	if a.section == sections[0] {
		return head +
			fmt.Sprintf("      name: %s\n      integrationMeta: {baseUrl: 'https://a.example.com', agentId: %s}\n"+
				"      metaData: {greetingMessage: 'Revision %d.'}\n", a.name, a.name, a.revision)
	}
	text := head + fmt.Sprintf("      agentName: %s\n      agentPurpose: Help %s in revision %d.\n", a.name, a.name,
		a.revision)
	if a.section == sections[2] {
		text += fmt.Sprintf("      personality: {preset: friendly, customText: Revision %d}\n", a.revision)
	}
	return text
}

// app returns the platform and the app of the agent, as the sandbox's count has them.
func (a soaked) app() string {
	return []string{"cometchat app1", "mindset acme", "mindset acme-two"}[slices.Index(sections, a.section)]
}

func (s *soak) add() {
	s.made++
	key, name := fmt.Sprintf("a%d", s.made), fmt.Sprintf("Agent-%d", s.made)
	s.agents = append(s.agents, soaked{section: sections[s.made%3], key: key, name: name})
}

// edit changes some agents of a hundred: most in their content, a few by name or by key, and some go while others come.
func (s *soak) edit() {
	for range 1 + len(s.agents)*7/100 {
		s.done.edits++
		i := s.rng.IntN(len(s.agents))
		switch s.rng.IntN(7) {
		case 0:
			s.agents = slices.Delete(s.agents, i, i+1)
			s.add()
		case 1:
			s.made++
			s.agents[i].was = append(s.agents[i].was, s.agents[i].key)
			s.agents[i].key = fmt.Sprintf("a%d", s.made)
		case 2:
			s.made++
			s.agents[i].name = fmt.Sprintf("Agent-%d", s.made)
		default:
			s.agents[i].revision++
		}
	}
}

// checkout is a machine with the manifests: a new one for a team, and the one with the state file.
func (s *soak) checkout() string {
	s.t.Helper()
	dir := s.dir
	if s.team != nil {
		dir = s.t.TempDir()
	}
	for i, section := range sections {
		var b strings.Builder
		b.WriteString("version: 1\n" + section + "  agents:\n")
		for _, a := range s.agents {
			if a.section == section {
				b.WriteString(a.yaml())
			}
		}
		path := filepath.Join(dir, "manifests", fmt.Sprintf("fleet%d.yaml", i))
		if err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(b.String()),
			0o644)); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

func (s *soak) command(dir string, args ...string) *exec.Cmd {
	if s.team != nil {
		return s.team.command(dir, args...)
	}
	return s.rig.command(args...)
}

// apply is an apply in a checkout, which waits for whoever has the lock.
func (s *soak) apply(dir string) *exec.Cmd {
	s.done.runs++
	return s.command(dir, "apply", "--auto-approve", "--prune", "--quiet",
		"--settle-timeout", s.grace.String(), "--timeout", "5s", "--lock-timeout", "90s")
}

// begin starts cmd; it returns when the moment has come, or cmd has ended by itself.
func (s *soak) begin(cmd *exec.Cmd, when moment) (ended <-chan struct{}) {
	s.t.Helper()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed or not
		close(done)
	}()
	when(cmd.Dir, done)
	return done
}

// sometime is a moment of an apply.
func (s *soak) sometime() moment { return after(time.Duration(s.rng.Int64N(int64(s.took)))) }

// round edits the fleet, applies it while things happen, then once more without faults, and sees what is left.
func (s *soak) round(n int) {
	s.t.Helper()
	if n > 0 {
		s.edit()
	}
	faults := script(s.rng)
	s.faults(faults...)
	s.done.faults += len(faults)
	s.done.rounds++
	happenings := []func(){s.kill, s.loseMachine, s.stop, s.kill, s.takeByHand, s.interrupt, s.endure}
	happenings[(s.first+n)%len(happenings)]()
	s.faults()
	start := time.Now()
	cmd := s.apply(s.checkout())
	if code, out := finish(s.t, cmd); code != 0 {
		s.t.Fatalf("round %d, after %q: exit %d without faults\n%s", n, faults, code, out)
	}
	s.took = time.Since(start)
	s.check(n)
}

// endure applies among faults to the end.
func (s *soak) endure() {
	if code, out := finish(s.t, s.apply(s.checkout())); code != 0 && code != 1 && code != 3 {
		s.t.Errorf("exit %d among faults\n%s", code, out)
	}
}

// kill kills up to three runs, one after the other.
func (s *soak) kill() {
	dir := s.checkout()
	for range 1 + s.rng.IntN(3) {
		s.done.kills++
		cmd := s.apply(dir)
		ended := s.begin(cmd, s.sometime())
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	}
}

// loseMachine kills a run together with its machine, where another one can go on.
func (s *soak) loseMachine() {
	cmd := s.apply(s.checkout())
	ended := s.begin(cmd, s.sometime())
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	s.done.kills++
	if s.team != nil {
		s.done.machines++
		if err := os.RemoveAll(cmd.Dir); err != nil {
			s.t.Error(err)
		}
	}
}

// stop stops a run while another one applies: that one takes over from it, or is locked out by it where the state is a
// file.
func (s *soak) stop() {
	cmd := s.apply(s.checkout())
	ended := s.begin(cmd, s.sometime())
	_ = cmd.Process.Signal(syscall.SIGSTOP) // it may have ended
	other := s.apply(s.checkout())
	if s.team == nil {
		other.Args = append(other.Args, "--lock-timeout", "100ms")
	}
	code, out := finish(s.t, other)
	switch {
	case code == 7 && s.team == nil:
		s.done.lockedOut++
	case code != 0 && code != 1 && code != 3:
		s.t.Errorf("exit %d beside a run that stands still\n%s", code, out)
	case s.team != nil:
		s.done.stops++
	}
	_ = cmd.Process.Signal(syscall.SIGCONT) // as above
	<-ended
}

// takeByHand takes the lock from a run that was killed, or from one that lives.
func (s *soak) takeByHand() {
	cmd := s.apply(s.checkout())
	ended := s.begin(cmd, s.sometime())
	if s.team != nil {
		s.done.unlocks++
		if code, out := finish(s.t, s.command(s.checkout(), "state", "unlock", "--auto-approve")); code != 0 {
			s.t.Errorf("state unlock: exit %d\n%s", code, out)
		}
		s.endure()
	}
	_ = cmd.Process.Kill() // as above
	s.done.kills++
	<-ended
}

// interrupt sends a run the signal of a terminal, or of a CI's runner, once or twice.
func (s *soak) interrupt() {
	cmd := s.apply(s.checkout())
	ended := s.begin(cmd, s.sometime())
	for range 1 + s.rng.IntN(2) {
		s.done.interrupts++
		_ = cmd.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGTERM}[s.rng.IntN(2)]) // as above
	}
	<-ended
}

// check holds the guarantee: the sandbox has one agent for each that is wanted and no other, the state has their uids
// and no other, nothing is open, and the plan is empty.
func (s *soak) check(n int) {
	s.t.Helper()
	names := map[string]int{}
	for _, a := range s.agents {
		names[a.app()+" "+a.name]++
	}
	known := s.known()
	if len(known) != len(s.agents) {
		s.t.Errorf("round %d: the state has %d uids, and there are to be %d agents", n, len(known), len(s.agents))
	}
	for _, a := range s.live() {
		names[a.Platform+" "+a.App+" "+a.Name]--
		if !known[a.Platform+" "+a.UID] {
			s.t.Errorf("round %d: %s %s (%s) is live and not in the state", n, a.Platform, a.UID, a.Name)
		}
	}
	for name, missing := range names {
		if missing != 0 {
			s.t.Errorf("round %d: %s: %d agents too few", n, name, missing)
		}
	}
	if code, out := finish(s.t, s.command(s.checkout(), "plan", "--prune", "--detailed-exitcode")); code != 0 {
		s.t.Errorf("round %d: plan after apply: exit %d\n%.3000s", n, code, out)
	}
}

// known returns each platform and uid in the state, in which nothing is open.
func (s *soak) known() map[string]bool {
	s.t.Helper()
	uids := map[string]bool{}
	if s.team != nil {
		view := s.team.view()
		var kept struct {
			Agents map[string]struct{ UID string }
		}
		if err := json.Unmarshal(view.State, &kept); err != nil || len(view.Journal) > 0 {
			s.t.Errorf("the state: %v, journal %.300q", err, view.Journal)
		}
		for addr, a := range kept.Agents {
			platform, _, _ := strings.Cut(addr, "/")
			uids[platform+" "+a.UID] = true
		}
		return uids
	}
	snap, err := state.NewFile(filepath.Join(s.dir, "state.json")).Load(s.t.Context())
	if err != nil || snap.Pending || len(snap.Open) > 0 {
		s.t.Errorf("the state: %v, %d open intents, pending %v", err, len(snap.Open), snap.Pending)
		return uids
	}
	for addr, a := range snap.State.Agents {
		uids[addr.Platform+" "+a.UID] = true
	}
	return uids
}
