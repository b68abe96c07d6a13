package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"agentsync/internal/secret"

	"github.com/go-json-experiment/json/jsontext"
)

// Doc is the canonical form of Fields as bytes: JSON without spaces, keys sorted, secrets sealed. Two
// Docs with equal bytes hold equal fields; the reverse holds but for secrets sealed without a value.
// A nil Doc stands for "not known".
type Doc []byte

// sealedKey marks a sealed secret in a Doc: {"$secret": {"value": "…", "template": "…"}}. Manifests
// may not use it as a field name.
const sealedKey = "$secret"

// ReservedKey is the map key that manifests may not use, because a Doc marks sealed secrets with it.
const ReservedKey = sealedKey

// HasSecrets reports whether the document may hold a sealed secret: whether any object in it has the reserved key. No
// text can look like that, for each quote inside a text has a backslash before it.
func (d Doc) HasSecrets() bool { return bytes.Contains(d, []byte(`{"`+sealedKey+`":`)) }

// Encode returns the canonical form of f. It fails on a secret that is not sealed and on a value of
// a type that Fields does not list.
func Encode(f Fields) (Doc, error) {
	doc, err := AppendDoc(make([]byte, 0, usualDoc), f)
	return bytes.Clone(doc), err // documents are kept for long: no room to spare in them
}

// usualDoc is the room that most agents need, in bytes, and usualKeys how many members the maps of most
// agents have at most. More is no harm.
const (
	usualDoc  = 1024
	usualKeys = 24
)

// AppendDoc appends the canonical form of f to dst, as Encode does.
func AppendDoc(dst []byte, f Fields) ([]byte, error) {
	dst, err := appendMap(dst, f)
	if err != nil {
		return nil, err
	}
	return dst, nil
}

func appendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case json.Number:
		return append(dst, v...), nil
	case string:
		return AppendString(dst, v), nil
	case secret.Sealed:
		dst = AppendString(append(dst, `{"`+sealedKey+`":{"template":`...), v.Template)
		dst = AppendString(append(dst, `,"value":`...), v.Value)
		return append(dst, "}}"...), nil
	case map[string]any:
		return appendMap(dst, v)
	case []any:
		return appendList(dst, v)
	default:
		return nil, fmt.Errorf("encode agent: a %T has no canonical form", v)
	}
}

func appendList(dst []byte, list []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, e); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, m map[string]any) (_ []byte, err error) {
	var room [usualKeys]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, k), ':')
		if dst, err = appendValue(dst, m[k]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// Fields decodes the document. A nil Doc gives nil Fields. The error says at which byte it is damaged.
func (d Doc) Fields() (Fields, error) {
	if d == nil {
		return nil, nil
	}
	m, err := d.memberMap()
	if err != nil {
		return nil, fmt.Errorf("decode agent: %w", err)
	}
	v, err := Canonical(m)
	if err != nil {
		return nil, fmt.Errorf("decode agent: %w", err)
	}
	return Fields(v.(map[string]any)), nil
}

// memberMap decodes the document as JSON.
func (d Doc) memberMap() (m map[string]any, err error) {
	err = Raw(d).readWith(false, func(dec *jsontext.Decoder) error {
		v, err := readValue(dec)
		if err != nil {
			return err
		}
		object, ok := v.(map[string]any)
		if _, err := dec.ReadToken(); !ok || !errors.Is(err, io.EOF) {
			return errors.New("it is not one JSON object")
		}
		m = object
		return nil
	})
	return m, err
}

var errReserved = errors.New("the name " + ReservedKey + " is reserved")

// Canonical turns a value that was read from JSON into the values that Fields
// lists: numbers in canonical form, sealed secrets recognised. v is changed in place.
func Canonical(v any) (any, error) { return canonicalValue(v, false) }

// canonicalValue is Canonical; of what a platform answered, null members are left out, and nothing is a sealed secret:
// the reserved name is refused.
func canonicalValue(v any, answered bool) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		return Number(v.String())
	case map[string]any:
		if s, ok := sealedSecret(v); ok && !answered {
			return s, nil
		}
		for k, e := range v {
			switch {
			case answered && e == nil:
				delete(v, k)
				continue
			case answered && k == ReservedKey:
				return nil, errReserved
			}
			if v[k], err = canonicalValue(e, answered); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if v[i], err = canonicalValue(e, answered); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// sealedSecret returns the secret that m stands for. Whatever has other members, or values of another form, is an
// object that somebody else made up, and stays one: nothing in it may be lost.
func sealedSecret(m map[string]any) (secret.Sealed, bool) {
	inner, ok := m[sealedKey].(map[string]any)
	if !ok || len(m) != 1 || len(inner) != 2 {
		return secret.Sealed{}, false
	}
	value, isText := inner["value"].(string)
	template, isText2 := inner["template"].(string)
	if !isText || !isText2 || !isHex(value) || !isHex(template) {
		return secret.Sealed{}, false
	}
	return secret.Sealed{Value: value, Template: template}, true
}

// Holds reports whether d certainly has each field of other with the same value, byte for byte. Both are
// canonical. It may say no where values are written in ways that are not compared.
func (d Doc) Holds(other Doc) bool {
	has, _ := Raw(d).Object()
	wanted, _ := Raw(other).Object()
	for _, m := range wanted {
		if v := has.Get(m.Name); v == nil || !bytes.Equal(v, m.Value) {
			return false
		}
	}
	return len(wanted) > 0
}
