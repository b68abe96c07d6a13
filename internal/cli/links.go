package cli

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"agentsync/internal/diag"
)

// sourceLinks returns what links a place in a manifest to its page, by what the CI says of the repository and the commit:
// GitHub (and what speaks as it, as Forgejo does) and GitLab. It is nil where the CI says nothing of that.
func (a *app) sourceLinks() func(diag.Pos) string {
	var blob, commit string
	switch {
	case a.env["GITHUB_SERVER_URL"] != "" && a.env["GITHUB_REPOSITORY"] != "":
		blob, commit = a.env["GITHUB_SERVER_URL"]+"/"+a.env["GITHUB_REPOSITORY"]+"/blob/", a.env["GITHUB_SHA"]
	case a.env["CI_PROJECT_URL"] != "":
		blob, commit = a.env["CI_PROJECT_URL"]+"/-/blob/", a.env["CI_COMMIT_SHA"]
	}
	base, err := url.Parse(blob)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || !isCommit(commit) {
		return nil
	}
	here, err := os.Getwd()
	top := repositoryOf(here)
	if err != nil || top == "" {
		return nil
	}
	// String escapes what could end a link or a cell; parentheses, which stand in a path as they are, it does not.
	prefix := strings.NewReplacer("(", "%28", ")", "%29").Replace(strings.TrimSuffix(base.String(), "/")) + "/" + commit
	return func(pos diag.Pos) string {
		name := pos.File
		if !filepath.IsAbs(name) {
			name = filepath.Join(here, name)
		}
		rel, err := filepath.Rel(top, name)
		if err != nil || !filepath.IsLocal(rel) {
			return "" // of no repository
		}
		link := prefix
		for _, part := range strings.Split(filepath.ToSlash(rel), "/") {
			link += "/" + url.PathEscape(part)
		}
		if pos.Line > 0 {
			link += "#L" + strconv.Itoa(pos.Line)
		}
		return link
	}
}

func isCommit(s string) bool {
	return len(s) >= 7 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f')
	})
}
