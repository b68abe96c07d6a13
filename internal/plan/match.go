package plan

import (
	"cmp"
	"crypto/sha256"
	"html"
	"slices"
	"strconv"
	"strings"

	"agentsync/internal/agent"
	"agentsync/internal/secret"
	"agentsync/schema"
)

// This is the one answer to "which live agent is this wanted one?": for the creates of a plan, for requests
// without an answer, and for what is shown of either. It knows what platforms do to what they are sent
// (trim texts, change line ends, escape HTML, drop a URL's last slash, add members to objects) and is exact
// about the rest.

// Candidate is an agent that is looked for among live ones.
type Candidate struct {
	// Fields are what it holds. Secrets have their values where these are known; one without a value
	// matches anything.
	Fields agent.Fields
	// Mark is the mark that agentsync gives the agent of this address. A live agent that carries it is
	// found whatever it holds, and one that carries another is somebody else's.
	Mark string
	// May reports whether it can be the live agent at all; nil stands for any.
	May func(Live) bool
}

// Match is what was found of a candidate. At most one of UID and Equal is set.
type Match struct {
	// UID is the agent that it is, empty for none.
	UID string
	// Marked reports that UID was found by its mark, so that its content may differ.
	Marked bool
	// Equal are agents of which each may be it, and nobody can say which.
	Equal []string
	// Namesakes are free agents of the same identity with another content.
	Namesakes []string
}

// Find says of each candidate which of the free agents it is. A live agent is found once at most;
// candidates that want the same get one agent each, in their order. With added, fields that a candidate
// does not name may hold anything, as those of an agent do that a request made: platforms add to what they
// are given. Without it they must be empty or the platform's default.
func Find(p *schema.Platform, wanted []Candidate, free []Live, added bool) []Match {
	m := &matcher{schema: p, added: added, wanted: wanted, found: make([]Match, len(wanted)), used: map[string]bool{}}
	// What cannot be read is nobody's: its uid is known, and that is all.
	free = slices.DeleteFunc(slices.Clone(free), func(l Live) bool { return l.Content.IsZero() })
	// Marks go first: they are certain, and each agent that they decide is one less for others to be mistaken for.
	m.byMark(free)
	if len(free) == 0 {
		return m.found
	}
	byName := map[string][]Live{}
	for _, l := range free {
		name := identityOf(p, l.Content)
		byName[name] = append(byName[name], l)
	}
	// Candidates of one identity are decided together: one that is decided alone could take what another fits better.
	groups := map[string][]int{}
	var names []string
	for i := range wanted {
		switch name, known := Identity(p, wanted[i].Fields); {
		case m.decided(i):
		case !known:
			m.findNameless(i, free)
		default:
			if groups[name] == nil {
				names = append(names, name)
			}
			groups[name] = append(groups[name], i)
		}
	}
	for _, name := range names {
		m.namesakes(groups[name], byName[name])
	}
	return m.found
}

// matcher holds candidates against live agents.
type matcher struct {
	schema *schema.Platform
	added  bool
	wanted []Candidate
	found  []Match
	used   map[string]bool // uids that were found or cannot be told apart
}

func (m *matcher) decided(i int) bool { return m.found[i].UID != "" || m.found[i].Equal != nil }

func (m *matcher) mayBe(i int, l Live) bool {
	return !m.used[l.UID] && (m.wanted[i].May == nil || m.wanted[i].May(l))
}

// byMark decides the candidates whose agent carries their mark.
func (m *matcher) byMark(free []Live) {
	byMark := map[string][]Live{}
	for _, l := range free {
		if l.Mark != "" {
			byMark[l.Mark] = append(byMark[l.Mark], l)
		}
	}
	for i, c := range m.wanted {
		if c.Mark == "" {
			continue
		}
		switch own := uidsOf(byMark[c.Mark], func(l Live) bool { return m.mayBe(i, l) }); len(own) {
		case 0:
		case 1:
			m.found[i], m.used[own[0]] = Match{UID: own[0], Marked: true}, true
		default:
			m.found[i] = Match{Equal: own}
		}
	}
}

