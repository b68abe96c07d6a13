// Package yamltext turns the bytes of a file into YAML nodes, finds places in them, and says in plain sentences
// why a text is no YAML. It promises that every problem has a place, and that time and memory grow no faster
// than the text. It knows no schema.
package yamltext
