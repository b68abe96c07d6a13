// Package docgen writes docs/commands.md from the commands' own texts, runs every example in them, and
// checks the commands that other documents show. It has tests alone: no line of it is in the binary.
package docgen
