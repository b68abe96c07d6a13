package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// Decode reads one JSON document of an answer. Anything but white space behind it is an error: two documents are
// not the one that was asked for. A byte order mark in front of it is left out. What is in it is bounded: see
// maxValues and agent.MaxDepth.
func Decode(body []byte) (agent.Raw, error) {
	body = withoutByteOrderMark(body)
	if len(body) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if err := countValues(body); err != nil { // before any of it is read, which is what takes the memory
		return nil, err
	}
	// Nobody may keep the body of an answer, and what is read of it keeps it.
	if raw, ok := agent.ReadRaw(bytes.Clone(body)); ok {
		return raw, nil
	}
	// What a strict reader refuses is read anew by a lenient one: half a character, values nested too deep to be read.
	dec := jsontext.NewDecoder(bytes.NewBuffer(cutDeep(body)), lenient...)
	v, err := dec.ReadValue()
	if err != nil {
		return nil, errNoJSON
	}
	clean, err := jsontext.AppendFormat(nil, v, lenient...)
	if err != nil {
		return nil, errNoJSON
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the answer is more than one JSON document")
	}
	if raw, ok := agent.ReadRaw(clean); ok {
		return raw, nil
	}
	return nil, errNoJSON
}

// lenient reads what servers write, and puts U+FFFD in the place of what is no character.
var lenient = []jsontext.Options{
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(false),
}

// errNoJSON says no more, because the words of JSON's readers say nothing to a person: what was answered instead
// stands in the Error's Message.
var errNoJSON = errors.New("the answer is not JSON")

// maxValues bounds how many values an answer may hold: memory grows with them, not with bytes. An agent has some 25.
const maxValues = 2_000_000

// countValues fails where body may hold more than maxValues values. It counts what parts values; where texts hold a
// great many commas as well it counts again without them.
func countValues(body []byte) error {
	n := bytes.Count(body, []byte(",")) + bytes.Count(body, []byte("{")) + bytes.Count(body, []byte("["))
	if n <= maxValues {
		return nil
	}
	n = 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = stringEnd(body, i)
		case ',', '{', '[':
			n++
		}
	}
	if n > maxValues {
		return fmt.Errorf("the answer holds more than %d values", maxValues)
	}
	return nil
}

// NewRemote returns the agent that o, a part of an answer, describes under the given uid and time.
// Every adapter makes its Remotes here, so that no mark is ever seen in their content. The uid comes first: the
// error says that there is none that can be used; where another field is not as the schema has it, Unreadable
// says which, and the agent is returned all the same.
func NewRemote(s *schema.Platform, uid, createdAt any, o agent.Object) (Remote, error) {
	return newRemote(s, nil, uid, createdAt, o)
}

// newRemote is NewRemote that seals what holds one of the run's secrets.
func newRemote(s *schema.Platform, run *secret.Finder, uid, createdAt any, o agent.Object) (Remote, error) {
	r := Remote{UID: UIDOf(uid), CreatedAt: ParseTime(createdAt)}
	if r.UID == "" {
		return Remote{}, fmt.Errorf("the answer holds an agent without a usable uid%s", unusable(uid))
	}
	if doc, ok := plainDoc(s, run, o); ok {
		r.Content = agent.ContentOfDoc(doc)
		return r, nil
	}
	if name := tooDeepIn(s, o); name != "" {
		r.Unreadable = fmt.Errorf("agent %s: field %s: %w", r.UID, name, errTooDeep)
		return r, nil
	}
	fields, err := KnownFields(s, o.Map())
	if err != nil {
		r.Unreadable = fmt.Errorf("agent %s: %w", r.UID, err)
		return r, nil
	}
	// Before the content is kept: a mark that stays in it is a difference to the manifest at each plan.
	fields, r.Mark = TakeMark(s, fields)
	sealEchoes(run, map[string]any(fields))
	r.Content = agent.ContentOf(fields)
	return r, nil
}

