package report

import (
	"bufio"
	"io"
	"maps"
	"slices"
	"strings"

	"agentsync/internal/plan"
)

// originLines says where the requests of an app go, a line for each thing: what changes with both sides, or the address that
// is not the platform's own. paint marks data; it gets sanitised text.
func originLines(o plan.Origin, paint func(string) string) []string {
	if !o.Changed() {
		return []string{"endpoint " + paint(o.After.BaseURL) + " is not the platform's own; the key is " + paint(o.After.KeyEnv)}
	}
	own := ""
	if o.Foreign {
		own = " (not the platform's own)"
	}
	var lines []string
	if o.Before.BaseURL != o.After.BaseURL {
		lines = append(lines, "endpoint "+paint(o.Before.BaseURL)+" → "+paint(o.After.BaseURL)+own)
	} else {
		lines = append(lines, "endpoint "+paint(o.After.BaseURL)+own)
	}
	if o.Before.KeyEnv != o.After.KeyEnv {
		lines = append(lines, "key "+paint(o.Before.KeyEnv)+" → "+paint(o.After.KeyEnv))
	} else {
		lines = append(lines, "key "+paint(o.After.KeyEnv))
	}
	return lines
}

// originHead names an app whose requests are told of.
func originHead(o plan.Origin) string {
	if o.Changed() {
		return "requests and the API key go to another place"
	}
	return "requests and the API key go here"
}

// maxOrigins is how many apps are told of where not everything was asked for: a fleet has an app for each tenant at times.
const maxOrigins = 20

// boundOrigins returns the origins to show, those that changed first, and a sentence about the rest, "" for none.
func boundOrigins(origins []plan.Origin, most int) (shown []plan.Origin, rest string) {
	shown = slices.Clone(origins)
	slices.SortStableFunc(shown, func(a, b plan.Origin) int {
		switch {
		case a.Changed() == b.Changed():
			return 0
		case a.Changed():
			return -1
		}
		return 1
	})
	if len(shown) <= most {
		return shown, ""
	}
	hosts := map[string]int{}
	for _, o := range shown[most:] {
		_, host, _ := strings.Cut(o.After.BaseURL, "://")
		host, _, _ = strings.Cut(host, "/")
		hosts[host]++
	}
	names := slices.Sorted(maps.Keys(hosts))
	if len(names) > maxApps {
		names = append(names[:maxApps:maxApps], "…")
	}
	return shown[:most], "… and " + count(len(origins)-most, "more app") + " at " + Sanitize(strings.Join(names, ", "))
}

// originsText writes where requests go: first of all, for whoever can change that can take the API key.
func originsText(b *bufio.Writer, origins []plan.Origin, s Style) {
	most := maxOrigins
	if s.Verbose {
		most = len(origins)
	}
	shown, rest := boundOrigins(origins, most)
	for _, o := range shown {
		b.WriteString(s.paint(yellow, "!") + " " + s.paint(bold, Sanitize(o.App.String())) + "  " + s.paint(yellow, originHead(o)) + "\n")
		for _, l := range originLines(o, Sanitize) {
			b.WriteString("    " + l + "\n")
		}
		b.WriteByte('\n')
	}
	if rest != "" {
		b.WriteString(rest + ", -v shows all\n\n")
	}
}

// OriginsText writes where the requests of some apps go, for a person who is to agree to it. The error is that of w.
func OriginsText(w io.Writer, origins []plan.Origin, s Style) error {
	b := bufio.NewWriter(w)
	originsText(b, origins, s)
	return b.Flush()
}

// originsMarkdown writes the same as alerts, which GitHub and GitLab show in a frame.
func originsMarkdown(origins []plan.Origin) string {
	var b strings.Builder
	code := func(s string) string { return codeSpan(clip(s, 300)) }
	shown, rest := boundOrigins(origins, maxOrigins/2)
	for _, o := range shown {
		kind := "NOTE"
		if o.Changed() {
			kind = "CAUTION"
		}
		b.WriteString("\n> [!" + kind + "]\n> **" + originHead(o) + ":** " + code(o.App.String()) + "\n>\n")
		for _, l := range originLines(o, code) {
			b.WriteString("> - " + l + "\n")
		}
	}
	if rest != "" {
		b.WriteString("\n" + prose(rest) + "\n")
	}
	return b.String()
}

// pageOrigin is where an app's requests go, on the page.
type pageOrigin struct {
	App, Head string
	Changed   bool
	Lines     []string
}

func newPageOrigins(origins []plan.Origin) []pageOrigin {
	var all []pageOrigin
	for _, o := range origins {
		all = append(all, pageOrigin{Sanitize(o.App.String()), originHead(o), o.Changed(), originLines(o, Sanitize)})
	}
	return all
}

// originCount counts the apps whose requests go elsewhere, for a sentence; "" for none.
func originCount(n int) string {
	if n == 0 {
		return ""
	}
	return count(n, "endpoint") + " changed"
}
