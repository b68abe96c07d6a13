// Package textdiff compares two texts, or two lists, for a reader: line by line, word by word within a line that
// changed, and with a note where two texts differ and look the same. What it hands out is bounded and fit to be shown.
package textdiff
