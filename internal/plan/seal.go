package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
)

// seal returns d's fields with secrets sealed, and whether there are none. Then it returns d's own fields:
// most agents hold none, and a copy of each would be the larger part of a plan's cost.
func seal(d *agent.Desired, s secret.Sealer) (sealed agent.Fields, plain bool) {
	if !d.Fields.HasSecrets() {
		return d.Fields, true
	}
	return d.Fields.Seal(s), false
}

// decode reads a document of a record. The error says which one is damaged.
func decode(a agent.Address, which string, doc agent.Doc) (agent.Fields, error) {
	f, err := doc.Fields()
	if err != nil {
		return nil, fmt.Errorf("state: %s of %s: %w", which, a, err)
	}
	return f, nil
}

// unknownValue ends a secret in a Doc that was sealed without its value, openValue starts the value.
// Neither can stand inside a string, where every quote has a backslash before it.
var (
	unknownValue = []byte(`","value":""}}`)
	openValue    = []byte(`","value":"`)
	closeSecret  = []byte(`}}`)
)

// sameDoc reports whether two documents are the same, where a secret of wanted whose value is unknown
// matches any value. It never reports true for fields that differ otherwise.
func sameDoc(wanted, applied agent.Doc) bool {
	for {
		before, after, unknown := bytes.Cut(wanted, unknownValue)
		if !unknown {
			return bytes.Equal(wanted, applied)
		}
		rest, ok := bytes.CutPrefix(applied, before)
		if !ok {
			return false
		}
		if rest, ok = bytes.CutPrefix(rest, openValue); !ok {
			return false
		}
		end := bytes.IndexByte(rest, '"')
		if end < 0 || !bytes.HasPrefix(rest[end+1:], closeSecret) {
			return false
		}
		wanted, applied = after, rest[end+1+len(closeSecret):]
	}
}

// withoutValues returns doc as if the value of no secret had been known.
func withoutValues(doc agent.Doc) []byte {
	if !bytes.Contains(doc, openValue) {
		return doc
	}
	var out []byte
	for {
		before, after, ok := bytes.Cut(doc, openValue)
		if !ok {
			return append(out, doc...)
		}
		_, after, _ = bytes.Cut(after, []byte{'"'})
		out = append(append(append(out, before...), openValue...), '"')
		doc = after
	}
}

// basis digests what a change was computed from. Either side may be missing: a nil rec is an agent
// that state does not know, a nil d one that the manifests do not name.
func (in *Input) basis(rec *agent.Record, d *agent.Desired, wanted agent.Doc) Basis {
	var b Basis
	if in.Unbound {
		return b
	}
	if rec != nil {
		parts := [][]byte{[]byte(rec.UID), rec.Applied, rec.Observed, strconv.AppendBool(nil, rec.Protect)}
		for _, uid := range rec.Obsolete {
			parts = append(parts, []byte(uid))
		}
		parts = appendMark(parts, rec.Mark)
		b.Record = digest(parts...)
	}
	if d != nil {
		parts := [][]byte{withoutValues(wanted), strconv.AppendBool(nil, d.Protect)}
		for _, name := range d.IgnoreChanges {
			parts = append(parts, []byte(name))
		}
		parts = appendMark(parts, d.Mark)
		b.Desired = digest(parts...)
	}
	return b
}

// digest hashes length-prefixed parts; nil and empty differ.
func digest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		n := len(p)
		if p == nil {
			n = -1
		}
		fmt.Fprintf(h, "%d:", n)
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
