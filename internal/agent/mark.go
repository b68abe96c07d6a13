package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
	return len(s) == markLength && isHex(s)
}

// isHex reports whether s is nothing but lower-case hexadecimal digits; an empty one is.
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
