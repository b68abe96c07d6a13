// Package probe finds out how a platform really behaves: it makes one agent, reads, lists, changes and deletes it, and
// says of each answer how it differs from what the adapters were written for. It promises to send one create and no
// more, and to take away what it made, also where it is interrupted; where it cannot, it names what is left. It judges
// nothing: what it finds is for people, and for whoever mends an adapter.
package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"agentsync/internal/agent"
	"agentsync/internal/platform"
	"agentsync/schema"
)

// Target is the app that is looked at.
type Target struct {
	App agent.AppID
	// API is the version of the platform's API; empty where it has one.
	API    string
	Client platform.Client
	Schema *schema.Platform
	// Others are clients of the same app by other versions of the API, by their names.
	Others map[string]platform.Client
	// Exchanges are the requests so far and how they were answered, see Record.
	Exchanges *Exchanges
}

// Options steer a probe.
type Options struct {
	// Name is the agent's name, which says what it is for and stands in no other agent.
	Name string
	// Patience is how long a list may take to show what was done.
	Patience time.Duration
	// Cleanup bounds what is done after an interrupt.
	Cleanup time.Duration
	// Now is this machine's clock, Sleep waits, for tests; nil stands for the real ones.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Finding is one thing that was found out.
type Finding struct {
	// Topic is what was looked at, in a few words that stay the same: "list: end".
	Topic string `json:"topic"`
	// Found is what was found, in a sentence.
	Found string `json:"found"`
	// Odd reports that it is not as the platform's documents have it, or that it costs something: worth telling.
	Odd bool `json:"odd"`
}

// Report is what a probe found.
type Report struct {
	FormatVersion string    `json:"formatVersion"`
	Platform      string    `json:"platform"`
	API           string    `json:"api,omitempty"`
	Findings      []Finding `json:"findings"`
	// Requests are all requests and their answers, without anything that was sent or answered.
	Requests []Exchange `json:"requests"`
	// Left are the uids of agents that were made and could not be taken away again.
	Left []string `json:"left"`
}

// probeRun is one run.
type probeRun struct {
	Target
	Options
	report *Report
	sent   agent.Fields
	uid    string
	// gone reports that the platform answered the delete as done.
	gone bool
	// told are the findings so far, without what they were found by: a list that shows what the create answered says
	// nothing new.
	told map[string]bool
}

// Run looks at the target. The report is never nil. The error is that of the context, or says why the probe could not
// go on.
func Run(ctx context.Context, t Target, o Options) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleepFor
	}
	p := &probeRun{Target: t, Options: o, told: map[string]bool{}}
	p.report = &Report{FormatVersion: "1.0", Platform: t.App.Platform, API: t.API, Findings: []Finding{},
		Left: []string{}}
	err := p.run(ctx)
	// What was made is taken away whatever happened: an interrupt must not leave an agent that users can see.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Cleanup)
	defer cancel()
	p.cleanUp(ctx)
	p.tellHeaders()
	p.report.Requests = t.Exchanges.All()
	return p.report, err
}

func sleepFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// say adds a finding that is as expected, odd one that is not. The same is told once.
func (p *probeRun) say(topic, format string, args ...any) {
	p.add(topic, false, fmt.Sprintf(format, args...))
}
func (p *probeRun) odd(topic, format string, args ...any) {
	p.add(topic, true, fmt.Sprintf(format, args...))
}

func (p *probeRun) add(topic string, odd bool, found string) {
	if p.told[topic+": "+found] {
		return
	}
	p.told[topic+": "+found] = true
	p.report.Findings = append(p.report.Findings, Finding{topic, found, odd})
}

