package state

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	// ErrStale: the state file or the journal is not what was loaded; someone else wrote it since.
	// Nothing was overwritten, and a journal that was being written is kept.
	ErrStale = errors.New("the state changed since it was read")
	// ErrBroken: the journal could not be written, and nothing more is accepted for it.
	ErrBroken = errors.New("the journal cannot be written")
	// ErrNoSpace: the disk has no room for the journal; nothing was begun.
	ErrNoSpace = errors.New("the disk has no room for the journal")
	// ErrClosed: the run was closed before the call.
	ErrClosed = errors.New("the run is closed")
)

// Reason says what is wrong with a file.
type Reason string

const (
	// Corrupt: not what was written; a byte is damaged or was edited wrongly.
	Corrupt Reason = "corrupt"
	// Truncated: the end is missing.
	Truncated Reason = "truncated"
	// Unmerged: git left its conflict markers in it.
	Unmerged Reason = "unmerged"
	// Foreign: another program's file, or the journal of another state.
	Foreign Reason = "foreign"
	// Linked: a symbolic link stands where a file of agentsync should.
	Linked Reason = "linked"
	// Newer: written by a newer agentsync.
	Newer Reason = "newer"
	// Elsewhere: a signpost stands where the state was, which is in a shared place now.
	Elsewhere Reason = "elsewhere"
	// Conflict: journal and state file contradict each other about an agent's uid.
	Conflict Reason = "conflict"
)

// FormatError says why a state file or a journal cannot be taken as it is, and the way back.
type FormatError struct {
	// Name is the file's path.
	Name   string
	Reason Reason
	// Line counts from 1, Offset (in bytes) from 0. Line is 0 where the whole file is meant.
	Line   int
	Offset int
	// Detail is what is wrong, in one sentence without a full stop.
	Detail string
	// Hint is what to do; a command to type stands alone on an indented line.
	Hint string
}

// Error returns the place and what is wrong; the hint is left to whoever shows it.
func (e *FormatError) Error() string {
	if e.Line == 0 {
		return e.Name + ": " + e.Detail
	}
	return fmt.Sprintf("%s:%d: %s (byte %d)", e.Name, e.Line, e.Detail, e.Offset)
}

// stateHint is the way back from a state file that cannot be read.
func stateHint(name string) string {
	q := quotePath(name)
	return "put the last committed version back:\n" +
		"  git checkout -- " + q + "\n" +
		"or move the file away; the next apply lists each app and takes the agents back that equal their manifests:\n" +
		"  mv " + q + " " + quotePath(name+".damaged")
}

// journalHint is the way out of a journal that cannot be replayed. Moving it away is safe because of
// the list that precedes every create; it only costs what the journal knew better than the platform.
func journalHint(name string) string {
	return "the journal holds what an earlier run did and state does not know yet; keep it, and move it away:\n" +
		"  mv " + quotePath(name) + " " + quotePath(name+".damaged") + "\n" +
		"the next apply lists each app and takes the agents back that equal their manifests; any other uid can be read in the file and taken back with: agentsync import ADDRESS UID"
}

// quotePath makes a path fit for a shell, and for one line, where it needs that.
func quotePath(path string) string {
	path = filepath.ToSlash(path)
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("/._-+:@%", r)
	}
	if path != "" && !strings.HasPrefix(path, "-") && strings.IndexFunc(path, func(r rune) bool {
		return !plain(r)
	}) < 0 {
		return path
	}
	if strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// diagnoseState turns an error of reading a state file into the most helpful thing that can be said. It
// may take its time: it runs once, before the command ends.
func diagnoseState(name string, b []byte, err error) *FormatError {
	e := &FormatError{Name: name, Reason: Corrupt, Detail: err.Error(), Hint: stateHint(name)}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		e.setPlace(b, syntax.offset)
		e.Detail = syntax.text
		if syntax.truncated {
			e.Reason = Truncated
		}
	}
	if marker := conflictMarker(b); marker >= 0 {
		e.setPlace(b, marker)
		e.Reason, e.Detail = Unmerged, "git left a merge conflict here"
		e.Hint = unmergedHint(name)
		return e
	}
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		e.Line, e.Reason, e.Detail = 0, Truncated, "the state file is empty"
	case bytes.HasPrefix(b, []byte("\ufeff")):
		e.Line, e.Offset, e.Detail = 1, 0,
			"the file starts with a byte order mark, which an editor put there; save it without"
	case !bytes.ContainsRune([]byte("{\x00"), rune(bytes.TrimSpace(b)[0])):
		e.setForeign("this is not a state file of agentsync")
	case bytes.IndexByte(b, 0) >= 0:
		e.setPlace(b, bytes.IndexByte(b, 0))
		e.Detail = "zero bytes stand here; the disk or a copy lost what was written"
	default:
		e.identifyFile(b)
	}
	return e
}

// setPlace sets the place.
func (e *FormatError) setPlace(b []byte, offset int) {
	e.Offset = min(offset, len(b))
	e.Line = 1 + bytes.Count(b[:e.Offset], []byte("\n"))
}

// identifyFile finds out whether sound JSON is a state file at all, and of which version.
func (e *FormatError) identifyFile(b []byte) {
	if !jsontext.Value(b).IsValid() {
		return
	}
	var probe struct {
		Version   jsontext.Value `json:"version"`
		Terraform jsontext.Value `json:"terraform_version"`
		Lineage   jsontext.Value `json:"lineage"`
		Agents    jsontext.Value `json:"agents"`
		MovedTo   string         `json:"movedTo"`
	}
	isObject := json.Unmarshal(b, &probe) == nil
	var version uint64
	isVersioned := json.Unmarshal(probe.Version, &version) == nil
	switch {
	case probe.Terraform != nil:
		e.setForeign("this is a state file of Terraform or OpenTofu, not of agentsync")
	case !isObject || probe.Agents == nil && probe.Lineage == nil:
		e.setForeign("this is not a state file of agentsync")
	case isObject && probe.MovedTo != "":
		e.Line, e.Offset, e.Reason = 0, 0, Elsewhere
		e.Detail = "the state was moved to " + probe.MovedTo
		e.Hint = "name it for everybody in agentsync.yaml, beside version: 1\n  state: " + probe.MovedTo +
			"\nor for one command by --state or AGENTSYNC_STATE"
	case isVersioned && version > Version:
		e.Line, e.Offset, e.Reason = 0, 0, Newer
		e.Detail = fmt.Sprintf("written by a newer agentsync: its version is %d, and this agentsync knows %d", version,
			Version)
		e.Hint = "use the agentsync that wrote it, or a later one; an older one would lose what it does not know"
	}
}

func (e *FormatError) setForeign(detail string) {
	e.Line, e.Offset, e.Reason, e.Detail = 0, 0, Foreign, detail
	e.Hint = "name the state file of agentsync with --state, or choose a name that is not taken"
}

func unmergedHint(name string) string {
	q := quotePath(name)
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
