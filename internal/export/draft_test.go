package export_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
	"agentsync/internal/export"
	"agentsync/internal/manifest"
	"agentsync/internal/plan"
	"agentsync/internal/secret"
)

func liveAgent(uid string, fields agent.Fields) plan.Live {
	return plan.Live{UID: uid, Content: agent.ContentOf(fields)}
}

func coach(name string) agent.Fields { return agent.Fields{"agentName": name} }

func acmeAddress(key string) agent.Address {
	return agent.Address{Platform: "mindset", App: "acme", Key: key}
}

func keysOf(live []export.Live) (keys []string) {
	for _, l := range live {
		keys = append(keys, l.UID+"="+l.Key)
	}
	return keys
}

// Which live agents are exported, and under which keys.
func TestUnmanaged(t *testing.T) {
	other := agent.Address{Platform: "mindset", App: "other", Key: "coach"}
	for _, c := range []struct {
		name      string
		prior     map[agent.Address]agent.Record
		desired   []agent.Desired
		live      []plan.Live
		want      []string
		namesakes int
	}{
		{
			name: "nothing is known", live: []plan.Live{liveAgent("u1", coach("Coach")),
				liveAgent("u2", coach("Coach"))},
			want: []string{"u1=coach", "u2=coach-2"},
		},
		{
			name:  "what the state has, and what a replace has yet to delete, is managed",
			prior: map[agent.Address]agent.Record{acmeAddress("a"): {UID: "u1", Obsolete: []string{"u2"}}},
			live:  []plan.Live{liveAgent("u1", coach("A")), liveAgent("u2", coach("A")), liveAgent("u3", coach("B"))},
			want:  []string{"u3=b"},
		},
		{
			name:  "another app's uids and keys do not count",
			prior: map[agent.Address]agent.Record{other: {UID: "u1"}},
			live:  []plan.Live{liveAgent("u1", coach("Coach"))}, want: []string{"u1=coach"},
		},
		{
			name:    "a manifest waits for an agent of this name",
			desired: []agent.Desired{{Address: acmeAddress("mine"), Fields: coach("Coach")}},
			live:    []plan.Live{liveAgent("u1", coach("Coach")), liveAgent("u2", coach("Other"))},
			want:    []string{"u2=other"}, namesakes: 1,
		},
		{
			name:    "a manifest whose agent is known waits for none",
			prior:   map[agent.Address]agent.Record{acmeAddress("mine"): {UID: "u1"}},
			desired: []agent.Desired{{Address: acmeAddress("mine"), Fields: coach("Coach")}},
			live:    []plan.Live{liveAgent("u2", coach("Coach"))}, want: []string{"u2=coach"},
		},
		{
			name:    "keys of the state, of manifests and of before are not given again",
			prior:   map[agent.Address]agent.Record{acmeAddress("a"): {UID: "u1"}},
			desired: []agent.Desired{{Address: acmeAddress("b"), Fields: coach("X"), PreviousKeys: []string{"c"}}},
			live:    []plan.Live{liveAgent("u2", coach("A")), liveAgent("u3", coach("B")), liveAgent("u4", coach("C"))},
			want:    []string{"u2=a-2", "u3=b-2", "u4=c-2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := export.Known{App: mindsetApp().ID, Platform: load(t, "mindset"), Prior: c.prior, Desired: c.desired}
			free, namesakes := k.Unmanaged(c.live)
			if diff := cmp.Diff(c.want, keysOf(free)); diff != "" || namesakes != c.namesakes {
				t.Errorf("%d namesakes, want %d (-want +got):\n%s", namesakes, c.namesakes, diff)
			}
		})
	}
}

// A conversion writes the managed agents under their own keys, and counts those that no list shows.
func TestManaged(t *testing.T) {
	k := export.Known{App: mindsetApp().ID, Platform: load(t, "mindset"), Prior: map[agent.Address]agent.Record{
		acmeAddress("a"): {UID: "u1"}, acmeAddress("gone"): {UID: "u9"},
		{Platform: "mindset", App: "other", Key: "x"}: {UID: "u3"},
	}}
	live := []plan.Live{liveAgent("u1", coach("A")), liveAgent("u2", coach("B")), liveAgent("u3", coach("C"))}
	known, unseen := k.Managed(live)
	if diff := cmp.Diff([]string{"u1=a"}, keysOf(known)); diff != "" || unseen != 1 {
		t.Errorf("%d unseen (-want +got):\n%s", unseen, diff)
	}
}