// plainDoc returns the canonical form of what the schema knows of an answered agent, as KnownFields and
// Encode make it, for an agent that holds no secret and no mark and whose values have the schema's
// types, which most are. It is false for any other, and where in doubt.
func plainDoc(s *schema.Platform, run *secret.Finder, o agent.Object) (agent.Doc, bool) {
	fields := s.ByName()
	values, room := make([]agent.Raw, len(fields)), 2
	for i := range fields {
		values[i] = o.Get(fields[i].Name)
		room += len(fields[i].Name) + len(values[i]) + 4
	}
	doc := make([]byte, 0, room) // kept for long: room for what is there, and no more
	for i, v := range values {
		f := &fields[i]
		if v.IsNull() {
			continue
		}
		if !v.Is(f.Type) || mayHoldSecret(f, v) || mayHoldMark(f, v) || mayBeDeep(v) || run.In(string(v)) {
			return nil, false
		}
		doc = append(append(append(doc, `,"`...), f.Name...), `":`...)
		var ok bool
		if doc, ok = v.AppendCanonical(doc); !ok {
			return nil, false
		}
	}
	if len(doc) == 0 {
		return agent.Doc("{}"), true
	}
	doc[0] = '{'
	return append(doc, '}'), true
}

// sealEchoes makes each string at or below v that holds a secret of the run a secret, and returns v. A member whose
// name holds one is left out: there is no telling what it is.
func sealEchoes(run *secret.Finder, v any) any {
	switch v := v.(type) {
	case string:
		if run.In(v) {
			return secret.Literal(v)
		}
	case map[string]any:
		for k, e := range v {
			if run.In(k) {
				delete(v, k)
				continue
			}
			v[k] = sealEchoes(run, e)
		}
	case []any:
		for i, e := range v {
			v[i] = sealEchoes(run, e)
		}
	}
	return v
}

// mayBeDeep reports whether v may be nested deeper than agent.MaxDepth.
func mayBeDeep(v agent.Raw) bool {
	return len(v) > agent.MaxDepth && bytes.Count(v, []byte("{"))+bytes.Count(v, []byte("[")) > agent.MaxDepth
}

// tooDeepIn returns the name of a field whose value is nested too deep, or "".
func tooDeepIn(s *schema.Platform, o agent.Object) string {
	for _, m := range o {
		if _, known := s.Field(m.Name); known && mayBeDeep(m.Value) && deeperThan(m.Value.Value(), agent.MaxDepth) {
			return m.Name
		}
	}
	return ""
}

var errTooDeep = fmt.Errorf("nested more than %d levels deep", agent.MaxDepth)

// deeperThan reports whether v is nested deeper than n levels.
func deeperThan(v any, n int) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if n == 0 || deeperThan(e, n-1) {
				return true
			}
		}
		return n == 0
	case []any:
		return n == 0 || slices.ContainsFunc(v, func(e any) bool { return deeperThan(e, n-1) })
	}
	return false
}

// mayHoldMark reports whether a mark may be in v, its name written out or with an escape.
func mayHoldMark(f *schema.Field, v agent.Raw) bool {
	return f.Marker && (bytes.Contains(v, []byte(agent.MarkName)) || bytes.Contains(v, []byte(`\u`)))
}

// mayHoldSecret reports whether a secret of the field may be in v: the name of its last member stands
// there, or something escaped that may be it.
func mayHoldSecret(f *schema.Field, v agent.Raw) bool {
	for _, pointer := range f.Secret {
		last := pointer[strings.LastIndexByte(pointer, '/')+1:]
		if bytes.Contains(v, []byte(last)) || bytes.ContainsRune(v, '\\') {
			return true
		}
	}
	return false
}

// KnownFields keeps of an answered agent what the schema knows, in the form of agent.Content.
// It takes over what m holds. Values of another type are converted where that cannot change what
// they mean: PHP's [] for an empty object, 1 for true, a number for its text. The error names the
// field and shows no value.
func KnownFields(s *schema.Platform, m map[string]any) (agent.Fields, error) {
	fields := make(agent.Fields, len(s.Fields))
	for _, f := range s.Fields {
		v, ok := m[f.Name]
		if !ok || v == nil {
			continue
		}
		v, ok = asType(f.Type, v)
		if !ok {
			return nil, fmt.Errorf("field %s: %s where the type is %s", f.Name, jsonType(v), f.Type)
		}
		v, err := normalizeValue(v, f.Secret, "/"+agent.EscapePointer(f.Name))
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		fields[f.Name] = v
	}
	return fields, nil
}

