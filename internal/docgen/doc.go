// Package docgen writes docs/commands.md from the commands' own texts, and runs every example in them. It has
// tests alone: no line of it is in the binary.
package docgen
