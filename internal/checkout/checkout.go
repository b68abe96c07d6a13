// Package checkout knows the git repository that a folder lies in, and the CI job that works on it, without running
// git: the top folder, whether the index names a file, the lines of .gitignore, and the page of a place at a commit.
// What it cannot tell it answers with nothing, but for Tracks, where a refusal too many is no harm. It writes
// .gitignore files alone.
package checkout

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"agentsync/internal/diag"
	"agentsync/internal/outfile"
)

// Top returns the top folder of the git repository that dir lies in, empty for none: outside of one, a file above is
// somebody else's.
func Top(dir string) string {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// Tracks reports whether the index of the repository names the file. A file of another folder whose path ends alike
// counts as well.
func Tracks(path string) bool {
	whole, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	top := Top(filepath.Dir(whole))
	rel, err := filepath.Rel(top, whole)
	if top == "" || err != nil {
		return false
	}
	folder := filepath.Join(top, ".git")
	if link, err := os.ReadFile(folder); err == nil { // a work tree: its folder lies elsewhere
		folder = strings.TrimSpace(strings.TrimPrefix(string(link), "gitdir:"))
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(top, folder)
		}
	}
	index, err := os.ReadFile(filepath.Join(folder, "index"))
	return err == nil && bytes.Contains(index, []byte(filepath.ToSlash(rel)+"\x00"))
}

// Ignore adds the lines that a .gitignore lacks, and reports whether there were any.
func Ignore(path string, wanted []byte) (bool, error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(old)) {
		have[strings.TrimPrefix(strings.TrimSpace(line), "/")] = true
	}
	var missing bytes.Buffer
	for line := range strings.Lines(string(wanted)) {
		if !have[strings.TrimPrefix(strings.TrimSpace(line), "/")] {
			missing.WriteString(line)
		}
	}
	if missing.Len() == 0 {
		return false, nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		old = append(old, '\n')
	}
	return true, outfile.Replace(path, append(old, missing.Bytes()...))
}

// Links returns what links a place in a manifest to its page, by what the CI's variables say of the repository and the
// commit: GitHub (and what speaks as it, as Forgejo does) and GitLab. It is nil where they say nothing of that.
func Links(variable func(string) string) func(diag.Pos) string {
	var blob, commit string
	switch {
	case variable("GITHUB_SERVER_URL") != "" && variable("GITHUB_REPOSITORY") != "":
		blob = variable("GITHUB_SERVER_URL") + "/" + variable("GITHUB_REPOSITORY") + "/blob/"
		commit = variable("GITHUB_SHA")
	case variable("CI_PROJECT_URL") != "":
		blob, commit = variable("CI_PROJECT_URL")+"/-/blob/", variable("CI_COMMIT_SHA")
	}
	base, err := url.Parse(blob)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || !isCommit(commit) {
		return nil
	}
	here, err := os.Getwd()
	top := Top(here)
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

// Job is the page of the CI job that runs this, by the variables of the usual systems, empty where none is set.
func Job(variable func(string) string) string {
	server, repo, id := variable("GITHUB_SERVER_URL"), variable("GITHUB_REPOSITORY"), variable("GITHUB_RUN_ID")
	if server != "" && repo != "" && id != "" {
		return server + "/" + repo + "/actions/runs/" + id
	}
	for _, name := range []string{"CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL"} {
		if url := variable(name); url != "" {
			return url
		}
	}
	return ""
}
