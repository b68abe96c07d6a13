package platform

import (
	"context"
	"encoding/json"
	"regexp"
)

// Reader is what a Client has besides where its platform can answer one agent by its uid.
type Reader interface {
	// Read returns the agent. The error matches ErrNotFound where there is none.
	Read(ctx context.Context, uid string) (Remote, error)
}

// uidForm is every form of uid seen (UUID v4, twenty letters and digits) with room for others, and
// nothing that would change the meaning of a path that a uid stands in.
var uidForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._:@~-]{0,127}$`)

// UsableUID reports whether uid can stand in a request's path: 1 to 128 of A-Z a-z 0-9 . _ : @ ~ -
// that start with a letter, a digit or an underscore.
func UsableUID(uid string) bool { return uidForm.MatchString(uid) }

// UIDOf returns the uid that v, a value of an answer, stands for, or "" where it is not usable. A
// server that counts its agents answers numbers; they are taken by their text.
func UIDOf(v any) string {
	uid, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		uid, ok = n.String(), true
	}
	if !ok || !UsableUID(uid) {
		return ""
	}
	return uid
}
