package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"agentsync/internal/diag"
)

// parse returns the root node of the file's one document, or nil after it added the problem that
// stops it.
func (l *loader) parse(path string, src []byte, problems *diag.List) *yaml.Node {
	if !checkEncoding(path, src, problems) || !l.checkDensity(path, src, problems) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	doc, err := nextDocument(dec)
	if errors.Is(err, io.EOF) || err == nil && isNothing(doc) {
		problems.Errorf(diag.Pos{File: path, Line: 1, Column: 1},
			"the file holds no manifest; a manifest begins with `version: 1` and has a section per platform: %s", list(l.platforms))
		return nil
	}
	if err != nil {
		syntaxProblem(path, src, err, problems)
		return nil
	}
	switch second, err := nextDocument(dec); {
	case errors.Is(err, io.EOF):
	case err != nil:
		syntaxProblem(path, src, err, problems)
		return nil
	case !isNothing(second):
		problems.Errorf(diag.Pos{File: path, Line: second.Line, Column: second.Column},
			"a second document begins here; put it into a file of its own")
		return nil
	}
	return doc.Content[0]
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
func (l *loader) checkDensity(path string, src []byte, problems *diag.List) bool {
	n := 0
	for _, mark := range []string{"\n", ",", "[", "{", "- ", "? ", ": "} {
		n += bytes.Count(src, []byte(mark))
	}
	if n <= 2*l.limits.Values {
		return true
	}
	problems.Errorf(diag.Pos{File: path}, "the file holds far more than %s values; split it into several files", count(l.limits.Values))
	return false
}

// syntaxProblem turns what the YAML parser says into a place and a plain sentence.
func syntaxProblem(path string, src []byte, err error, problems *diag.List) {
	line, message := splitLine(strings.TrimPrefix(err.Error(), "yaml: "))
	s := syntaxError{src: src, index: newLineIndex(src), line: line, message: message}
	offset, sentence := s.explain()
	problems.Errorf(s.index.pos(path, offset), "%s", sentence)
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