func draft(t *testing.T, live ...export.Live) *export.Draft {
	t.Helper()
	p, err := parser()
	if err != nil {
		t.Fatal(err)
	}
	d, err := export.NewDraft(t.Context(), p, load(t, "cometchat"), cometchatApp(), live, export.LookupIn(nil))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func bot(name, key, header string) export.Live {
	meta := map[string]any{"baseUrl": "https://lg.example.com"}
	if header != "" {
		meta["headers"] = map[string]any{"authorization": secret.Literal(header)}
	}
	return export.Live{Key: key, Live: plan.Live{UID: "uid-" + key, Content: agent.ContentOf(agent.Fields{
		"name": name, "icon": "https://cdn.example.com/bot.png", "integrateWith": "langgraph",
		"integrationType": "agent",
		"integrationMeta": meta,
	})}}
}

func sources(files []export.ManifestFile) (list []manifest.Source) {
	for _, f := range files {
		list = append(list, manifest.Source{Path: f.Name, Content: f.Content, Texts: f.Texts})
	}
	return list
}

// What a draft's records hold is what the next plan compares: the plan is empty then.
func TestRecordsLeaveNothingToDo(t *testing.T) {
	live := []export.Live{bot("B", "b", "Bearer s3cret"), bot("A", "a", "")}
	d := draft(t, live...)
	if d.Problems != nil || d.Agents[0].Key != "a" {
		t.Fatal(d.Problems, d.Agents)
	}
	files := d.Files("")
	records, err := d.Records(t.Context(), sources(files), "lineage")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := parser()
	fleet, problems, err := p.Parse(t.Context(), sources(files)...)
	if err != nil || problems != nil {
		t.Fatal(err, problems)
	}
	built, err := plan.Build(plan.Input{
		Desired: fleet.Agents, Prior: records, Apps: map[agent.AppID]bool{d.App.ID: true},
		Platforms: platformsOf(t), Sealer: secret.Sealer{Key: []byte("lineage"), Lookup: d.Lookup},
		Live: map[agent.AppID][]plan.Live{d.App.ID: {live[0].Live, live[1].Live}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := built.Summary; s.Unchanged != 2 || len(built.Changes) > 0 {
		t.Errorf("the plan after an export has %+v: %+v", s, built.Changes)
	}
	for addr, rec := range records {
		if rec.UID != "uid-"+addr.Key || strings.Contains(string(rec.Applied)+string(rec.Observed), "s3cret") {
			t.Errorf("%s is recorded as %+v", addr, rec)
		}
	}
}

// A split export has its long texts in files, and reads back as what is live.
func TestSplitFiles(t *testing.T) {
	const few, long = "a\nb\nc\nd", "a\n\n  ${secret:NOT}\n::error::\nlast\n\n"
	one := bot("A", "a.x", "Bearer s3cret")
	fields := one.Content.Fields()
	fields["metaData"] = map[string]any{
		"greetingMessage": long, "introductoryMessage": few, "a b": long, "odd": "a\n\n\n\n\x01",
		"deep": map[string]any{"text": long + "x"}, "list": []any{long},
	}
	one.Content = agent.ContentOf(fields)
	d := draft(t, one, bot("B", "b", ""))
	files := d.SplitFiles("../../schema.json")
	if len(files) != 2 || files[0].Name != "cometchat-2754abc/a.x.yaml" || files[1].Name != "cometchat-2754abc/b.yaml" {
		t.Fatalf("%d files, the first %s", len(files), files[0].Name)
	}
	texts := map[string]string{}
	for name, content := range files[0].Texts {
		texts[name] = string(content)
	}
	want := map[string]string{
		"prompts/a.x/metaData/greetingMessage.md": long + "\n", "prompts/a.x/metaData/deep/text.md": long + "x\n",
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	for _, line := range []string{"greetingMessage: ${file:prompts/a.x/metaData/greetingMessage.md}",
		"introductoryMessage: |-"} {
		if !strings.Contains(string(files[0].Content), line) {
			t.Errorf("no %q in\n%s", line, files[0].Content)
		}
	}
	// Records fails where a manifest does not read back as what is live.
	if records, err := d.Records(t.Context(), sources(files), "lineage"); err != nil || len(records) != 2 {
		t.Errorf("%d records, %v, %v", len(records), err, d.Problems)
	}
}

// Files that do not say what is live give no records: the next apply would change agents that nobody touched.
func TestRecordsRefuse(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new string
		want     string
	}{
		{"another value", "name: A", "name: Z", "would not read back"},
		{"an agent too few", "    - key: b\n      name: B\n", "", export.ErrUnwritable.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := draft(t, bot("A", "a", ""), bot("B", "b", ""))
			files := d.Files("")
			changed := strings.Replace(string(files[0].Content), c.old, c.new, 1)
			if changed == string(files[0].Content) {
				t.Fatalf("%q is not in\n%s", c.old, changed)
			}
			records, err := d.Records(t.Context(), []manifest.Source{{Path: "m.yaml", Content: []byte(changed)}},
				"lineage")
			if err == nil || records != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("records %v, error %v; want %q", records, err, c.want)
			}
		})
	}
}

// A file holds MaxPerFile agents, and names sort as the agents do.
func TestFilesAreCut(t *testing.T) {
	for _, c := range []struct {
		agents int
		want   []string
	}{
		{0, nil},
		{1, []string{"cometchat-2754abc.yaml 1"}},
		{export.MaxPerFile, []string{"cometchat-2754abc.yaml 500"}},
		{export.MaxPerFile + 1, []string{"cometchat-2754abc-1.yaml 500", "cometchat-2754abc-2.yaml 1"}},
	} {
		t.Run(fmt.Sprint(c.agents, " agents"), func(t *testing.T) {
			var live []export.Live
			for i := range c.agents {
				live = append(live, bot(fmt.Sprintf("Bot %04d", i), fmt.Sprintf("k%04d", i), ""))
			}
			var got []string
			for _, f := range draft(t, live...).Files("../schema.json") {
				got = append(got, fmt.Sprint(f.Name, " ", f.Agents))
				if !strings.HasPrefix(string(f.Content), "# yaml-language-server: $schema=../schema.json\n") {
					t.Errorf("%s has no modeline", f.Name)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

// One more agent goes into a manifest, or the manifest stays as it is and the error says why.
func TestAdd(t *testing.T) {
	const head = "version: 1\ncometchat:\n  appId: 2754abc\n  region: us\n"
	const item = "  agents:\n    - key: old\n      name: Old\n      icon: https://cdn.example.com/bot.png\n" +
		"      integrateWith: langgraph\n      integrationType: agent\n      integrationMeta: {baseUrl: " +
		"https://lg.example.com}\n"
	d := draft(t, bot("A", "a", ""))
	for _, c := range []struct {
		name, src string
		check     func(t *testing.T, after []byte, problems string, err error)
	}{
		{"behind another", head + item, func(t *testing.T, after []byte, _ string, err error) {
			if err != nil || !strings.HasPrefix(string(after), head+item) ||
				!strings.Contains(string(after), "- key: a\n") {
				t.Errorf("%v\n%s", err, after)
			}
		}},
		{"no place for it", head +
			"  agents: [{key: old, name: Old, icon: 'https://x.example.com', integrateWith: langgraph, " +
			"integrationType: agent, integrationMeta: {baseUrl: 'https://lg.example.com'}}]\n",
			func(t *testing.T, after []byte, _ string, err error) {
				if after != nil || !errors.Is(err, export.ErrSplice) {
					t.Errorf("%v\n%s", err, after)
				}
			}},
		{"a section of another app", strings.Replace(head, "2754abc", "other", 1) + item,
			func(t *testing.T, after []byte, _ string, err error) {
				if other, ok := errors.AsType[*export.OtherAppError](err); !ok || other.App.App != "other" ||
					after != nil {
					t.Errorf("%v\n%s", err, after)
				}
			}},
		{"no manifest", "version: 1\nbots: []\n", func(t *testing.T, after []byte, problems string, err error) {
			if after != nil || err != nil || !strings.Contains(problems, "bots") {
				t.Errorf("%v %q\n%s", err, problems, after)
			}
		}},
		{"the key is there already", strings.Replace(head+item, "key: old", "key: a", 1),
			func(t *testing.T, after []byte, _ string, err error) {
				if after != nil || !errors.Is(err, export.ErrSplice) {
					t.Errorf("%v\n%s", err, after)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, problems, err := d.Add(t.Context(), manifest.Source{Path: "m.yaml", Content: []byte(c.src)})
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			c.check(t, after, strings.Join(said, "\n"), err)
		})
	}
}
