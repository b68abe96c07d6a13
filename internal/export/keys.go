package export

import (
	"fmt"
	"strings"

	"agentsync/internal/agent"
	"agentsync/schema"
)

// maxKey is the length of the longest key; see agent.KeyPattern.
const maxKey = 63

// Keys gives agents of one app their keys. The zero value is not ready: use NewKeys.
type Keys struct{ taken map[string]bool }

// NewKeys returns a Keys that never gives one of taken.
func NewKeys(taken map[string]bool) *Keys {
	k := &Keys{taken: make(map[string]bool, len(taken))}
	for key := range taken {
		k.taken[key] = true
	}
	return k
}

// Name makes a key from the fields by which a person tells agents apart: the name, with what else there
// is (a tenant) in front of it and a dot between. Keys are readable and unique: a second agent of the
// same name gets -2. An agent whose name leaves no letter that a key may hold is named by its uid.
func (k *Keys) Name(p *schema.Platform, fields agent.Fields, uid string) string {
	base := ""
	for _, f := range p.Fields {
		text, _ := fields[f.Name].(string)
		if slug := Slug(text); f.Identity && slug != "" {
			if base != "" {
				slug += "." + base
			}
			base = slug
		}
	}
	if base == "" {
		base = strings.TrimSuffix("agent-"+Slug(uid), "-")
	}
	key := fit(base, "")
	for n := 2; k.taken[key]; n++ {
		key = fit(base, fmt.Sprintf("-%d", n))
	}
	k.taken[key] = true
	return key
}

// fit cuts base so that it makes a key together with suffix.
func fit(base, suffix string) string {
	if len(base)+len(suffix) > maxKey {
		base = strings.TrimRight(base[:maxKey-len(suffix)], "-._")
	}
	return base + suffix
}

// Slug turns a text into what a key may hold: lower case, letters without their accents, and one - for
// each run of anything else. It is empty where nothing is left.
func Slug(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(text) {
		plain := string(r)
		if r >= 0x80 {
			plain = latin[r]
		}
		if !keyPart(plain) {
			gap = gap || !isCombining(r)
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('-')
		}
		gap = false
		b.WriteString(plain)
	}
	return strings.Trim(b.String(), "-_")
}

func keyPart(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != ""
}

// isCombining reports whether r is an accent that stands behind its letter.
func isCombining(r rune) bool { return r >= 0x300 && r <= 0x36f }

// latin holds the Latin letters with accents and those without a counterpart, in lower case, as their
// nearest letters of a to z.
var latin = func() map[rune]string {
	m := map[rune]string{}
	for plain, letters := range map[string]string{
		"a": "àáâãäåāăąǎ", "ae": "æ", "c": "çćĉċč", "d": "ďđð", "e": "èéêëēĕėęěẽ", "g": "ĝğġģ", "h": "ĥħ",
		"i": "ìíîïĩīĭįıǐ", "j": "ĵ", "k": "ķ", "l": "ĺļľŀł", "n": "ñńņňŋ", "o": "òóôõöøōŏőǒ", "oe": "œ",
		"r": "ŕŗř", "s": "śŝşšș", "ss": "ß", "t": "ţťŧț", "th": "þ", "u": "ùúûüũūŭůűųǔ", "w": "ŵ",
		"y": "ýÿŷ", "z": "źżž",
	} {
		for _, r := range letters {
			m[r] = plain
		}
	}
	return m
}()
