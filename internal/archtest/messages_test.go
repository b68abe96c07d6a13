package archtest

import (
	"cmp"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// messagesPage explains every message that a user can meet. Its prose is written by hand. A section claims its messages
// by patterns in a comment, which a reader does not see; the list below the comment is written by TestGoldenMessages:
//
//	<!-- messages
//	read state: *       the text of a message, where * is any text
//	room yamltext       what no other pattern fits, in one room
//	-->
//	- `read state: …`
//	<!-- end -->
//
// Of several patterns that fit a message the longest counts.
var messagesPage = filepath.Join(root, "docs", "messages.md")

// sectionForm is a section's patterns, and the list that is written.
var sectionForm = regexp.MustCompile(`(?s)<!-- messages\n(.*?)-->\n.*?<!-- end -->`)

// notMessages are texts that no user meets as a message, by the reason. They have the form of the page's patterns.
var notMessages = map[string][]string{
	"what a command prints when it has done its work": {
		"room report", "… in …: no errors", "… taken into the state", "… written as the API's version*",
		"… would be taken over; nothing was written", "imported … (uid …)", "… is now …", "forgot … (uid …)",
		"…, serial …, epoch …",
		"put this into a manifest, below agents*", "in no manifest", "not made yet", "… is as in serial … again*",
		"… is now in …, with …",
		"… now has …, … more than before*", "was made before, and is as it was", "… keeps what a shared state needs",
		"… can be read with these credentials*", "nobody has the lock", "nobody has the lock of …",
		"locked: …, last sign of life … seconds ago", "open: … of …, sent about …",
		"… is free: taken over from …",
		"wrote …: the secrets that the platform shows*",
	},
	"hints, which stand below a message": {
		"say which one it is*", "the next apply finds out what became of it*", "take the existing agent over*",
		"or create another one of the same name*",
		"a wrong region, host or endpoint answers 404*", "before apply, set each variable*",
		"if the fleet is really that large*",
	},
	"what help exit-codes and explain print": {
		"room schema", "done; or nothing to do", "there are changes (plan --detailed-exitcode alone)",
		"applied in part: some agents failed or are unknown",
		"bad usage, manifest or state file; nothing was sent", "the saved plan is no longer true",
		"refused by a safety limit (*",
		"the state is locked by another run", "agentsync keeps a team's chat agents*",
		"the `VERSION` of the platform's API*", "the app's …, if no manifest says it",
	},
	"what -v shows of a request": {"…, … bytes in …"},
	"what files that agentsync writes say": {
		"env: has … of the manifests*", "# The environment …*", "# Secrets that agentsync export read*",
		"# …: the platform does not show it", "# yaml-language-server: $schema=…",
	},
	"never shown: all was said": {"exit code …"},
	"names and commands": {
		"apply --refresh-only", "agentsync check-platform …", "agentsync state rollback … --auto-approve",
		"agentsync state unlock --auto-approve",
	},
	"parts of sentences": {"true or false", "an object of strings"},
	"what the YAML library says, for which there are better words": {
		"cannot start any token", "expected alphabetic or numeric", "unexpected end of stream",
		"unexpected document indicator", "mapping values are not allowed",
		"could not find expected ':'", "block sequence entries", "expected comment or line break",
		"expected whitespace or line break",
	},
	"what is said to PostgreSQL": {
		"select *", "delete from agentsync_object*", "do $agentsync$*", "create table if not exists*",
		"…insert into*",
		"…update agentsync_object*", "with durable as*",
	},
}

// TestGoldenMessages: every message in the code stands in docs/messages.md below a cause and a way out, and every
// pattern of the page, and of notMessages, fits a message that is still in the code. AGENTSYNC_GOLDEN=1 writes the
// lists.
func TestGoldenMessages(t *testing.T) {
	b, err := os.ReadFile(messagesPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	var claims []claim
	for i, m := range sectionForm.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[1]) {
			claims = append(claims, newClaim(strings.TrimSuffix(line, "\n"), i))
		}
	}
	for _, patterns := range notMessages {
		for _, p := range patterns {
			claims = append(claims, newClaim(p, -1))
		}
	}
	// The longest first, rooms last.
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(min(len(a.room), 1), min(len(b.room), 1)),
			cmp.Compare(len(b.pattern), len(a.pattern)),
			cmp.Compare(a.pattern, b.pattern))
	})
	listed := map[int][]string{}
	used := map[string]bool{}
	found := messagesInCode(t)
	for _, m := range found {
		i := slices.IndexFunc(claims, func(c claim) bool { return c.fits(m) })
		if i < 0 {
			t.Errorf("%s: no section of %s explains the message %q", m.at, messagesPage, m.text)
			continue
		}
		used[claims[i].pattern] = true
		if s := claims[i].section; s >= 0 && !slices.Contains(listed[s], m.text) {
			listed[s] = append(listed[s], m.text)
		}
	}
	for _, c := range claims {
		if !used[c.pattern] {
			t.Errorf("%q, of %s or of notMessages, fits no message that is left in the code", c.pattern, messagesPage)
		}
	}
	if len(found) < 500 {
		t.Errorf("only %d messages were found", len(found))
	}
	section := -1
	want := sectionForm.ReplaceAllStringFunc(page, func(old string) string {
		section++
		head, _, _ := strings.Cut(old, "-->\n")
		return head + "-->\n" + messageList(listed[section]) + "<!-- end -->"
	})
	if os.Getenv("AGENTSYNC_GOLDEN") == "1" {
		if err := os.WriteFile(messagesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(want, page); diff != "" {
		t.Errorf("%s lists other messages than the code has: "+
			"AGENTSYNC_GOLDEN=1 go test ./internal/archtest -run GoldenMessages writes it (-want +got):\n%s",
			messagesPage, diff)
	}
}

// claim is one pattern, and the section that it stands in.
type claim struct {
	pattern, room string
	form          *regexp.Regexp
	section       int
}

func newClaim(pattern string, section int) claim {
	c := claim{pattern: pattern, section: section}
	text := pattern
	if name, ok := strings.CutPrefix(pattern, "room "); ok {
		c.room, text = name, "*"
	}
	c.form = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$")
	return c
}

func (c claim) fits(m message) bool {
	return (c.room == "" || isBelow(m.room, c.room)) && c.form.MatchString(m.text)
}

// isBelow reports whether a room is another one or below it.
func isBelow(room, above string) bool { return room == above || strings.HasPrefix(room, above+"/") }

// messageList writes texts as a list, by their first words.
func messageList(texts []string) string {
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.TrimLeft(a, "…: "), strings.TrimLeft(b, "…: ")), cmp.Compare(a, b))
	})
	var b strings.Builder
	for _, text := range texts {
		fence := "`"
		if strings.Contains(text, "`") {
			fence = "``"
		}
		b.WriteString("- " + fence + text + fence + "\n")
	}
	return b.String()
}

