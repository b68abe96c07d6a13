package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Order is the canonical order of what a value holds: the order in which its schema names it. A nil
// Order says nothing, and neither does what is below it.
type Order struct {
	names   []string
	members map[string]*Order
	items   *Order
	// other is the order where the member called when holds is; it is nil where the schema makes no such difference.
	other    *Order
	when, is string
}

// LoadOrder returns the order of the schema called name. It fails only where the embedded schema is
// not as this package needs it, which a test rules out.
func LoadOrder(name string) (*Order, error) {
	b, err := bundleOf(name)
	if err != nil {
		return nil, err
	}
	var root struct {
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	if err := decodeExact(b, &root); err != nil {
		return nil, fmt.Errorf("order of schema %s: %w", name, err)
	}
	r := orderReader{definitions: root.Definitions}
	o := &Order{}
	if err := r.read(o, b, 0); err != nil {
		return nil, fmt.Errorf("order of schema %s: %w", name, err)
	}
	return o, nil
}

// For returns the order of a mapping whose members have these texts: a schema may order a section otherwise where, say,
// its api is v2. textOf returns "" for a member that is missing.
func (o *Order) For(textOf func(member string) string) *Order {
	if o == nil || o.other == nil || textOf(o.when) != o.is {
		return o
	}
	return o.other
}

// Names are a mapping's members in canonical order.
func (o *Order) Names() []string {
	if o == nil {
		return nil
	}
	return slices.Clone(o.names)
}

// Rank returns the place of the member called name, counted from 0, and whether it is named at all.
func (o *Order) Rank(name string) (int, bool) {
	if o == nil {
		return 0, false
	}
	i := slices.Index(o.names, name)
	return i, i >= 0
}

// Member returns the order of what stands in the member called name.
func (o *Order) Member(name string) *Order {
	if o == nil {
		return nil
	}
	return o.members[name]
}

// Items returns the order of each element of a list.
func (o *Order) Items() *Order {
	if o == nil {
		return nil
	}
	return o.items
}

// orderReader follows references inside one bundle.
type orderReader struct {
	definitions map[string]json.RawMessage
}

// maxOrderDepth ends the reading of a schema that refers to itself.
const maxOrderDepth = 32

// read adds what a piece of a schema names to o.
func (r orderReader) read(o *Order, piece json.RawMessage, depth int) error {
	if depth > maxOrderDepth {
		return nil
	}
	var n struct {
		Ref        string            `json:"$ref"`
		AllOf      []json.RawMessage `json:"allOf"`
		Properties json.RawMessage   `json:"properties"`
		Items      json.RawMessage   `json:"items"`
		If         struct {
			Properties map[string]struct {
				Const string `json:"const"`
			} `json:"properties"`
		} `json:"if"`
		Then json.RawMessage `json:"then"`
		Else json.RawMessage `json:"else"`
	}
	if err := json.Unmarshal(piece, &n); err != nil {
		return err
	}
	parts := n.AllOf
	if n.Else != nil { // one of two; what adds a condition to something else has no else
		parts = append(parts, n.Else)
		o.other = &Order{}
		for o.when = range n.If.Properties {
			o.is = n.If.Properties[o.when].Const
		}
		if err := r.read(o.other, n.Then, depth+1); err != nil {
			return err
		}
	}
	if n.Ref != "" {
		definition, ok := r.definitions[strings.TrimPrefix(n.Ref, "#/definitions/")]
		if !ok {
			return fmt.Errorf("there is no %s", n.Ref)
		}
		parts = append(parts, definition)
	}
	for _, part := range parts {
		if err := r.read(o, part, depth+1); err != nil {
			return err
		}
	}
	if n.Items != nil {
		o.items = &Order{}
		if err := r.read(o.items, n.Items, depth+1); err != nil {
			return err
		}
	}
	return r.members(o, n.Properties, depth)
}

func (r orderReader) members(o *Order, properties json.RawMessage, depth int) error {
	return eachMember(properties, func(name string, body json.RawMessage) error {
		below := o.members[name]
		if below == nil {
			below = &Order{}
			if o.members == nil {
				o.members = map[string]*Order{}
			}
			o.members[name] = below
			o.names = append(o.names, name)
		}
		return r.read(below, body, depth+1)
	})
}
