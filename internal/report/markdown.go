package report

import (
	"io"
	"strings"
	"unicode/utf8"

	"agentsync/internal/diag"
	"agentsync/internal/plan"
)

// DefaultMarkdownChars bounds a Markdown document: a comment on GitHub holds 65,536 characters, and
// the action that posts it may want to add a line.
const DefaultMarkdownChars = 60_000

// MarkdownOptions say how a Markdown document is made. The zero value is right for one comment.
type MarkdownOptions struct {
	// Marker names the comment, so that a later run finds it and updates it in place: the first line
	// is the HTML comment <!-- agentsync:MARKER -->. Empty stands for the kind of document: plan,
	// apply or validate. Other characters than letters, digits, . _ / and - are left out.
	Marker string
	// Title is the heading's text, or empty for the kind's own. It is shown as text, never as markup.
	Title string
	// Link returns the address of the page that shows a place, empty where there is none; nil for no links. What it returns
	// must be safe in a Markdown link.
	Link func(diag.Pos) string
	// MaxChars bounds the document in UTF-16 units, as GitHub counts; 0 stands for
	// DefaultMarkdownChars, and less than 2,000 is taken as 2,000.
	MaxChars int
}

const minMarkdownChars = 2000

func (o MarkdownOptions) maxChars() int {
	if o.MaxChars == 0 {
		return DefaultMarkdownChars
	}
	return max(o.MaxChars, minMarkdownChars)
}

// head returns the marker and the heading.
func (o MarkdownOptions) head(kind, heading string) string {
	marker := strings.Map(func(r rune) rune {
		if plainName(string(r)) || r == '.' || r == '/' {
			return r
		}
		return -1
	}, o.Marker)
	marker = strings.ReplaceAll(marker, "--", "-") // two hyphens may end a comment
	if marker == "" {
		marker = kind
	}
	title := "agentsync " + kind
	if o.Title != "" {
		title = codeSpan(clip(o.Title, 120))
	}
	return "<!-- agentsync:" + marker + " -->\n### " + title + ": " + heading + "\n\n"
}

// place shows a place as code, linked where there is a page for it.
func (o MarkdownOptions) place(pos diag.Pos) string {
	return o.linked(codeSpan(clip(pos.String(), 200)), pos)
}

// linked links what is shown to the page of a place.
func (o MarkdownOptions) linked(shown string, pos diag.Pos) string {
	if o.Link == nil || pos.IsZero() {
		return shown
	}
	if url := o.Link(pos); url != "" {
		return "[" + shown + "](" + url + ")"
	}
	return shown
}

