package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzReplayJournal(f *testing.F) {
	sample := sampleJournal(f)
	names, _ := filepath.Glob(filepath.Join("testdata", "*.journal"))
	if len(names) == 0 {
		f.Fatal("no seeds in testdata")
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
	}
	var payloads [][]byte
	for line := range bytes.Lines(sample) {
		payload, _, ok := parseLine(bytes.TrimSuffix(line, []byte("\n")))
		if !ok {
			f.Fatal("the sample is damaged")
		}
		payloads = append(payloads, payload)
	}
	f.Add(bytes.Join(payloads, []byte("\n")), true) // with right checksums put in front of any lines
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			var sealed []byte
			for line := range bytes.Lines(b) {
				sealed = appendLine(sealed, bytes.TrimSuffix(line, []byte("\n")), int64(len(sealed)))
			}
			b = sealed
		}
		checkReplay(t, b)
	})
}

func checkReplay(t *testing.T, b []byte) {
	t.Helper()
	var format *FormatError
	p, err := readJournal("j", b, "")
	if err == nil {
		var s *State
		if s, err = p.mergeInto(nil); err == nil {
			if s.Lineage == "" && len(s.Agents) > 0 {
				t.Fatal("agents without a lineage")
			}
			again, err := p.mergeInto(s)
			if err != nil || !equalContent(s, again) {
				t.Fatalf("merging twice is not merging once: %v\n%s", err, cmp.Diff(s, again))
			}
			if _, err := s.Encode(); err != nil {
				t.Fatalf("what was replayed cannot be written: %v", err)
			}
		}
	}
	if err != nil && (!errors.As(err, &format) || format.Hint == "" || format.Offset > len(b)) {
		t.Fatalf("not a good error: %#v", err)
	}
}