// normalizeValue makes numbers canonical, drops nulls from maps and hides what lies at or below one of
// the secret paths. secrets is empty for most fields, and then no path is built.
func normalizeValue(v any, secrets []string, path string) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if v == tooDeep {
			return nil, errTooDeep
		}
		if isBelowSecret(secrets, path) {
			return secret.Literal(v.String()), nil
		}
		return agent.Number(v.String())
	case string:
		if isBelowSecret(secrets, path) {
			return secret.Literal(v), nil
		}
		return v, nil
	case bool:
		if isBelowSecret(secrets, path) {
			return secret.Literal(strconv.FormatBool(v)), nil
		}
		return v, nil
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			c, err := normalizeValue(e, secrets, belowPath(secrets, path, k))
			if err != nil {
				return nil, err
			}
			v[k] = c
		}
		return v, nil
	case []any:
		for i, e := range v {
			c, err := normalizeValue(e, secrets, belowPath(secrets, path, strconv.Itoa(i)))
			if err != nil {
				return nil, err
			}
			v[i] = c
		}
		return v, nil
	}
	return v, nil
}

func belowPath(secrets []string, path, token string) string {
	if len(secrets) == 0 {
		return ""
	}
	return path + "/" + agent.EscapePointer(token)
}

func isBelowSecret(secrets []string, path string) bool {
	for _, s := range secrets {
		if path == s || strings.HasPrefix(path, s+"/") {
			return true
		}
	}
	return false
}

// asType returns v as the JSON type want, and whether it is one or stands for one.
func asType(want string, v any) (any, bool) {
	switch want {
	case "string":
		switch v := v.(type) {
		case string:
			return v, true
		case json.Number:
			return v.String(), true
		}
	case "boolean":
		return asBool(v)
	case "array":
		if m, ok := v.(map[string]any); ok && len(m) == 0 {
			return []any{}, true
		}
		_, ok := v.([]any)
		return v, ok
	case "object":
		if l, ok := v.([]any); ok && len(l) == 0 {
			return map[string]any{}, true
		}
		_, ok := v.(map[string]any)
		return v, ok
	default:
		return v, true
	}
	return v, false
}

func asBool(v any) (any, bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case json.Number:
		if v == "0" || v == "1" {
			return v == "1", true
		}
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, true
		}
	}
	return v, false
}

// jsonType names the type of v for a person.
func jsonType(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "null"
}

// stringEnd returns where the string ends whose opening quote is at i: at its closing quote, or behind body.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body) && body[i] != '"'; i++ {
		if body[i] == '\\' {
			i++
		}
	}
	return i
}

// cutDeep returns body with tooDeep in the place of every value that is nested deeper than agent.MaxTextDepth. It is
// for answers that no reader reads for their depth.
func cutDeep(body []byte) []byte {
	var b bytes.Buffer
	depth, from := 0, 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = stringEnd(body, i)
		case '{', '[':
			if depth++; depth == agent.MaxTextDepth {
				b.Write(body[from:i])
				b.WriteString(tooDeep)
			}
		case '}', ']':
			if depth--; depth == agent.MaxTextDepth-1 {
				from = i + 1
			}
		}
	}
	if depth < agent.MaxTextDepth {
		b.Write(body[min(from, len(body)):])
	}
	return b.Bytes()
}

// tooDeep stands for what is nested too deep: a number that is out of every range, so that only the agent that holds
// it is unreadable.
const tooDeep = "1e999999999"

// withoutByteOrderMark returns body without the byte order mark that some servers put before it, and the white space.
func withoutByteOrderMark(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
}

// maxUID is the longest uid in bytes; those seen have 20 (Mindset) and 36 (CometChat, UUID v4).
const maxUID = 128