// namesakes decides the candidates of one identity against the free agents of that identity, closest match
// first: an agent that is exactly what one candidate wants is not another's that it is only like.
func (m *matcher) namesakes(group []int, named []Live) {
	free := slices.DeleteFunc(slices.Clone(named), func(l Live) bool { return l.Mark != "" }) // it is somebody's
	exact := func(f agent.Fields) string { return contentKey(m.schema, f, false) }
	folded := func(f agent.Fields) string { return contentKey(m.schema, f, true) }
	for _, key := range []func(agent.Fields) string{exact, folded} {
		live := map[string][]Live{}
		for _, l := range free {
			if !m.used[l.UID] {
				k := key(l.Content.Fields())
				live[k] = append(live[k], l)
			}
		}
		m.assignGroup(group, key, func(_ int, k string) []Live { return live[k] })
	}
	// What sent more comes first: an agent that holds all of it was not made by what sent less.
	rest := slices.DeleteFunc(slices.Clone(group), m.decided)
	slices.SortStableFunc(rest, func(a, b int) int {
		return cmp.Compare(countLeaves(map[string]any(m.wanted[b].Fields)),
			countLeaves(map[string]any(m.wanted[a].Fields)))
	})
	m.assignGroup(rest, folded, func(i int, _ string) []Live {
		return slices.DeleteFunc(slices.Clone(free), func(l Live) bool {
			return !m.holdsAll(m.wanted[i].Fields, l.Content)
		})
	})
	for _, i := range group {
		if !m.decided(i) {
			m.found[i].Namesakes = uidsOf(named, func(l Live) bool { return m.mayBe(i, l) })
		}
	}
}

// assignGroup gives candidates that share a key the live agents that fit them, unless there are more agents than
// candidates.
func (m *matcher) assignGroup(group []int, key func(agent.Fields) string, fitting func(i int, key string) []Live) {
	same := map[string][]int{}
	var keys []string
	for _, i := range group {
		if m.decided(i) {
			continue
		}
		k := key(m.wanted[i].Fields)
		if k == "" { // no canonical value: like no other
			k = strconv.Itoa(i)
		}
		if same[k] == nil {
			keys = append(keys, k)
		}
		same[k] = append(same[k], i)
	}
	for _, k := range keys {
		alike := same[k]
		fits := uidsOf(fitting(alike[0], k), func(l Live) bool {
			return slices.ContainsFunc(alike, func(i int) bool { return m.mayBe(i, l) })
		})
		for n, uid := range fits {
			switch {
			case len(fits) <= len(alike):
				m.found[alike[n]] = Match{UID: uid}
			case n == 0:
				for _, i := range alike {
					m.found[i] = Match{Equal: fits}
				}
			}
			m.used[uid] = true
		}
	}
}

// findNameless decides a candidate whose identity is not known: what holds all the rest may be it.
func (m *matcher) findNameless(i int, free []Live) {
	m.found[i].Equal = uidsOf(free, func(l Live) bool {
		return l.Mark == "" && m.mayBe(i, l) && m.holdsAll(m.wanted[i].Fields, l.Content)
	})
}

func uidsOf(list []Live, ok func(Live) bool) []string {
	var uids []string
	for _, l := range list {
		if ok(l) {
			uids = append(uids, l.UID)
		}
	}
	return uids
}

// holdsAll reports whether a live agent holds all that a candidate wants, as platforms change it.
func (m *matcher) holdsAll(wanted agent.Fields, live agent.Content) bool {
	shown := live.Fields()
	for i := range m.schema.Fields {
		f := &m.schema.Fields[i]
		v, named := wanted[f.Name]
		if !named && m.added || f.CreateOnly {
			continue
		}
		if !(comparer{fold: true, added: true}).field(f, v, shown[f.Name]) {
			return false
		}
	}
	return true
}

// Unlike returns the names of the sent fields that the live agent does not hold as they were sent, in the
// schema's order. Secrets, the order of unordered lists and members that the platform added do not count.
func Unlike(p *schema.Platform, sent agent.Fields, live agent.Content) []string {
	shown := live.Fields()
	var names []string
	for i := range p.Fields {
		f := &p.Fields[i]
		v, ok := sent[f.Name]
		if ok && !f.CreateOnly && !(comparer{added: true}).field(f, v, shown[f.Name]) {
			names = append(names, f.Name)
		}
	}
	return names
}

// Holds reports whether a field of a live agent is what was sent, as a platform changes it: texts folded,
// members of objects added.
func Holds(f *schema.Field, sent, live any) bool {
	return comparer{fold: true, added: true}.field(f, sent, live)
}

// Equal reports whether a field of a live agent is exactly what was sent or observed. Secrets do not count.
func Equal(f *schema.Field, sent, live any) bool { return comparer{}.field(f, sent, live) }

