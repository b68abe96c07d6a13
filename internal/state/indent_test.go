package state

import (
	"strings"
	"testing"

	"agentsync/internal/agent"
)

// FuzzCanonical holds the quick look at a document against the scanner.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `[]`, `{"a":1}`, `{"a": 1}`, `{"a":1,"b":[1,-2,0,true,false,null,{},[]]}`, `{"b":1,"a":2}`, `{"a":1,"a":2}`,
		`{"a":"x\n\"\\\t\r\b\f"}`, `{"a":"\u00e9"}`, `{"a":"\/"}`, `{"a":"é"}`, `{"a\n":1}`, `{"a":-0}`, `{"a":01}`, `{"a":1.5}`, `{"a":1e3}`,
		`{"a":{"b":{"c":"d"}}}`, `{"a":1}x`, `{"a"}`, `{"a":}`, `{"a":[1,]}`, `{"a":-}`, `{"a":"`, `{"a":tru}`, "{\"a\":\"\x01\"}",
		`{"a":` + strings.Repeat(`[`, 499) + strings.Repeat(`]`, 499) + `}`, `{"a":` + strings.Repeat(`[`, 500) + strings.Repeat(`]`, 500) + `}`,
		`{"a":"","a!":"","aa":""}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !agent.Doc(b).Canonical() {
			return
		}
		s := scanner{b: b}
		if doc, err := s.doc(nil); err != nil || string(doc) != string(b) || s.pos != len(b) {
			t.Fatalf("%q is not canonical: the scanner makes %q of it, %v", b, doc, err)
		}
		quick, slow := writer{pretty: true}, writer{pretty: true}
		quick.indent(b)
		if err := (&scanner{b: b}).copyValue(&slow); err != nil || string(quick.buf) != string(slow.buf) {
			t.Fatalf("%q is laid out as\n%s\nwant\n%s\n%v", b, quick.buf, slow.buf, err)
		}
	})
}

func TestMostDocumentsAreSeenToBeCanonical(t *testing.T) {
	for _, s := range []string{
		`{}`, `{"agentName":"Coach \"é\"\n","live":true,"tags":["a",{"b":null}],"x":-12}`,
		`{"h":{"$secret":{"template":"","value":"ab"}}}`,
	} {
		if !agent.Doc(s).Canonical() {
			t.Errorf("%s was not seen to be canonical", s)
		}
	}
}
