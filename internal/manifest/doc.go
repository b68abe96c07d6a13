// Package manifest finds, decodes and merges manifests, has them validated, and remembers where each value
// stands. It promises to report every problem of every file at once, each at the place of the
// offending value as it is written, and to end in bounded time and memory whatever the files hold.
// It refuses to guess: what YAML lets pass but a reader would read in two ways is a problem. It knows
// no platform by name; what a section and its agents may hold stands in the schemas.
package manifest
