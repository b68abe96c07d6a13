package cli

import (
	"math"
	"strconv"

	"agentsync/internal/manifest"
)

// limits returns the bounds of manifests: the defaults, and what the environment sets in their place.
// They are variables and no flags, since who needs them needs them for every command of a fleet.
func (a *app) limits() (manifest.Limits, error) {
	var l manifest.Limits
	var values, files, depth int64
	for _, v := range []struct {
		name string
		to   *int64
	}{
		{"max-file-bytes", &l.FileBytes}, {"max-total-bytes", &l.TotalBytes},
		{"max-files", &files}, {"max-values", &values}, {"max-depth", &depth},
	} {
		text := a.env[envName(v.name)]
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return l, usageError("%s is %q; it must be a whole number from 1 on", envName(v.name), text)
		}
		*v.to = n
	}
	l.Files, l.Values, l.Depth = int(min(files, math.MaxInt32)), int(min(values, math.MaxInt32)), int(min(depth, maxDepth))
	return l, nil
}

// maxDepth is the deepest nesting that can be allowed: each level takes a piece of the stack.
const maxDepth = 10_000
