// Package format brings manifests into canonical form: fields in the order of their schema, two spaces
// of indentation, one blank line between agents and between sections. It works on the source text,
// cut where the YAML nodes begin and end; nothing is ever encoded anew. It promises that comments,
// anchors, aliases, merge keys, flow style and the text of block scalars survive, that formatting
// twice is formatting once, and that the decoded value never changes: it compares before it answers.
// It refuses, with a place, what it cannot take apart safely, and it reads and writes no files.
package format
