package yamltext

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// Options say what a text may hold.
type Options struct {
	// Values is the largest number of values that a text may look like it holds.
	Values int
	// Nothing is the sentence about a text without a value.
	Nothing string
	// Secret are the names whose values are secret whatever they hold; no sentence shows them.
	Secret []string
}

// Parse returns the root node of the one document in src, the content of the file called path, or nil after it
// added the problem that stops it.
func Parse(path string, src []byte, o Options, problems *diag.List) *yaml.Node {
	if !checkEncoding(path, src, problems) || !checkDensity(path, src, o.Values, problems) {
		return nil
	}
	src, stands := standInFor(Ended(src))
	syntax := func(err error) *yaml.Node {
		syntaxProblem(path, src, err, stands, o.Secret, problems)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	doc, err := nextDocument(dec)
	if errors.Is(err, io.EOF) || err == nil && isNothing(doc) {
		problems.Errorf(diag.Pos{File: path, Line: 1, Column: 1}, "%s", o.Nothing)
		return nil
	}
	if err != nil {
		return syntax(err)
	}
	switch second, err := nextDocument(dec); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return syntax(err)
	case !isNothing(second):
		problems.Errorf(diag.Pos{File: path, Line: second.Line, Column: second.Column},
			"a second document begins here; put it into a file of its own")
		return nil
	}
	if stands.used() {
		stands.restore(doc.Content[0])
	}
	return doc.Content[0]
}

// Ended returns src with an end to its last line, as every reader but the parser takes it: else a text there would
// have no line end, and adding one, as editors do, would change it. Blanks that are all of the last line are dropped.
func Ended(src []byte) []byte {
	line := src[bytes.LastIndexByte(src, '\n')+1:]
	if len(bytes.Trim(line, " \t\r")) == 0 {
		return src[:len(src)-len(line)]
	}
	return append(src[:len(src):len(src)], '\n')
}

// nextDocument parses one document. The parser is not ours: a fault in it must not end the program,
// so a panic becomes an error.
func nextDocument(dec *yaml.Decoder) (doc *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	doc = new(yaml.Node)
	return doc, dec.Decode(doc)
}

// isNothing reports whether a document holds only comments.
func isNothing(doc *yaml.Node) bool {
	if len(doc.Content) != 1 {
		return true
	}
	n := doc.Content[0]
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

// checkDensity refuses a file that would make far more nodes than are allowed, before they are made:
// each costs more than a hundred bytes. Text can hold many commas, hence the slack.
func checkDensity(path string, src []byte, most int, problems *diag.List) bool {
	n := 0
	for _, mark := range []string{"\n", ",", "[", "{", "- ", "? ", ": "} {
		n += bytes.Count(src, []byte(mark))
	}
	if n <= 2*most {
		return true
	}
	problems.Errorf(diag.Pos{File: path}, "the file holds far more than %s values; split it into several files",
		diag.Count(most))
	return false
}

// syntaxProblem turns what the YAML parser says into a place and a plain sentence.
func syntaxProblem(path string, src []byte, err error, stands standIns, secret []string, problems *diag.List) {
	line, message := splitLine(strings.TrimPrefix(err.Error(), "yaml: "))
	s := syntaxError{src: src, index: NewLines(src), secret: secret, line: line, message: message}
	offset, sentence := s.explain()
	problems.Errorf(s.index.Pos(path, offset), "%s", stands.meantText(sentence, false))
}

// splitLine takes "line 7: " off the front of a message.
func splitLine(message string) (int, string) {
	var line int
	if _, err := fmt.Sscanf(message, "line %d:", &line); err != nil {
		return 0, message
	}
	_, rest, _ := strings.Cut(message, ": ")
	return line, rest
}

// byteOrderMarks begin files that are not UTF-8. UTF-32 comes first: its mark begins with UTF-16's.
var byteOrderMarks = []struct{ mark, name string }{
	{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"},
	{"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
}

// checkEncoding refuses what is not UTF-8, and what looks like a text but is none.
func checkEncoding(path string, src []byte, problems *diag.List) bool {
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(src, []byte(m.mark)) {
			problems.Errorf(diag.Pos{File: path, Line: 1, Column: 1}, "the file is %s; save it as UTF-8", m.name)
			return false
		}
	}
	if i := bytes.IndexByte(src, 0); i >= 0 {
		what := "the file holds a NUL byte, so it is no text; save it as UTF-8 text"
		if i < 4 && len(src) >= 4 {
			what, i = "the file looks like UTF-16 or UTF-32; save it as UTF-8", 0
		}
		problems.Errorf(NewLines(src).Pos(path, i), "%s", what)
		return false
	}
	if utf8.Valid(src) {
		return true
	}
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			problems.Errorf(NewLines(src).Pos(path, i), "the byte %#02x is not valid UTF-8; save the file as UTF-8",
				src[i])
			return false
		}
		i += n
	}
	return true
}
