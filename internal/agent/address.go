// Package agent is the vocabulary of the house: addresses, an agent's fields, the record that state
// keeps of it, canonical form and equality. It holds values only and does no input or output.
package agent

import (
	"cmp"
	"fmt"
	"path"
	"strings"
)

// AppID names one app on one platform: the unit of credentials, of listing and of pace.
type AppID struct {
	Platform string // the platform's name, as a manifest spells its section: "cometchat"
	App      string // the platform's own id of the app: appId, appUid
}

// String returns platform/app.
func (a AppID) String() string { return a.Platform + "/" + a.App }

// ParseAppID reads platform/app.
func ParseAppID(s string) (AppID, error) {
	platform, app, _ := strings.Cut(s, "/")
	if platform == "" || !ValidApp(app) {
		return AppID{}, fmt.Errorf("%q is not an app: write platform/app, for example cometchat/2754abc", s)
	}
	return AppID{platform, app}, nil
}

// MarshalText writes platform/app.
func (a AppID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads platform/app.
func (a *AppID) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAppID(string(b))
	return err
}

// Compare orders apps by platform, then by id.
func (a AppID) Compare(b AppID) int {
	return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.App, b.App))
}

// Address is an agent's identity for agentsync: platform/app/key. It is never sent to a platform.
type Address struct {
	Platform string
	App      string
	Key      string
}

// ID returns the app that the address lies in.
func (a Address) ID() AppID { return AppID{a.Platform, a.App} }

// String returns platform/app/key.
func (a Address) String() string { return a.Platform + "/" + a.App + "/" + a.Key }

// MarshalText writes platform/app/key.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads platform/app/key.
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

// IsZero reports whether a names nothing.
func (a Address) IsZero() bool { return a == Address{} }

// Compare orders addresses by platform, app and key, byte by byte.
func (a Address) Compare(b Address) int {
	return cmp.Or(cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.App, b.App), cmp.Compare(a.Key, b.Key))
}

// KeyPattern is the form of a key: a lower-case letter or digit, then up to 62 of a-z 0-9 . _ -
const KeyPattern = `^[a-z0-9][a-z0-9._-]{0,62}$`

// The longest key and the longest id of an app, in bytes.
const (
	maxKey = 63
	maxApp = 128
)

// ValidKey reports whether key has the form of a key, KeyPattern. It is asked of every agent of every
// file and of the state, where matching the pattern itself would be a tenth of the time.
func ValidKey(key string) bool {
	return len(key) <= maxKey && isName(key, func(c byte) bool { return c >= 'a' && c <= 'z' })
}

// ValidApp reports whether id can be an app's id: 1 to 128 of A-Z a-z 0-9 . _ - that start with a
// letter or digit. It goes into a host name or a path, so nothing else is let through.
func ValidApp(id string) bool {
	return len(id) <= maxApp && isName(id, func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
}

// isName reports whether s is letters, digits and . _ - that start with a letter or digit.
func isName(s string, letter func(byte) bool) bool {
	for i := range len(s) {
		c := s[i]
		mark := c == '.' || c == '_' || c == '-'
		if !letter(c) && (c < '0' || c > '9') && (!mark || i == 0) {
			return false
		}
	}
	return s != ""
}

// ParseAddress reads platform/app/key. The error says what a right address looks like.
func ParseAddress(s string) (Address, error) {
	platform, rest, _ := strings.Cut(s, "/")
	app, key, _ := strings.Cut(rest, "/") // neither an app nor a key can hold a third slash
	if platform == "" || !ValidApp(app) || !ValidKey(key) {
		return Address{},
			fmt.Errorf("%q is not an address: write platform/app/key, for example cometchat/2754abc/concierge", s)
	}
	return Address{platform, app, key}, nil
}

// Glob selects addresses, as people type them: * stands for any text, ? for one character, [a-z] for one of a set. It
// selects an address where it fits the whole of it, or a part of it that stands between slashes: "cometchat" is a
// platform, "2754abc" an app, "concierge" a key, "mindset/acme" an app of a platform, "acme/coach" a key of an app.
type Glob string

// ParseGlob checks the pattern. The error says what a right one looks like.
func ParseGlob(s string) (Glob, error) {
	if _, err := path.Match(s, ""); err != nil || s == "" || strings.Count(s, "/") > 2 {
		return "", fmt.Errorf("%q is not an address or pattern: write platform/app/key, where * stands for any text, for example 'mindset/acme/*'", s)
	}
	return Glob(s), nil
}

// Match reports whether a is selected. It relies on ParseGlob having checked the pattern.
func (g Glob) Match(a Address) bool {
	p, app, key := a.Platform, a.App, a.Key
	pattern := flattenSlashes(string(g))
	for _, part := range []string{p + "/" + app + "/" + key, p + "/" + app, app + "/" + key, p, app, key} {
		if ok, _ := path.Match(pattern, flattenSlashes(part)); ok {
			return true
		}
	}
	return false
}

// flattenSlashes writes a slash as a character that no address holds, so that * of path.Match crosses it.
func flattenSlashes(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