// UsableUID reports whether uid can stand in a request's path: 1 to 128 of A-Z a-z 0-9 . _ : @ ~ + = -
// that start with a letter, a digit, an underscore or a hyphen, as one in 64 base64url texts does. That is every
// form seen with room for others, and nothing that would change the meaning of the path or of a command that is copied.
func UsableUID(uid string) bool {
	if uid == "" || len(uid) > maxUID || strings.IndexByte(".:@~+=", uid[0]) >= 0 {
		return false
	}
	for i := range len(uid) {
		c := uid[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("._:@~+=-", c) < 0 {
			return false
		}
	}
	return true
}

// unusable returns what stands in place of a usable uid, to end a message with: it is all that a person has to find the
// agent by.
func unusable(uid any) string {
	text, _ := uid.(string)
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text[:min(len(text), maxUID)])
}

// UIDOf returns the uid that v, a value of an answer, stands for, or "" where it is not usable. A
// server that counts its agents answers numbers; they are taken by their text.
func UIDOf(v any) string {
	uid, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		uid, ok = n.String(), !strings.ContainsAny(n.String(), "+-") // no counter is one of those
	}
	if !ok || !UsableUID(uid) {
		return ""
	}
	return strings.Clone(uid) // kept for long, the answer's text is not
}

// timeLayouts are the ISO 8601 forms that the platforms' references show, and their cousins without
// a zone (taken as UTC) or with a space.
var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
}

// secondsBelow parts Unix seconds from Unix milliseconds: as seconds it is the year 5138, as
// milliseconds it is March 1973, and neither platform existed then or will answer from there.
const secondsBelow = 1e11

// ParseTime reads a time as a platform answers it: an ISO 8601 string, or Unix milliseconds or
// seconds as a number or as its digits. It returns the zero time for null, zero and anything else.
func ParseTime(v any) time.Time {
	switch v := v.(type) {
	case json.Number:
		return unixTime(v.String())
	case string:
		v = strings.TrimSpace(v)
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC()
			}
		}
		return unixTime(v)
	}
	return time.Time{}
}

func unixTime(text string) time.Time {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || f <= 0 || f > 1e15 {
		return time.Time{}
	}
	if f < secondsBelow {
		f *= 1000
	}
	return time.UnixMilli(int64(f)).UTC()
}

// A mark stands in the field that the schema says can carry it (schema.Field.Marker): in an object as
// the member agentsync, in a list as the element agentsync:MARK. What only looks like one, because
// it is not of the form that agent.IsMark wants, is the user's own.
const markPrefix = agent.MarkName + ":"

// AddMark returns a copy of fields, of a create or of an update that sends the field whole, in which
// the agent carries the mark. Where there is no mark to carry it returns fields.
func AddMark(s *schema.Platform, fields agent.Fields, mark string) agent.Fields {
	f, ok := s.Marker()
	if !ok || mark == "" {
		return fields
	}
	fields = maps.Clone(fields)
	switch f.Type {
	case "object":
		old, _ := fields[f.Name].(map[string]any)
		marked := make(map[string]any, len(old)+1)
		maps.Copy(marked, old)
		marked[agent.MarkName] = mark
		fields[f.Name] = marked
	case "array":
		old, _ := fields[f.Name].([]any)
		fields[f.Name] = append(slices.Clone(old), markPrefix+mark)
	}
	return fields
}

// TakeMark returns what a platform answered without the mark in it, and the mark, empty for none. It
// takes over what fields holds. Where there are several, which only somebody else can have brought
// about, none is left and the first counts.
func TakeMark(s *schema.Platform, fields agent.Fields) (rest agent.Fields, mark string) {
	f, ok := s.Marker()
	if !ok {
		return fields, ""
	}
	switch v := fields[f.Name].(type) {
	case map[string]any:
		if m, _ := v[agent.MarkName].(string); agent.IsMark(m) {
			delete(v, agent.MarkName)
			mark = m
		}
	case []any:
		fields[f.Name] = slices.DeleteFunc(v, func(e any) bool {
			s, _ := e.(string)
			m, found := strings.CutPrefix(s, markPrefix)
			if !found || !agent.IsMark(m) {
				return false
			}
			if mark == "" {
				mark = m
			}
			return true
		})
	}
	return fields, mark
}