// message is a sentence in the code, with … for what differs each time.
type message struct{ text, room, at string }

// messagesInCode collects, from what is shipped, the texts that errors are made of, and all others of three words and
// more that could be a sentence for a user: what begins with a capital is a result or a help text.
func messagesInCode(t *testing.T) []message {
	var all []message
	for _, r := range shipped(rooms(t)) {
		fset, files := r.files(t)
		for _, f := range files {
			var around []ast.Node
			ast.Inspect(f, func(n ast.Node) bool {
				if n == nil {
					around = around[:len(around)-1]
					return true
				}
				if saysNothing(n) {
					return false
				}
				if text, ok := literal(n); ok {
					inCall := nearestCall(around)
					if slices.Contains(callsOfHints, inCall) {
						return false
					}
					isError := slices.Contains(callsOfErrors, inCall)
					if line, ok := sentence(text, isError); ok && (!isBelow(r.name(), "sandbox") || isError) {
						at := fset.Position(n.Pos())
						all = append(all, message{line, r.name(), filepath.Base(at.Filename) + ":" +
							strconv.Itoa(at.Line)})
					}
					return false
				}
				around = append(around, n)
				return true
			})
		}
	}
	return all
}

// saysNothing reports whether the texts below n are for something else than messages: imports, tags of fields, help
// texts, hints (which stand below a message that is explained), and what is searched or matched.
func saysNothing(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return true
	case *ast.KeyValueExpr:
		return slices.Contains([]string{"Use", "Short", "Long", "Example", "Hint", "hint"}, nameOf(n.Key))
	case *ast.AssignStmt:
		return strings.EqualFold(nameOf(n.Lhs[0]), "hint")
	case *ast.BasicLit:
		return strings.HasPrefix(n.Value, "`json:")
	case *ast.CallExpr:
		name, from := calledName(n.Fun), ""
		if s, ok := n.Fun.(*ast.SelectorExpr); ok {
			from = nameOf(s.X)
		}
		return strings.HasSuffix(name, "Var") || strings.HasSuffix(name, "VarP") ||
			slices.Contains([]string{"strings", "bytes", "regexp"}, from) && name != "Join"
	}
	return false
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// literal returns the text of a literal, or of several that are added up.
func literal(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.BasicLit:
		if n.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(n.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		before, ok1 := literal(n.X)
		after, ok2 := literal(n.Y)
		switch {
		case n.Op != token.ADD || !ok1 && !ok2:
			return "", false
		case !ok1:
			before = "…"
		case !ok2:
			after = "…"
		}
		return before + after, true
	}
	return "", false
}

// callsOfErrors are the functions that are told what an error says, callsOfHints those that are told a hint.
var (
	callsOfErrors = []string{"Errorf", "New", "Usagef", "With"}
	callsOfHints  = []string{"Hinted", "meantAddress"}
)

// nearestCall names the function that is called with a text, empty for none.
func nearestCall(around []ast.Node) string {
	for _, n := range slices.Backward(around) {
		if call, ok := n.(*ast.CallExpr); ok {
			return calledName(call.Fun)
		}
	}
	return ""
}

// verbForm is what a format fills in.
var verbForm = regexp.MustCompile(`%[-+# 0]*(\d+|\*)?(\.(\d+|\*))?[a-zA-Z]`)

var wordForm = regexp.MustCompile(`[A-Za-z]{2,}`)

// sentence returns the first line of a text as a user sees it, and whether it can be a message.
func sentence(text string, isError bool) (line string, ok bool) {
	text = strings.ReplaceAll(verbForm.ReplaceAllString(strings.ReplaceAll(text, "%%", "\x00"), "…"), "\x00", "%")
	line, below, _ := strings.Cut(text, "\n")
	words := 3
	switch {
	case isError:
		words = 1
	case strings.Contains(line, "…"):
		words = 2
	}
	isHint := below != "" && strings.HasSuffix(line, ":") // and a command in the line below it
	isPart := strings.HasPrefix(line, " ") || line != "" && strings.ContainsAny(line[:1], ";,(.") ||
		!strings.Contains(line, " ")
	isResult := !isError && line != "" && line[0] >= 'A' && line[0] <= 'Z'
	if isHint || isPart || isResult || len(wordForm.FindAllString(line, -1)) < words {
		return "", false
	}
	line = manyForm.ReplaceAllString(strings.TrimSpace(line), "…")
	for strings.HasPrefix(line, "…: ") && line != "…: …" { // where it is
		line = strings.TrimPrefix(line, "…: ")
	}
	return line, true
}

// manyForm is what differs, next to more of it.
var manyForm = regexp.MustCompile("…{2,}")
