// Package compose turns live agents into tidy manifests: which fields are worth writing, which key an
// agent gets, which variables stand in for its secrets, and the YAML itself. It is pure: no input, no
// output, the same agents give the same bytes. It promises that what it writes reads back, through
// internal/manifest, as exactly the fields that it was given, and that no secret stands in it. It
// knows no platform by name.
package compose