// comparer compares what was sent with what is live.
type comparer struct {
	fold  bool // texts as platforms change them are the same
	added bool // objects may have more members than were sent
}

// field compares a top-level field, taking missing, null, the default and empty as the same.
func (c comparer) field(f *schema.Field, sent, live any) bool {
	return c.value(orCleared(f, sent), orCleared(f, live), f.Unordered)
}

func orCleared(f *schema.Field, v any) any {
	if v == nil {
		return f.Cleared()
	}
	return v
}

// value compares below a field. A secret whose value one side does not show matches anything.
func (c comparer) value(sent, live any, unordered bool) bool {
	if secret.Is(sent) || secret.Is(live) {
		return c.secret(sent, live)
	}
	switch sent := sent.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		return ok && c.members(sent, live)
	case []any:
		live, ok := live.([]any)
		if !ok || len(sent) != len(live) {
			return false
		}
		if unordered {
			sent, live = c.sorted(sent), c.sorted(live)
		}
		return slices.EqualFunc(sent, live, func(a, b any) bool { return c.value(a, b, false) })
	case string:
		live, ok := live.(string)
		return ok && (sent == live || c.fold && foldText(sent) == foldText(live))
	default:
		return equalValue(sent, live)
	}
}

// secret compares where one side is a secret: by its value where both are known and none is a mask.
func (c comparer) secret(sent, live any) bool {
	text, isText := sent.(secret.Text)
	shown, _ := live.(string) // what is none is as good as a mask
	if !isText || isMask(shown) {
		return true
	}
	value, err := text.Reveal()
	return err != nil || value == shown || c.fold && foldText(value) == foldText(shown)
}

func (c comparer) members(sent, live map[string]any) bool {
	for k, s := range sent {
		l, ok := live[k]
		if hidden := !ok && holdsOnlySecrets(s); !hidden && !c.value(s, l, false) {
			return false
		}
	}
	for k, l := range live {
		if _, ok := sent[k]; !ok && !c.added && l != nil && !holdsOnlySecrets(l) {
			return false
		}
	}
	return true
}

func (c comparer) sorted(list []any) []any {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b any) int {
		s, _ := a.(string) // what is no text keeps its place among its like
		t, _ := b.(string)
		if c.fold {
			s, t = foldText(s), foldText(t)
		}
		return strings.Compare(s, t)
	})
	return sorted
}

// holdsOnlySecrets reports whether v is a secret, or a map of nothing but secrets: what a platform that masks
// headers may leave out altogether.
func holdsOnlySecrets(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return secret.Is(v)
	}
	for _, e := range m {
		if !holdsOnlySecrets(e) {
			return false
		}
	}
	return true
}

// countLeaves counts the values that v holds.
func countLeaves(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += countLeaves(e)
		}
	case []any:
		for _, e := range v {
			n += countLeaves(e)
		}
	}
	return n
}

// Leftover reports whether live, below a field, has members that were not sent and that the platform did not add on
// its own: they were wanted once (applied), or were not there when the agent was last seen (observed).
func Leftover(sent, live, applied, observed any) bool {
	l, ok := live.(map[string]any)
	if !ok {
		return false
	}
	s, _ := sent.(map[string]any)
	a, _ := applied.(map[string]any)
	o, _ := observed.(map[string]any)
	for k, v := range l {
		if v == nil || secret.Is(v) {
			continue
		}
		if _, wasSent := s[k]; wasSent {
			if Leftover(s[k], v, a[k], o[k]) {
				return true
			}
			continue
		}
		_, wasApplied := a[k]
		if _, wasThere := o[k]; wasApplied || !wasThere {
			return true
		}
	}
	return false
}

// Shares reports whether a live agent may be what a platform made of what was sent, beyond what Find knows of
// platforms: its name is the same but for case and length, or it has a text, a list or an object of its own that
// was sent. Words of a few letters, such as an integration's, are no sign.
func Shares(p *schema.Platform, sent agent.Fields, live agent.Content) bool {
	shown := live.Fields()
	for i := range p.Fields {
		f := &p.Fields[i]
		v := sent[f.Name]
		if text, ok := v.(secret.Text); ok {
			v, _ = text.Reveal() // without its value it shares nothing
		}
		s, isText := v.(string)
		t, _ := shown[f.Name].(string)
		switch {
		case isText && f.Identity:
			a, b := strings.ToLower(foldName(s)), strings.ToLower(foldName(t))
			if a != "" && b != "" && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a)) {
				return true
			}
		case isText && len(s) <= shortWord && !strings.Contains(s, " "):
		case (comparer{fold: true}).field(f, v, nil): // it says nothing
		default:
			if _, isBool := v.(bool); !isBool && (comparer{fold: true, added: true}).field(f, v, shown[f.Name]) {
				return true
			}
		}
	}
	return false
}

