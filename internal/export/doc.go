// Package export turns live agents into manifests and records: which agents nobody manages yet (Known),
// which key each gets, which fields are worth writing, which variables stand in for secrets, the YAML
// itself, and what the state keeps of it (Draft). It is pure: no input, no output, the same agents give
// the same bytes. It promises that what it writes reads back, through
// internal/manifest, as exactly the fields that it was given, and that no secret stands in it. It
// knows no platform by name.
package export
