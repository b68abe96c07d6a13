package report

import (
	"strings"
	"unicode/utf8"
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
// It stands after @ and #, and after a colon or a point that no space follows.
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
