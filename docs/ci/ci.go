// Package ci holds the workflow templates of this folder, embedded, so that init can write them.
package ci

import "embed"

// Files are the templates by their names: pull-request.yml, merge.yml and drift.yml for GitHub, the same below
// environments for a fleet with several of them, gitlab.yml for GitLab.
//
//go:embed *.yml environments/*.yml
var Files embed.FS