// chars counts s as GitHub does: in UTF-16 units.
func chars(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// codeSpan shows data on one line as code, where nothing in it is markup, a mention, a reference or a
// link. Its delimiters are longer than any run of backticks inside. A bar would end a table's cell even
// inside code, and no escape of it is read alike by all renderers, so it is drawn as a broken one.
func codeSpan(s string) string {
	s = strings.ReplaceAll(Sanitize(s), "|", "¦")
	if strings.TrimSpace(s) == "" {
		s = quote(s)
	}
	fence := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") ||
		strings.HasPrefix(s, " ") && strings.HasSuffix(s, " ") {
		s = " " + s + " " // one space at each end is taken off when it is shown
	}
	return fence + s + fence
}

// fence puts lines into a fenced block that they cannot end: its fence is longer than any run of
// backticks in them. The lines must be sanitised.
func fence(language, body string) string {
	mark := strings.Repeat("`", max(3, longestRun(body, '`')+1))
	return mark + language + "\n" + body + mark + "\n"
}

func longestRun(s string, c byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != c {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// escapeHTML makes data safe inside an HTML element of a Markdown document.
func escapeHTML(s string) string {
	return htmlEscaper.Replace(Sanitize(s))
}

// prose makes a sentence that may hold data safe as Markdown text: punctuation that could be markup is
// escaped, and an invisible space keeps mentions, references, addresses and emoji from being linked.
// It stands after @, # and GH-, and after a colon or a point that no space follows. A backslash would not do: GitHub
// looks for mentions and references in what has been rendered.
func prose(s string) string {
	var b strings.Builder
	s = Sanitize(s)
	for i, r := range s {
		switch {
		case r == '@' || r == '#':
			b.WriteString(string(r) + "\u200b")
		case r == ':' || r == '.':
			b.WriteRune(r)
			if i+1 < len(s) && s[i+1] != ' ' {
				b.WriteString("\u200b")
			}
		case r < utf8.RuneSelf && strings.ContainsRune("\\`*_{}[]()<>+-!|~&=\"'$^", r):
			b.WriteByte('\\')
			b.WriteRune(r)
			if r == '-' && i >= 2 && strings.EqualFold(s[i-2:i], "GH") {
				b.WriteString("\u200b")
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// clipLines keeps whole lines of body within budget UTF-16 units and says how many were left out.
func clipLines(body string, budget int) (kept string, left int) {
	if chars(body) <= budget {
		return body, 0
	}
	var b strings.Builder
	lines := strings.SplitAfter(strings.TrimSuffix(body, "\n"), "\n")
	for i, l := range lines {
		if budget -= chars(l); budget < 0 {
			return b.String(), len(lines) - i
		}
		b.WriteString(l)
	}
	return b.String(), 0
}

// PlanMarkdown writes p as a comment for a pull request: a hidden marker, a summary, a table of the
// agents, and each agent's diff behind a fold. It never exceeds MarkdownOptions.MaxChars: where not
// everything fits, the most destructive changes come first and what was left out is counted. Nothing
// in an agent's content can end its fence, become HTML, ping a person or load an image. The error is
// that of w.
func PlanMarkdown(w io.Writer, p *plan.Plan, o MarkdownOptions) error {
	d := planDocument{p: p, options: o, head: o.head("plan", planHeading(p.Summary)), budget: o.maxChars()}
	_, err := io.WriteString(w, d.render())
	return err
}

func planHeading(s plan.Summary) string {
	if !s.Any() {
		return "no changes"
	}
	return toDo(s, Style{})
}

// planDocument is a Markdown document under construction.
type planDocument struct {
	p       *plan.Plan
	options MarkdownOptions
	head    string
	budget  int
}

// room is what the closing sentences need.
const room = 400

// render writes everything in the order of addresses if it fits, and otherwise what fits of it with
// the most destructive first.
func (d planDocument) render() string {
	intro := d.intro()
	if len(d.p.Changes) == 0 {
		return intro
	}
	// In the table the agents are linked as well, if there is room for that.
	for _, inTable := range []MarkdownOptions{d.options, {}} {
		if all, ok := d.everything(intro, inTable); ok {
			return all
		}
		if d.options.Link == nil {
			break
		}
	}
	return d.cut(intro)
}

// intro is the heading, the summary and what the plan found beside its changes.
func (d planDocument) intro() string {
	intro := d.head + summaryLine(d.p.Summary, Style{}) + "\n" + originsMarkdown(d.p.Origins)
	intro += d.options.renamesMarkdown(d.p, d.budget/4)
	notes := planNotes(d.p)
	if line := unmanagedCount(d.p); line != "" {
		notes = append(notes, line)
	}
	for _, note := range notes {
		note = "\n" + prose(clip(note, 500)) + "\n"
		if chars(intro)+chars(note) > d.budget/4 {
			break
		}
		intro += note
	}
	return intro
}

// maxGroups is how many groups are told of where not everything fits.
const maxGroups = 10

const tableHead = "\n| | agent | action | what changes |\n|---|---|---|---|\n"

// everything writes all changes in the order of addresses. It gives up, and is not ok, as soon as the
// budget is used up.
func (d planDocument) everything(intro string, inTable MarkdownOptions) (string, bool) {
	left := d.budget - chars(intro)
	var b strings.Builder
	b.WriteString(intro)
	write := func(s string) bool {
		left -= chars(s)
		b.WriteString(s)
		return left >= 0
	}
	single, groups := grouped(d.p.Changes)
	ok := write(tableHead)
	for i := 0; ok && i < len(single); i++ {
		ok = write(inTable.tableRow(single[i]))
	}
	for i := 0; ok && i < len(groups); i++ {
		ok = write(groupRow(groups[i]))
	}
	ok = ok && write("\n")
	for i := 0; ok && i < len(single); i++ {
		if c := single[i]; hasDetails(c) {
			ok = write(d.options.detailsOf(c, d.budget))
		}
	}
	for i := 0; ok && i < len(groups); i++ {
		ok = write(inTable.groupDetails(groups[i], d.budget))
	}
	return b.String(), ok
}

// cut writes what fits, the most destructive changes first: half of the room for the table, so that
// the diffs of what matters most are seen as well.
func (d planDocument) cut(intro string) string {
	single, groups := grouped(d.p.Changes)
	changes := bySeverity(single)
	var b strings.Builder
	b.WriteString(intro + tableHead)
	left := d.budget - room - chars(b.String())
	var tail, tailDetails strings.Builder // groups stand last, but their room is kept: each stands for many agents
	for i, g := range groups {
		row, details := groupRow(g), MarkdownOptions{}.groupDetails(g, maxDetails/2)
		if i == maxGroups || chars(row)+chars(details) > left/2 {
			break
		}
		left -= chars(row) + chars(details)
		tail.WriteString(row)
		tailDetails.WriteString(details)
		groups[i].members = nil // told of
	}
	rows := 0
	for half := left / 2; rows < len(changes); rows++ {
		row := MarkdownOptions{}.tableRow(changes[rows])
		if half -= chars(row); half < 0 {
			break
		}
		left -= chars(row)
		b.WriteString(row)
	}
	b.WriteString(tail.String())
	b.WriteByte('\n')
	shown, untold := 0, 0
	for _, c := range changes {
		if !hasDetails(c) {
			continue
		}
		section, ok := "", untold == 0
		if ok {
			section, ok = d.options.fitDetails(c, left)
		}
		if !ok {
			untold++
			continue
		}
		left -= chars(section)
		b.WriteString(section)
		shown++
	}
	b.WriteString(tailDetails.String())
	rest := changes[rows:]
	for _, g := range groups {
		rest = append(rest, g.members...)
	}
	b.WriteString(leftOut(rest, shown, untold))
	return b.String()
}

// fitDetails folds an agent's diff so that it takes at most room left, cut short if it must be. It is
// not ok where too little would remain to be of use.
func (o MarkdownOptions) fitDetails(c plan.Change, left int) (string, bool) {
	const atLeast, around = 300, 700
	section := o.detailsOf(c, min(maxDetails, left))
	if chars(section) > left && left > atLeast+around {
		section = o.detailsOf(c, left-around)
	}
	return section, chars(section) <= left
}

// leftOut counts what did not fit.
func leftOut(rows []plan.Change, details, untold int) string {
	if len(rows) == 0 && untold == 0 {
		return ""
	}
	text := "\n**Left out, because there was no room:** "
	if len(rows) > 0 {
		s := summarise(rows)
		text += count(len(rows), "agent") + " in the table"
		if s.Changes() > 0 {
			text += " (" + toDo(s, Style{}) + ")"
		}
		text += ", "
	}
	return text + count(untold, "diff") + ". " + count(details, "diff") +
		" shown, the most destructive changes first. The whole plan is in the text, JSON and HTML outputs.\n"
}

// tableRow is one agent's line in the table. All data in it is code.
func (o MarkdownOptions) tableRow(c plan.Change) string {
	l := lookOf(c.Action)
	what := whatChanges(c)
	if c.Blocked != "" {
		what = "**blocked** (" + prose(string(c.Blocked)) + ") " + what
	}
	who := o.linked(codeSpan(clip(c.Address.String(), 200)), c.Source)
	if c.Name != "" && c.Action != plan.Create && c.Action != plan.Delete { // those say it where others say what changes
		who += " " + codeSpan(clip(c.Name, 80))
	}
	return "| `" + l.symbol + "` | " + who + " | " + l.infinitive + " | " + what + " |\n"
}

// maxNamed is how many fields a table's cell names.
const maxNamed = 5

func whatChanges(c plan.Change) string {
	switch {
	case c.Action == plan.Kept:
		what := "left the manifests; `--prune` deletes it"
		if c.Likely != nil {
			what += "; may be " + codeSpan(clip(c.Likely.To.String(), 200)) + " now"
		}
		return what
	case c.Action == plan.Create || c.Action == plan.Delete:
		var what []string
		if c.Name != "" {
			what = append(what, codeSpan(clip(c.Name, 80)))
		}
		if c.Likely != nil && c.Action == plan.Create {
			what = append(what, "may be "+codeSpan(clip(c.Likely.From.String(), 200))+" under another key")
		}
		return strings.Join(what, ", ")
	}
	var parts []string
	if !c.From.IsZero() {
		parts = append(parts, "from "+codeSpan(clip(c.From.String(), 200)))
	}
	names := topFields(c)
	for i, name := range names {
		if i == maxNamed {
			parts = append(parts, comma(len(names)-maxNamed)+" more")
			break
		}
		parts = append(parts, codeSpan(clip(name, 60)))
	}
	if words := markerWords(c.Marker); words != "" {
		parts = append(parts, words)
	}
	return strings.Join(parts, ", ")
}

// topFields names the agent's fields that a change touches, each once; a field that forces a replace
// says so.
func topFields(c plan.Change) []string {
	var names []string
	seen := map[string]bool{}
	for _, f := range c.Differences() {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if !seen[top] {
			seen[top] = true
			names = append(names, shownPath("/"+top))
		}
	}
	return names
}

// maxDetails bounds one agent's diff, in UTF-16 units: one agent must not push out all others.
const maxDetails = 12_000

// hasDetails reports whether a change has more to say than its line in the table.
func hasDetails(c plan.Change) bool {
	return len(c.Fields)+len(c.Wanted)+len(c.Obsolete) > 0 || c.Blocked != ""
}

// detailsOf folds one agent's diff.
func (o MarkdownOptions) detailsOf(c plan.Change, budget int) string {
	l := lookOf(c.Action)
	var b strings.Builder
	b.WriteString("<details><summary><code>" + l.symbol + " " + escapeHTML(clip(c.Address.String(), 200)) + "</code> " + l.infinitive)
	if n := len(c.Differences()); n > 0 {
		b.WriteString(", " + count(n, "field"))
	}
	b.WriteString("</summary>\n\n")
	if o := obstacleOf(c); o.reason != "" {
		b.WriteString("**Blocked:** " + prose(o.reason))
		if o.command != "" {
			b.WriteString(" " + codeSpan(o.command))
		}
		b.WriteString("\n\n")
	}
	if all := remarks(c); len(all) > 0 {
		b.WriteString(prose(strings.Join(all, "; ")) + "\n\n")
	}
	var where []string
	if c.UID != "" {
		where = append(where, codeSpan("uid "+clip(c.UID, 200)))
	}
	if !c.Source.IsZero() {
		where = append(where, o.place(c.Source))
	}
	if where != nil {
		b.WriteString(strings.Join(where, " ") + "\n\n")
	}
	body, left := clipLines(fenceBody(c), budget)
	if left > 0 {
		body += "… " + count(left, "more line") + "\n"
	}
	if body != "" {
		b.WriteString(fence("diff", body))
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

// fenceBody is an agent's diff for a "diff" fence, whose colours follow the first character of each
// line: - and + for values, ! for what can only be told, @@ for the name of a field with lines.
func fenceBody(c plan.Change) string {
	var b strings.Builder
	for _, r := range rowsOf(c) {
		notes := ""
		if len(r.notes) > 0 {
			notes = "  (" + strings.Join(r.notes, "; ") + ")"
		}
		switch {
		case r.lines != nil:
			b.WriteString("@@ " + r.path + notes + " @@\n")
			fenceLines(&b, r.lines)
		case r.secret && r.op == changed:
			b.WriteString("! " + r.path + ": " + r.after + " changed" + notes + "\n")
		default:
			fenceValues(&b, r, notes)
		}
		if r.drift != nil {
			for _, text := range r.drift.table() {
				b.WriteString("#     " + strings.TrimRight(text, " ") + "\n")
			}
		}
	}
	return b.String()
}

func fenceValues(b *strings.Builder, r row, notes string) {
	r.before, r.after = elidePair(r.before, r.after, maxLineChars)
	if r.op != added {
		b.WriteString("- " + r.path + ": " + r.before)
		if r.op == removed {
			b.WriteString(notes)
		}
		b.WriteByte('\n')
	}
	if r.op != removed {
		b.WriteString("+ " + r.path + ": " + r.after + notes + "\n")
	}
}

func fenceLines(b *strings.Builder, lines []line) {
	for _, l := range lines {
		if l.op == skipped {
			b.WriteString("  … " + count(l.count, "unchanged line") + "\n")
			continue
		}
		var text strings.Builder
		spans := elide(l.spans, maxLineChars)
		for k, s := range spans {
			if s.cut > 0 {
				text.WriteString(cutWords(s.cut))
				continue
			}
			text.WriteString(visible(s.text, l.op, s.marked, k == len(spans)-1))
		}
		shown := text.String()
		if l.op == same {
			shown = breakCommand(shown) // nothing but white space would stand before it
		}
		b.WriteString(string(l.op) + " " + shown + "\n")
	}
}
