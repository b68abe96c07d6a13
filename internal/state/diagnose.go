package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// diagnose turns an error of reading a state file into the most helpful thing that can be said. It
// may take its time: it runs once, before the command ends.
func diagnose(name string, b []byte, err error) *FormatError {
	e := &FormatError{Name: name, Reason: Corrupt, Detail: err.Error(), Hint: stateHint(name)}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		e.at(b, syntax.offset)
		e.Detail = syntax.text
		if syntax.truncated {
			e.Reason = Truncated
		}
	}
	if marker := conflictMarker(b); marker >= 0 {
		e.at(b, marker)
		e.Reason, e.Detail = Unmerged, "git left a merge conflict here"
		e.Hint = unmergedHint(name)
		return e
	}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		e.Line, e.Reason, e.Detail = 0, Truncated, "the state file is empty"
	case bytes.HasPrefix(b, []byte("\ufeff")):
		e.Line, e.Offset, e.Detail = 1, 0, "the file starts with a byte order mark, which an editor put there; save it without"
	case !bytes.ContainsRune([]byte("{\x00"), rune(bytes.TrimSpace(b)[0])):
		e.foreign("this is not a state file of agentsync")
	case bytes.IndexByte(b, 0) >= 0:
		e.at(b, bytes.IndexByte(b, 0))
		e.Detail = "zero bytes stand here; the disk or a copy lost what was written"
	default:
		e.identify(b)
	}
	return e
}

// at sets the place.
func (e *FormatError) at(b []byte, offset int) {
	e.Offset = min(offset, len(b))
	e.Line = 1 + bytes.Count(b[:e.Offset], []byte("\n"))
}

// identify finds out whether sound JSON is a state file at all, and of which version.
func (e *FormatError) identify(b []byte) {
	if !json.Valid(b) {
		return
	}
	var probe struct {
		Version   json.RawMessage `json:"version"`
		Terraform json.RawMessage `json:"terraform_version"`
		Lineage   json.RawMessage `json:"lineage"`
		Agents    json.RawMessage `json:"agents"`
		MovedTo   string          `json:"movedTo"`
	}
	isObject := json.Unmarshal(b, &probe) == nil
	var version uint64
	isVersioned := json.Unmarshal(probe.Version, &version) == nil
	switch {
	case probe.Terraform != nil:
		e.foreign("this is a state file of Terraform or OpenTofu, not of agentsync")
	case !isObject || probe.Agents == nil && probe.Lineage == nil:
		e.foreign("this is not a state file of agentsync")
	case isObject && probe.MovedTo != "":
		e.Line, e.Offset, e.Reason = 0, 0, Elsewhere
		e.Detail = "the state was moved to " + probe.MovedTo
		e.Hint = "name it for everybody in agentsync.yaml, beside version: 1\n  state: " + probe.MovedTo + "\nor for one command by --state or AGENTSYNC_STATE"
	case isVersioned && version > Version:
		e.Line, e.Offset, e.Reason = 0, 0, Newer
		e.Detail = fmt.Sprintf("written by a newer agentsync: its version is %d, and this agentsync knows %d", version, Version)
		e.Hint = "use the agentsync that wrote it, or a later one; an older one would lose what it does not know"
	}
}

func (e *FormatError) foreign(detail string) {
	e.Line, e.Offset, e.Reason, e.Detail = 0, 0, Foreign, detail
	e.Hint = "name the state file of agentsync with --state, or choose a name that is not taken"
}

func unmergedHint(name string) string {
	q := quote(name)
	return "take your side, and take in what the other side knows:\n" +
		"  git checkout --ours -- " + q + "\n" +
		"  git show :3:./" + q + " > theirs.json\n" +
		"  agentsync state merge theirs.json"
}

// conflictMarker returns where a line starts with a conflict marker of git, or -1.
func conflictMarker(b []byte) int {
	for _, marker := range [...]string{"<<<<<<< ", ">>>>>>> "} {
		if bytes.HasPrefix(b, []byte(marker)) {
			return 0
		}
		if i := bytes.Index(b, []byte("\n"+marker)); i >= 0 {
			return i + 1
		}
	}
	return -1
}
