package agent

import (
	"crypto/sha256"
	"encoding/hex"
)

// MarkName is the name of the mark that an agent carries at its platform where its section asks for
// it: the member of an object, or what stands before the colon of a list's element.
const MarkName = "agentsync"

// markLength is the length of a mark in hexadecimal digits: 48 bits, so that in an app of 100,000
// agents the chance of two alike is below one in fifty thousand.
const markLength = 12

// Mark returns the mark by which a platform's agent is known to be the one at a. It depends on the
// address alone, so that it survives the loss of the state.
func (a Address) Mark() string {
	sum := sha256.Sum256([]byte(a.String()))
	return hex.EncodeToString(sum[:markLength/2])
}

// IsMark reports whether s has the form of a mark: twelve lower-case hexadecimal digits.
func IsMark(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == markLength
}
