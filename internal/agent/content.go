package agent

// Content is what one agent holds, as a platform shows it or is to make it: fields that the schema
// knows, nulls left out. It has them as Fields, secret ones as secret.Text, or, where none is secret,
// as the Doc that they make: what is only compared or passed on need not become maps. The zero Content is
// nothing, which is something else than an agent without fields.
type Content struct {
	fields Fields
	doc    Doc
}

// ContentOf returns fields as a Content, which keeps them.
func ContentOf(fields Fields) Content { return Content{fields: fields} }

// ContentOfDoc returns doc, which holds no secret, as a Content, which keeps it.
func ContentOfDoc(doc Doc) Content { return Content{doc: doc} }

// IsZero reports whether there is nothing.
func (c Content) IsZero() bool { return c.fields == nil && c.doc == nil }

// Fields returns the fields, nil where there is nothing. The caller must not change them.
func (c Content) Fields() Fields {
	if c.doc == nil {
		return c.fields
	}
	f, _ := c.doc.Fields() // it was made of what was read: it can be read
	return f
}

// Doc returns the canonical form, where it is at hand.
func (c Content) Doc() (doc Doc, ok bool) { return c.doc, c.doc != nil }

// Value returns one field, nil where it is not there. The caller must not change it.
func (c Content) Value(name string) any {
	if c.doc == nil {
		return c.fields[name]
	}
	o, _ := Raw(c.doc).Object()
	return o.Value(name)
}
