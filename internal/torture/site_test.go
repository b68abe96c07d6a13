package torture

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// site is a folder with manifests and state, and a stranger in place of both platforms.
type site struct {
	*rig
	*stranger
}

// newSite returns an empty site. Its tests mostly wait, so they run beside one another.
func newSite(t *testing.T, m manners) *site {
	t.Helper()
	t.Parallel()
	return newSiteAt(t, newStranger(t, m))
}

// newSiteAt returns an empty site at a platform that there is.
func newSiteAt(t *testing.T, at *stranger) *site {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{rig: &rig{t: t, bin: bin, dir: t.TempDir()}, stranger: at}
	s.moveTo(at.server.URL)
	return s
}

// moveTo points agentsync at another address.
func (s *site) moveTo(url string) {
	s.url = url
	s.env = append(os.Environ(), "NO_COLOR=1", "COMETCHAT_API_KEY=key-of-cometchat", "MINDSET_API_KEY=key-of-mindset",
		"AGENTSYNC_COMETCHAT_ENDPOINT="+url+"/{app}/v3", "AGENTSYNC_MINDSET_ENDPOINT="+url)
}

// command is agentsync in the site's folder. What hangs is ended, and has no exit code then.
func (s *site) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// run runs agentsync to its end and returns its exit code and what it wrote.
func (s *site) run(args ...string) (code int, output string) {
	s.t.Helper()
	return finish(s.t, s.command(args...))
}

// must runs agentsync and expects an exit code.
func (s *site) must(want int, args ...string) {
	s.t.Helper()
	if code, out := s.run(args...); code != want {
		s.t.Fatalf("agentsync %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
}

// write replaces the manifest by one of the agents, which concierge and coach return.
func (s *site) write(agents ...string) {
	s.t.Helper()
	var comet, mind strings.Builder
	for _, a := range agents {
		if strings.Contains(a, "agentName:") {
			mind.WriteString(a)
		} else {
			comet.WriteString(a)
		}
	}
	text := "version: 1\n"
	if comet.Len() > 0 {
		text += "cometchat:\n  appId: app1\n  region: eu\n  agents:\n" + comet.String()
	}
	if mind.Len() > 0 {
		text += "mindset:\n  appUid: acme\n  agents:\n" + mind.String()
	}
	s.save("manifests/fleet.yaml", text)
}

// save writes a file below the site's folder.
func (s *site) save(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// read returns a file below the site's folder, "" where there is none.
func (s *site) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, name)) // see above
	return string(b)
}

// forget deletes the state, and the journal with it.
func (s *site) forget() {
	s.t.Helper()
	for _, name := range []string{"state.json", "state.json.journal"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
}

// concierge is an agent of CometChat in YAML: lines of more replace those that have the same field.
func concierge(key string, more ...string) string {
	return agentYAML(key, []string{"name: Concierge " + key, "icon: https://cdn.example.com/bot.png",
		"integrateWith: mastra",
		"integrationType: agent", "integrationMeta: {baseUrl: https://agents.example.com, agentId: " + key + "}"}, more)
}

// coach is an agent of Mindset.
func coach(key string, more ...string) string {
	return agentYAML(key, []string{"agentName: Coach " + key, "agentPurpose: Help with " + key + "."}, more)
}

func agentYAML(key string, lines, more []string) string {
	for _, line := range more {
		field, _, _ := strings.Cut(line, ":")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, field+":") })
		if !strings.HasSuffix(line, ": -") { // a field that is to be missing
			lines = append(lines, line)
		}
	}
	return fmt.Sprintf("    - key: %s\n      %s\n", key, strings.Join(lines, "\n      "))
}

// apply applies without a question and expects an exit code. Its times are short: the stranger's faults last
// for less than a second.
func (s *site) apply(want int, more ...string) {
	s.t.Helper()
	s.must(want, quick("apply", append([]string{"--auto-approve"}, more...)...)...)
}

// quick are the arguments of a command with short times; what is in more comes later and counts.
func quick(command string, more ...string) []string {
	return append([]string{command, "--settle-timeout", "600ms", "--timeout", "5s"}, more...)
}

// known is what the state says: the uid of each address.
func (s *site) known() map[string]string {
	s.t.Helper()
	var state struct {
		Agents map[string]struct{ UID string }
	}
	if text := s.read("state.json"); text != "" {
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			s.t.Fatal(err)
		}
	}
	uids := map[string]string{}
	for address, a := range state.Agents {
		uids[address] = a.UID
	}
	return uids
}

// there expects the names, no more and no fewer, to be at the platforms.
func (s *site) there(names ...string) {
	s.t.Helper()
	names = slices.Sorted(slices.Values(names)) // cases that run at once share what they pass
	if got := s.names(); !slices.Equal(got, names) {
		s.t.Errorf("live are %q, want %q", got, names)
	}
}

// everyUID expects the uid of each live agent in the state, but for those of the names.
func (s *site) everyUID(strangers ...string) {
	s.t.Helper()
	known := slices.Collect(maps.Values(s.known()))
	for uid, name := range s.uids() {
		if !slices.Contains(known, uid) && !slices.Contains(strangers, name) {
			s.t.Errorf("%s (%s) is live, and its uid is in no state", name, uid)
		}
	}
}

// whole expects what each apply promises: every live agent is known, and nothing is left to do, also where the
// platforms are asked.
func (s *site) whole(names ...string) {
	s.t.Helper()
	s.there(names...)
	s.everyUID()
	if len(s.known()) != len(names) {
		s.t.Errorf("the state knows %v", s.known())
	}
	s.same()
}

// same expects that nothing is left to do.
func (s *site) same() {
	s.t.Helper()
	for _, args := range [][]string{{"plan", "--detailed-exitcode"}, {"plan", "--detailed-exitcode", "--refresh"}} {
		if code, out := s.run(args...); code != 0 {
			s.t.Errorf("agentsync %s: exit %d\n%s", strings.Join(args, " "), code, cmp.Or(out, "no output"))
		}
	}
}
