package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// NoRead is the error of Read at a platform that answers no single agent. Nothing was sent.
func NoRead(uid string) error {
	return &Error{Class: Refused, Method: http.MethodGet, Path: uid, NeverSent: true, Err: errNoRead}
}

var errNoRead = fmt.Errorf("the platform answers no single agent: %w", errors.ErrUnsupported)

// maxUID is the longest uid in bytes; those seen have 20 (Mindset) and 36 (CometChat, UUID v4).
const maxUID = 128

// UsableUID reports whether uid can stand in a request's path: 1 to 128 of A-Z a-z 0-9 . _ : @ ~ -
// that start with a letter, a digit or an underscore. That is every form seen with room for others, and
// nothing that would change the meaning of the path.
func UsableUID(uid string) bool {
	if uid == "" || len(uid) > maxUID || strings.IndexByte(".:@~-", uid[0]) >= 0 {
		return false
	}
	for i := range len(uid) {
		c := uid[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("._:@~-", c) < 0 {
			return false
		}
	}
	return true
}

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
	return strings.Clone(uid) // kept for long, the answer's text is not
}