// shortWord is the longest word that says nothing of its own.
const shortWord = 20

// identityOf is what a person tells live agents apart by: the schema's identity fields, as platforms change
// them.
func identityOf(p *schema.Platform, c agent.Content) string {
	var b strings.Builder
	for _, field := range p.Fields {
		if field.Identity {
			s, _ := c.Value(field.Name).(string)
			b.WriteString(foldName(s))
			b.WriteByte(0)
		}
	}
	return b.String()
}

// Identity is what a person tells agents apart by: the schema's identity fields, as platforms change them. It is false
// where a secret in them has no known value.
func Identity(p *schema.Platform, fields agent.Fields) (string, bool) {
	var b strings.Builder
	for _, field := range p.Fields {
		if !field.Identity {
			continue
		}
		s, _ := fields[field.Name].(string)
		switch v := fields[field.Name].(type) {
		case secret.Text:
			var err error
			if s, err = v.Reveal(); err != nil {
				return "", false
			}
		case secret.Sealed:
			return "", false
		}
		b.WriteString(foldName(s))
		b.WriteByte(0)
	}
	return b.String(), true
}

// contentKey is a key that two sets of fields share if and only if they hold the same, as far as a platform
// shows it: missing, null, the default and empty are the same, the order of unordered lists does not count,
// and values in fields that the schema marks secret are left out.
func contentKey(p *schema.Platform, fields agent.Fields, fold bool) string {
	norm := agent.Fields{}
	for i := range p.Fields {
		f := &p.Fields[i]
		if f.CreateOnly {
			continue // never shown
		}
		v := visibleValue(p, f.Pointer, fields[f.Name], fold)
		if list, ok := v.([]any); ok && f.Unordered {
			v = comparer{}.sorted(list)
		}
		if v != nil && !agent.Equal(v, visibleValue(p, f.Pointer, f.Cleared(), fold)) {
			norm[f.Name] = v
		}
	}
	doc, err := agent.Encode(norm)
	if err != nil {
		return "" // not a canonical value: equal to nothing that is
	}
	sum := sha256.Sum256(doc) // a secret outside the secret fields is part of doc: keep no copy
	return string(sum[:])
}

// visibleValue returns a copy of v without what stands in secret fields and without null members.
func visibleValue(p *schema.Platform, path string, v any, fold bool) any {
	if p.IsSecret(path) {
		return nil
	}
	switch v := v.(type) {
	case secret.Text:
		s, err := v.Reveal()
		if err != nil {
			return secret.Sealed{}
		}
		return visibleValue(p, path, s, fold)
	case string:
		if fold {
			return foldText(v)
		}
		return v
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			if e = visibleValue(p, path+"/"+agent.EscapePointer(k), e, fold); e != nil {
				m[k] = e
			}
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = visibleValue(p, path, e, fold)
		}
		return list
	default:
		return v
	}
}

// foldName folds a name as people read it: white space inside does not count either.
func foldName(s string) string { return strings.Join(strings.Fields(foldText(s)), " ") }

// foldText returns what all the spellings share that platforms make of a text: no white space around it, one
// form of line end, no HTML escapes, and of a URL no last slash, no default port and a host in lower case.
func foldText(s string) string {
	for range 3 { // what was escaped twice is unescaped twice
		if strings.IndexByte(s, '&') < 0 {
			break
		}
		s = html.UnescapeString(s)
	}
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	s = strings.TrimSpace(s)
	scheme, rest, found := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "http" && scheme != "https" || strings.ContainsAny(rest, " \t\n") {
		return s
	}
	host, path, _ := strings.Cut(rest, "/")
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	host = strings.TrimSuffix(strings.ToLower(host), port)
	if !strings.ContainsAny(path, "?#") {
		path = strings.TrimSuffix(path, "/")
	}
	if path == "" {
		return scheme + "://" + host
	}
	return scheme + "://" + host + "/" + path
}
