package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentsync/internal/agent"
)

func at(key string) agent.Address {
	return agent.Address{Platform: "mindset", App: "acme", Key: key}
}

// sampleJournal is a journal of three batches, as a run would write it.
func sampleJournal(t testing.TB) []byte {
	t.Helper()
	s := &State{Serial: 7, Lineage: "0123456789abcdef0123456789abcdef"}
	when := time.Date(2025, 3, 4, 5, 6, 7, 890, time.UTC)
	b := journalContent(s, []Intent{{ID: 1, Address: at("open"), Action: "create",
		Fields: agent.Doc(`{"agentName":"Open"}`), At: when, NeverLeft: true}}, "this file")
	second := int64(len(b))
	for _, i := range []Intent{
		{ID: 2, Address: at("coach"), Action: "create", UID: "old", Fields: agent.Doc(`{"agentName":"<ü>\n"}`),
			At: when},
		{ID: 3, Address: at("gone"), Action: "delete", UID: "g", At: when},
	} {
		payload, err := appendPayload(nil, textOfIntent(i))
		if err != nil {
			t.Fatal(err)
		}
		b = appendLine(b, payload, second)
	}
	third := int64(len(b))
	payload, err := appendPayload(nil, textOfResults([]Result{
		{Intent: 2, Address: at("coach"), Kind: Recorded, Record: agent.Record{
			UID: "new", Applied: agent.Doc(`{"agentName":"<ü>\n"}`), Obsolete: []string{"old"}, Mark: "3fa9c1d2e4b5",
			Protect: true}},
		{Intent: 3, Address: at("gone"), Kind: Removed, UID: "g"},
		{Address: at("b"), Kind: Moved, From: at("a"), Record: agent.Record{UID: "m"}.Moved("a", "b")},
		{Intent: 4, Kind: Voided},
		{Kind: Located, App: at("b").ID(), Origin: agent.Origin{BaseURL: "https://a.example.com", KeyEnv: "KEY"}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return appendLine(b, payload, third)
}

// lineStarts returns where each line starts, and the length.
func lineStarts(b []byte) []int {
	starts := []int{0}
	for i, c := range b {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func TestJournalGolden(t *testing.T) {
	b := sampleJournal(t)
	path := filepath.Join("testdata", "sample.journal")
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, want) {
		t.Fatalf("%s differs (%v); AGENTSYNC_GOLDEN=1 renews it:\n%s", path, err, b)
	}
	p, err := readJournal("j", b, "")
	if err != nil {
		t.Fatal(err)
	}
	records := map[agent.Address]agent.Record{
		at("coach"): {UID: "new", Applied: agent.Doc(`{"agentName":"<ü>\n"}`), Obsolete: []string{"old"},
			Mark: "3fa9c1d2e4b5", Protect: true},
		at("b"): {UID: "m", FormerKeys: []string{"a"}},
	}
	if diff := cmp.Diff(records, p.records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if want := (agent.Origin{BaseURL: "https://a.example.com", KeyEnv: "KEY"}); p.apps[at("b").ID()] != want {
		t.Errorf("apps %v", p.apps)
	}
	if len(p.open) != 1 || string(p.open[1].Fields) != `{"agentName":"Open"}` || p.open[1].At.Nanosecond() != 890 ||
		p.lastID != 4 {
		t.Errorf("open %+v, last %d", p.open, p.lastID)
	}
}

// TestJournalTail cuts the journal at every byte, and fills it up with zeros: nothing of that is an
// error behind the first batch, and nothing before the cut is lost.
func TestJournalTail(t *testing.T) {
	b := sampleJournal(t)
	starts := lineStarts(b)
	for n := starts[2]; n <= len(b); n++ { // the first batch was there before the file had its name
		for _, zeros := range []int{0, 1, 100} {
			p, err := readJournal("j", append(bytes.Clone(b[:n]), make([]byte, zeros)...), "")
			if err != nil {
				t.Fatalf("cut at %d, %d zeros: %v", n, zeros, err)
			}
			want := 1 // the line's own end may be missing: with its checksum it is whole
			for i, start := range starts[3:] {
				if n >= start || zeros == 0 && n == start-1 {
					want = 2 + i
				}
			}
			got := len(p.open)
			if p.results > 0 {
				got = 4
				if len(p.open) != 1 {
					t.Errorf("cut at %d: open %v", n, p.open)
				}
			}
			if got != want && !(want == 4 && got == 4) {
				t.Errorf("cut at %d, %d zeros: %d lines count, want %d", n, zeros, got, want)
			}
		}
	}
}

// TestJournalDamage damages every byte. In the last batch that is a torn write and costs that line;
// before it, what follows proves that the damage came later, and the error names the place.
func TestJournalDamage(t *testing.T) {
	b := sampleJournal(t)
	starts := lineStarts(b)
	lastBatch := starts[4] - 1 // without the line end before it, the last batch does not begin
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x20
		p, err := readJournal("state.json.journal", damaged, "")
		if i >= lastBatch {
			if err != nil || len(p.open) != 3 && i > lastBatch {
				t.Fatalf("byte %d, in the last batch: open %v, %v", i, p, err)
			}
			continue
		}
		var format *FormatError
		if !errors.As(err, &format) || format.Line == 0 || !strings.Contains(format.Hint, "mv state.json.journal ") {
			t.Fatalf("byte %d: %v, want a place and a way out", i, err)
		}
		line := 1
		for line < len(starts)-1 && starts[line] <= i {
			line++
		}
		if format.Line != line || format.Offset != starts[line-1] {
			t.Errorf("byte %d: the error names line %d, byte %d; want line %d, byte %d", i, format.Line, format.Offset,
				line,
				starts[line-1])
		}
	}
}

// The zeros of room that was reserved and not used are no torn line: what the journal says of requests that never left
// is believed. A line that was torn, whatever it holds, ends that.
func TestReservedRoomIsNoTornLine(t *testing.T) {
	b := sampleJournal(t)
	for name, tt := range map[string]struct {
		tail     string
		believed bool
	}{
		"nothing": {"", true}, "one zero": {"\x00", true}, "zeros": {strings.Repeat("\x00", 4096), true},
		"a torn line": {"5bd2ccf9 212 {\"resu", false}, "a torn line and zeros": {"5bd2ccf9 2" +
			strings.Repeat("\x00", 100), false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := readJournal("j", append(bytes.Clone(b), tt.tail...), "this file")
			if err != nil || p.open[1].NeverLeft != tt.believed {
				t.Errorf("%v, %+v", err, p.open[1])
			}
		})
	}
}

// TestJournalTornBatch loses the first block of the last batch and keeps the second, as disks may.
func TestJournalTornBatch(t *testing.T) {
	b := sampleJournal(t)
	starts := lineStarts(b)
	b = b[:starts[4]] // header batch, then a batch of two intents
	clear(b[starts[2] : starts[3]-20])
	p, err := readJournal("j", b, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, kept := p.open[3]; !kept || len(p.open) != 2 {
		t.Errorf("open %v, want the second intent of the torn batch", p.open)
	}
}

func TestJournalRefuses(t *testing.T) {
	b := sampleJournal(t)
	lines := bytes.SplitAfter(b, []byte("\n"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	line := func(payload string) []byte { return appendLine(nil, []byte(payload), 0) }
	head := line(`{"journal":1,"lineage":"l","serial":1}`)
	after := func(payload string) []byte {
		return join(head, appendLine(nil, []byte(payload), int64(len(head))))
	}
	for name, c := range map[string]struct {
		content []byte
		reason  Reason
		want    string
	}{
		"a line taken out": {join(lines[0], lines[1], lines[3], lines[4]), Corrupt, "lines were added or taken out"},
		"lines swapped": {join(lines[0], lines[1], lines[4], lines[2], lines[3]), Corrupt,
			"lines were added or taken out"},
		"no header":    {join(lines[1:]...), Corrupt, "one header"},
		"two headers":  {join(lines[0], lines[0]), Corrupt, "one header"},
		"another file": {[]byte("Dear diary,\n\ntoday"), Foreign, "not a journal"},
		"zeros":        {make([]byte, 100), Foreign, "not a journal"},
		"JSON":         {[]byte("{}\n"), Foreign, "not a journal"},
		"newer":        {line(`{"journal":2,"lineage":"l","serial":1}`), Newer, "newer agentsync"},
		"no lineage":   {line(`{"journal":1,"lineage":"","serial":1}`), Corrupt, "lineage is empty"},
		"unknown member": {after(`{"intent":1,"address":"mindset/acme/a","action":"create",` +
			`"at":"2025-03-04T05:06:07Z","more":1}`), Corrupt, `"more"`},
		"mixed line":     {after(`{"results":[],"intent":1}`), Corrupt, "does not belong"},
		"half an intent": {after(`{"intent":1}`), Corrupt, "missing"},
		"bad time": {after(`{"intent":1,"address":"mindset/acme/a","action":"create","at":"yesterday"}`), Corrupt,
			"yesterday"},
		"an empty line": {join(lines[0], []byte("\n"), lines[1], lines[2], lines[3], lines[4]), Corrupt,
			"the line is damaged"},
		"unknown kind":       {after(`{"results":[{"kind":"exploded"}]}`), Corrupt, "exploded"},
		"result without uid": {after(`{"results":[{"kind":"recorded","address":"mindset/acme/a"}]}`), Corrupt, "lacks"},
		"origin without app": {after(`{"results":[{"kind":"located","origin":{"baseUrl":"https://a"}}]}`), Corrupt,
			"lacks"},
		"bad app": {after(`{"results":[{"kind":"located","app":"acme","origin":{}}]}`), Corrupt,
			"not an app"},
		"leaving and more": {after(`{"leaving":1,"action":"create"}`), Corrupt, "does not belong"},
		"two objects":      {after(`{"leaving":1} {"leaving":2}`), Corrupt, "the end"},
		"not JSON":         {after(`{"results":[`), Corrupt, "ends in the middle"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readJournal("state.json.journal", c.content, "")
			var format *FormatError
			if !errors.As(err, &format) || format.Reason != c.reason || !strings.Contains(format.Detail, c.want) ||
				format.Hint == "" {
				t.Errorf("%v (%+v), want %s: %s", err, format, c.reason, c.want)
			}
		})
	}
	if _, err := readJournal("j", nil, ""); err != nil {
		t.Errorf("an empty journal: %v", err)
	}
}
