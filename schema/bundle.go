package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reference finds a $ref to a definition, of the same file or of another.
var reference = regexp.MustCompile(`"\$ref":\s*"(?:([a-z0-9.]+?)\.schema\.json)?#/definitions/([A-Za-z0-9]+)"`)

// Bundle returns the schema called name as editors and other tools get it: in one piece, with nothing in it that
// refers outside, and without the traits (x-…) that only agentsync reads. A text in a manifest may be written with
// references to variables and files, and what they hold has to be right, not what is written: there the bundle
// takes any text with a reference. The error lists the names there are.
func Bundle(name string) ([]byte, error) {
	b, err := bundleOf(name)
	if err != nil {
		return nil, err
	}
	takesReferences := slices.Contains(reachable(name), "manifest")
	var out bytes.Buffer
	if err := forEditors(&out, b, takesReferences); err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	text := out.Bytes()
	if takesReferences {
		text = bytes.Replace(text, []byte(`"definitions":{`), []byte(`"definitions":{`+textReference+","), 1)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// textReference is the definition of a text that refers to something.
const textReference = `"reference":{"type":"string","pattern":"\\$\\{(env|secret|file):",` +
	`"description":"A text with a reference to a variable or a file."}`

// forEditors copies a schema, members in their order, as Bundle describes.
func forEditors(out *bytes.Buffer, piece json.RawMessage, takesReferences bool) error {
	piece = bytes.TrimSpace(piece)
	switch piece[0] {
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(piece, &items); err != nil {
			return err
		}
		out.WriteByte('[')
		for i, item := range items {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := forEditors(out, item, takesReferences); err != nil {
				return err
			}
		}
		out.WriteByte(']')
		return nil
	case '{':
	default:
		out.Write(piece)
		return nil
	}
	var object struct{ Type any }
	if err := json.Unmarshal(piece, &object); err != nil {
		return err
	}
	isText := takesReferences && object.Type == "string"
	var limits, rest []string
	err := eachMember(piece, func(name string, body json.RawMessage) error {
		var below bytes.Buffer
		fmt.Fprintf(&below, "%q:", name)
		switch {
		case strings.HasPrefix(name, "x-"):
			return nil
		case isText && slices.Contains(textLimits, name):
			limits = append(limits, below.String()+string(body))
			return nil
		case slices.Contains(values, name):
			below.Write(body)
		default:
			if err := forEditors(&below, body, takesReferences); err != nil {
				return err
			}
		}
		rest = append(rest, below.String())
		return nil
	})
	if limits != nil {
		rest = append(rest, `"anyOf":[{`+strings.Join(limits, ",")+`},{"$ref":"#/definitions/reference"}]`)
	}
	out.WriteString("{" + strings.Join(rest, ",") + "}")
	return err
}

var (
	// textLimits are the keywords that limit what a text may be.
	textLimits = []string{"enum", "pattern", "patternErrorMessage", "format", "minLength", "maxLength"}
	// values are the keywords that hold values and no schemas.
	values = []string{"enum", "const", "default", "examples"}
)

// bundleOf returns the schema called name in one piece: definitions of other files are in its own definitions, as
// file.name.
func bundleOf(name string) ([]byte, error) {
	root, err := Read(name)
	if err != nil {
		return nil, err
	}
	var definitions []byte
	for _, other := range reachable(name) {
		var parts struct {
			Definitions json.RawMessage `json:"definitions"`
		}
		b, err := Read(other)
		if err == nil {
			err = decodeExact(b, &parts)
		}
		if err == nil {
			err = eachMember(parts.Definitions, func(definition string, body json.RawMessage) error {
				definitions = fmt.Appendf(definitions, "%q: %s,", qualifiedName(other, definition),
					rewriteRefs(body, other))
				return nil
			})
		}
		if err != nil {
			return nil, fmt.Errorf("bundle schema %s: %s: %w", name, other, err)
		}
	}
	whole := []byte{'{'}
	err = eachMember(root, func(member string, body json.RawMessage) error {
		if member != "definitions" {
			whole = fmt.Appendf(whole, "%q: %s,", member, rewriteRefs(body, name))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	return fmt.Appendf(whole, `"definitions": {%s}}`, bytes.TrimSuffix(definitions, []byte(","))), nil
}

// reachable returns name and the schemas that it refers to, directly or not, in order of first use.
func reachable(name string) []string {
	names, seen := []string{name}, map[string]bool{name: true}
	for i := 0; i < len(names); i++ {
		b, _ := Read(names[i]) // Bundle reads it again and reports the error
		for _, m := range reference.FindAllSubmatch(b, -1) {
			if other := string(m[1]); other != "" && !seen[other] {
				seen[other] = true
				names = append(names, other)
			}
		}
	}
	return names
}

// rewriteRefs points the references of a piece of the schema called home into the bundle.
func rewriteRefs(piece []byte, home string) []byte {
	return reference.ReplaceAllFunc(piece, func(match []byte) []byte {
		m := reference.FindSubmatch(match)
		file := cmp.Or(string(m[1]), home)
		return fmt.Appendf(nil, `"$ref": "#/definitions/%s"`, qualifiedName(file, string(m[2])))
	})
}

func qualifiedName(file, definition string) string {
	return strings.Join([]string{file, definition}, ".")
}
