package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// reference finds a $ref to a definition, of the same file or of another.
var reference = regexp.MustCompile(`"\$ref":\s*"(?:([a-z0-9.]+?)\.schema\.json)?#/definitions/([A-Za-z0-9]+)"`)

// Bundle returns the schema called name in one piece: definitions of other files stand in its own
// definitions, as file.name, and nothing in it refers outside. The error lists the names there are.
func Bundle(name string) ([]byte, error) {
	root, err := Read(name)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, other := range reach(name) {
		b, err := Read(other)
		if err != nil {
			return nil, fmt.Errorf("bundle schema %s: %w", name, err)
		}
		var parts struct {
			Definitions json.RawMessage `json:"definitions"`
		}
		if err := decode(b, &parts); err != nil {
			return nil, fmt.Errorf("bundle schema %s: %s: %w", name, other, err)
		}
		err = eachRaw(parts.Definitions, func(definition string, body json.RawMessage) {
			all = fmt.Appendf(all, "%q: %s,", qualified(other, definition), rewrite(body, other))
		})
		if err != nil {
			return nil, fmt.Errorf("bundle schema %s: %s: %w", name, other, err)
		}
	}
	return assemble(root, name, bytes.TrimSuffix(all, []byte(",")))
}

// assemble returns root with definitions in place of its own.
func assemble(root []byte, name string, definitions []byte) ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	err := eachRaw(root, func(member string, body json.RawMessage) {
		if member != "definitions" {
			fmt.Fprintf(&out, "%q: %s,", member, rewrite(body, name))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	fmt.Fprintf(&out, `"definitions": {%s}}`, definitions)
	var indented bytes.Buffer
	if err := json.Indent(&indented, out.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("bundle schema %s: %w", name, err)
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// reach returns name and the schemas that it refers to, directly or not, in order of first use.
func reach(name string) []string {
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

// rewrite points the references of a piece of the schema called home into the bundle.
func rewrite(piece []byte, home string) []byte {
	return reference.ReplaceAllFunc(piece, func(match []byte) []byte {
		m := reference.FindSubmatch(match)
		file := string(m[1])
		if file == "" {
			file = home
		}
		return fmt.Appendf(nil, `"$ref": "#/definitions/%s"`, qualified(file, string(m[2])))
	})
}

func qualified(file, definition string) string { return strings.Join([]string{file, definition}, ".") }

// eachRaw calls visit for every member of a JSON object, in the order of the text.
func eachRaw(object []byte, visit func(name string, body json.RawMessage)) error {
	if object == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var body json.RawMessage
		if err := dec.Decode(&body); err != nil {
			return err
		}
		visit(fmt.Sprint(name), body)
	}
	return nil
}