// run goes through the life of one agent. The order matters: the list of before is what later ones are held against,
// and nothing is asked of an agent after its delete but whether it is gone.
func (p *probeRun) run(ctx context.Context) error {
	before, err := p.readList(ctx, "list: before")
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if len(before) > 0 {
		p.say("list: size", "%d agents in %s", len(before), pageCount(p.Exchanges.Last("GET")))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p.unknownAgent(ctx)
	if err := p.createAgent(ctx); err != nil {
		return err
	}
	p.waitForList(ctx, "list: after the create", func(list []platform.Remote) bool {
		return slices.ContainsFunc(list, func(r platform.Remote) bool { return r.UID == p.uid })
	})
	p.checkMissing(ctx, before)
	p.readAgent(ctx)
	p.readOthers(ctx)
	p.updateAgent(ctx)
	p.deleteAgent(ctx)
	return ctx.Err()
}

// readList reads the whole list and says how it was answered.
func (p *probeRun) readList(ctx context.Context, topic string) ([]platform.Remote, error) {
	p.Exchanges.Mark()
	list, err := p.Client.List(ctx)
	asked := p.Exchanges.Last("GET")
	if err != nil {
		p.odd(topic, "failed: %v", err)
		return nil, err
	}
	end := asked[len(asked)-1]
	switch {
	case end.Status == 404:
		p.say("list: end", "an empty list under status 404")
	case len(asked) > 1:
		p.say("list: end", "an empty page, or one with nothing new, under status %d", end.Status)
	}
	for _, r := range list {
		if r.Unreadable != nil {
			p.odd("list: odd agent", "%v", r.Unreadable)
		}
	}
	return list, nil
}

func pageCount(asked []Exchange) string {
	if len(asked) == 1 {
		return "1 page"
	}
	largest := 0
	for _, e := range asked {
		largest = max(largest, e.Items)
	}
	return fmt.Sprintf("%d pages of up to %d", len(asked), largest)
}

// unknownAgent asks for, and changes, an agent that is not there: what "no such agent" looks like.
func (p *probeRun) unknownAgent(ctx context.Context) {
	uid := "agentsync-no-such-agent"
	if p.Client.Properties().ReadsOne {
		_, err := p.Client.Read(ctx, uid)
		p.noSuchAgent("read: no such agent", err)
	}
	name := identityField(p.Schema)
	_, err := p.Client.Update(ctx, uid, agent.Fields{name.Name: p.Name})
	p.noSuchAgent("update: no such agent", err)
}

func (p *probeRun) noSuchAgent(topic string, err error) {
	e, ok := errors.AsType[*platform.Error](err)
	switch {
	case err == nil:
		p.odd(topic, "answered as done, though there is no such agent")
	case !ok || e.Status != 404:
		p.odd(topic, "%v", err)
	case !e.OwnWords:
		p.odd(topic, "404 without a word of the platform's own: it cannot be told from a mistyped address")
	default:
		p.say(topic, "404 %s", strings.TrimSpace(e.Code+" "+e.Message))
	}
}

// createAgent makes the one agent. After an answer that is lost or odd it is looked for by its name, which nobody else
// has.
func (p *probeRun) createAgent(ctx context.Context) error {
	p.sent = wantedFields(p.Schema, p.Name)
	began := p.Now()
	p.Exchanges.Mark()
	made, err := p.Client.Create(ctx, agent.ContentOf(p.sent))
	took := p.Now().Sub(began)
	if err != nil {
		p.odd("create", "%v", err)
		if platform.ClassOf(err) == platform.Refused || platform.ClassOf(err) == platform.Throttled {
			return fmt.Errorf("the agent could not be made: %w", err)
		}
		p.waitForList(ctx, "create: effect", func(list []platform.Remote) bool {
			made, _ = p.findNamed(list)
			return made.UID != ""
		})
		if made.UID == "" {
			p.odd("create: effect", "not known: look later for an agent called %q, and delete it", p.Name)
			return fmt.Errorf("it is not known whether the agent was made: %w", err)
		}
		p.odd("create: effect", "the agent was made all the same")
	} else {
		p.say("create", "status %d in %s", p.Exchanges.Last("POST")[0].Status, took.Round(time.Millisecond))
	}
	p.uid = made.UID
	if made.Unreadable != nil {
		p.odd("create: answer", "%v", made.Unreadable)
		return nil
	}
	p.compareClocks(made, began.Add(took/2))
	if !made.Content.IsZero() {
		p.compareShown("create", p.sent, made.Content.Fields())
	}
	return nil
}

// compareClocks holds the platform's time of the create against this machine's in the middle of the request.
func (p *probeRun) compareClocks(made platform.Remote, at time.Time) {
	if made.CreatedAt.IsZero() {
		p.odd("clock", "the answer has no readable createdAt")
		return
	}
	differ := made.CreatedAt.Sub(at)
	whole := ""
	if made.CreatedAt.Truncate(time.Second).Equal(made.CreatedAt) {
		whole = "; createdAt is, or happens to be, in whole seconds"
	}
	tell := p.say
	if differ.Abs() > time.Second || whole != "" {
		tell = p.odd
	}
	tell("clock", "the platform's is %s %s this machine's%s", differ.Abs().
		Round(10*time.Millisecond), aheadOf(differ), whole)
}

func aheadOf(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

// findNamed returns the agents that carry the probe's name.
func (p *probeRun) findNamed(list []platform.Remote) (first platform.Remote, all []platform.Remote) {
	field := identityField(p.Schema)
	for _, r := range list {
		if r.Content.IsZero() {
			continue
		}
		if name, _ := r.Content.Fields()[field.Name].(string); strings.Contains(name, p.Name) {
			all = append(all, r)
		}
	}
	if len(all) > 0 {
		first = all[0]
	}
	return first, all
}

// waitForList lists until seen is true, and says how long that took.
func (p *probeRun) waitForList(ctx context.Context, topic string, seen func([]platform.Remote) bool) {
	began := p.Now()
	for pause, lists := 200*time.Millisecond, 1; ; lists++ {
		list, err := p.readList(ctx, topic)
		if err == nil && seen(list) {
			if waited := p.Now().Sub(began); lists > 1 {
				p.odd(topic, "shown by list %d, after %s: lists lag", lists, waited.Round(10*time.Millisecond))
			} else {
				p.say(topic, "shown at once")
			}
			return
		}
		if ctx.Err() != nil || p.Now().Sub(began) > p.Patience {
			p.odd(topic, "not shown within %s: lists lag more than that, or are cut", p.Patience)
			return
		}
		if p.Sleep(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// checkMissing says which agents of before a later list misses: others may have deleted them, or it is cut.
func (p *probeRun) checkMissing(ctx context.Context, before []platform.Remote) {
	after, err := p.Client.List(ctx)
	if err != nil {
		return // said already, by the lists before this
	}
	missing := 0
	for _, r := range before {
		if !slices.ContainsFunc(after, func(a platform.Remote) bool { return a.UID == r.UID }) {
			missing++
		}
	}
	if missing > 0 {
		p.odd("list: the same agents", "misses %d that a list before it showed", missing)
	}
	for _, r := range after {
		if r.UID == p.uid && !r.Content.IsZero() {
			p.compareShown("list", p.sent, r.Content.Fields())
		}
	}
}

// readAgent asks for the agent alone.
func (p *probeRun) readAgent(ctx context.Context) {
	if !p.Client.Properties().ReadsOne {
		p.say("read", "the platform reads no single agent")
		return
	}
	got, err := p.Client.Read(ctx, p.uid)
	if err != nil {
		p.odd("read", "%v", err)
		return
	}
	p.say("read", "status %d", p.Exchanges.Last("GET")[0].Status)
	if !got.Content.IsZero() {
		p.compareShown("read", p.sent, got.Content.Fields())
	}
}

// readOthers asks the other versions of the API for the agent that this one made.
func (p *probeRun) readOthers(ctx context.Context) {
	for _, api := range slices.Sorted(maps.Keys(p.Others)) {
		topic := fmt.Sprintf("%s: an agent that %s made", api, p.API)
		switch _, err := p.Others[api].Read(ctx, p.uid); {
		case err == nil:
			p.say(topic, "found, under the same uid")
		case errors.Is(err, platform.ErrNotFound):
			p.odd(topic, "not found: %v", err)
		default:
			p.odd(topic, "%v", err)
		}
	}
}

// updateAgent changes the name and one text, and looks whether the platform did it.
func (p *probeRun) updateAgent(ctx context.Context) {
	change := changedFields(p.Schema, p.Name)
	answered, err := p.Client.Update(ctx, p.uid, change)
	if err != nil {
		p.odd("update", "%v", err)
		return
	}
	p.say("update", "status %d", p.Exchanges.Last("PATCH")[0].Status)
	if answered.Unreadable != nil {
		p.odd("update: answer", "%v", answered.Unreadable)
	}
	field := identityField(p.Schema)
	applied := func(f agent.Fields) bool {
		name, _ := f[field.Name].(string)
		return strings.Contains(strings.ToLower(name), "changed")
	}
	if p.Client.Properties().ReadsOne {
		got, err := p.Client.Read(ctx, p.uid)
		switch {
		case err != nil:
			p.odd("update: effect", "%v", err)
		case !got.Content.IsZero() && !applied(got.Content.Fields()):
			p.odd("update: effect", "answered as done, and the agent is as it was before")
			return
		case !got.Content.IsZero():
			p.compareShown("update", change, got.Content.Fields())
		}
	}
	p.waitForList(ctx, "list: after the update", func(list []platform.Remote) bool {
		return slices.ContainsFunc(list, func(r platform.Remote) bool {
			return r.UID == p.uid && !r.Content.IsZero() && applied(r.Content.Fields())
		})
	})
}

// deleteAgent takes the agent away, and asks a second time what is gone.
func (p *probeRun) deleteAgent(ctx context.Context) {
	if err := p.Client.Delete(ctx, p.uid); err != nil {
		p.odd("delete", "%v", err)
		return
	}
	p.gone = true
	p.say("delete", "status %d", p.Exchanges.Last("DELETE")[0].Status)
	p.waitForList(ctx, "list: after the delete", func(list []platform.Remote) bool {
		return !slices.ContainsFunc(list, func(r platform.Remote) bool { return r.UID == p.uid })
	})
	switch err := p.Client.Delete(ctx, p.uid); {
	case err == nil:
		p.odd("delete: again", "answered as done, though the agent is gone, or it was not done the first time")
		p.gone = false // whatever it means, what is left is looked for once more
	default:
		p.noSuchAgent("delete: again", err)
	}
}

// cleanUp deletes whatever carries the probe's name, and names what it cannot delete.
func (p *probeRun) cleanUp(ctx context.Context) {
	left := map[string]bool{}
	if p.uid != "" && !p.gone {
		left[p.uid] = true
	}
	if list, err := p.Client.List(ctx); err == nil {
		_, all := p.findNamed(list)
		for _, r := range all {
			left[r.UID] = true
		}
	}
	for _, uid := range slices.Sorted(maps.Keys(left)) {
		err := p.Client.Delete(ctx, uid)
		e, told := errors.AsType[*platform.Error](err)
		if gone := told && e.Status == 404 && e.OwnWords; err != nil && !gone {
			p.report.Left = append(p.report.Left, uid)
		}
	}
}

// tellHeaders says what answers tell of rates and of waiting.
func (p *probeRun) tellHeaders() {
	seen := map[string]bool{}
	for _, e := range p.Exchanges.All() {
		for name := range e.Headers {
			seen[name] = true
		}
		if e.Status == 429 || e.Status == 503 {
			p.odd("rate", "%s was answered %d with %s", e.Method, e.Status, listHeaders(e.Headers))
		} else if e.Headers["X-Rate-Limit-Remaining"] == "0" || len(e.Headers["X-Rate-Limit-Reset"]) > 11 {
			p.odd("rate", "%s was answered %d with %s", e.Method, e.Status, listHeaders(e.Headers))
		}
	}
	if len(seen) == 0 {
		p.say("rate headers", "none")
		return
	}
	p.say("rate headers", "%s", strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
}

func listHeaders(headers map[string]string) string {
	if len(headers) == 0 {
		return "no header that says when to come back"
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		words = append(words, name+": "+headers[name])
	}
	return strings.Join(words, ", ")
}
