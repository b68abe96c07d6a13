package cli

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/workspace"
	"agentsync/schema"
)

const explainLong = `Shows what the schemas say of a field: what it is for, its type and limits, its default, how the platform treats it,
and an example. Without FIELD it shows what a manifest holds.

FIELD is a name as it is written in a manifest, with dots for what is inside of it: integrationMeta.headers. It may
begin with a platform: mindset.tags, cometchat.region. A field that several platforms, or several versions of a
platform's API, have is shown for each of them where they differ.`

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [FIELD]",
		Short: "Show what a field of a manifest is for, its limits and an example",
		Long:  explainLong,
		Example: `  agentsync explain
  agentsync explain mindset
  agentsync explain agentPurpose
  agentsync explain integrationMeta.headers`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.ValidArgsFunction = completeFields
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		path := fieldPath(strings.Join(args, ""))
		places, near, err := schema.Explain(path)
		switch {
		case err != nil:
			return err
		case len(places) > 0:
			_, err = io.WriteString(a.Result(), explainText(places, a.Style(a.Out)))
			return err
		}
		hint := "see what there is:\n  agentsync explain"
		if near != "" {
			hint = "did you mean this?\n  agentsync explain " + near
		}
		return exit.Usagef("no field is called %q", strings.Join(args, "")).Hinted(hint)
	}
	return cmd
}

// listIndex is how a place in a list is written in messages: tags[3], /tags/3.
var listIndex = regexp.MustCompile(`\[\d+\]|/\d+(?:/|$)`)

// fieldPath takes a field apart: as people write it, or as plans and messages name it.
func fieldPath(field string) []string {
	field = strings.Trim(listIndex.ReplaceAllString(field, "/"), "/.")
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '/' })
}

// completeFields completes FIELD with what is one level below what was typed.
func completeFields(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) > 0 {
		return nil, directive
	}
	above := word[:max(strings.LastIndex(word, "."), 0)]
	starts := [][]string{fieldPath(above)}
	if above == "" {
		all, _ := workspace.Platforms() // a shell is no place for errors
		for _, name := range workspace.Names(all) {
			starts = append(starts, []string{name}, []string{name, "agents"})
		}
	}
	var found []cobra.Completion
	for _, path := range starts {
		places, _, _ := schema.Explain(path)
		for _, p := range places {
			for _, m := range p.Members {
				name := strings.TrimPrefix(above+"."+m.Name(), ".")
				if c := cobra.CompletionWithDesc(name, firstSentence(m.Description)); strings.HasPrefix(name, word) &&
					!slices.ContainsFunc(found, func(f cobra.Completion) bool {
						return strings.HasPrefix(f, name+"\t")
					}) {
					found = append(found, c)
				}
			}
		}
	}
	return found, directive
}

// explainText has the places one below the other. Those that differ by where they are alone are written once.
func explainText(places []schema.Place, style report.Style) string {
	var texts, where []string
	for _, p := range places {
		text := placeText(&p, style)
		if i := slices.Index(texts, text); i >= 0 {
			where[i] += "; " + p.In
			continue
		}
		texts, where = append(texts, text), append(where, p.In)
	}
	for i, name := range where {
		if path := places[0].Path; path != "" {
			name = path + ", in " + name
		}
		texts[i] = style.Bold(name) + "\n\n" + texts[i]
	}
	return strings.Join(texts, "\n")
}

// explainWidth is how wide texts become where no terminal says.
const explainWidth = 100

// placeText is everything of a place but where it is.
func placeText(p *schema.Place, style report.Style) string {
	width := explainWidth
	if style.Width > 0 {
		width = min(width, style.Width)
	}
	var b strings.Builder
	paragraph := func(lead, text string) {
		for _, line := range wrapWords(text, width-len(lead)) {
			b.WriteString(strings.TrimRight(lead+line, " ") + "\n")
			lead = strings.Repeat(" ", len(lead))
		}
	}
	labelled := func(label, text string) {
		if text != "" {
			paragraph(fmt.Sprintf("  %-9s", label), text)
		}
	}
	labelled("for", p.Description)
	labelled("type", typeOf(p))
	labelled("limits", strings.Join(p.Limits, "; "))
	if p.Default != nil {
		labelled("default", fmt.Sprint(p.Default))
	}
	for i, t := range p.Traits {
		labelled(map[bool]string{true: "note"}[i == 0], t)
	}
	if p.Example != nil && p.Path != "" {
		b.WriteString("  example\n")
		for line := range strings.Lines(string(export.Value(p.Name(), p.Example, p.Order))) {
			b.WriteString("      " + line)
		}
	}
	if len(p.Members) == 0 {
		return b.String()
	}
	b.WriteString("\n  holds\n")
	wide := 0
	for _, m := range p.Members {
		wide = max(wide, len(m.Name()))
	}
	for _, m := range p.Members {
		paragraph(fmt.Sprintf("    %-*s  ", wide, m.Name()), "("+typeOf(&m)+") "+firstSentence(m.Description))
	}
	return b.String()
}

func typeOf(p *schema.Place) string {
	if p.Required {
		return p.Type + ", required"
	}
	return p.Type
}

func firstSentence(s string) string {
	first, _, more := strings.Cut(s, ". ")
	if more {
		return first + "."
	}
	return s
}

// wrapWords breaks a text between words into lines of at most width characters.
func wrapWords(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && show.Width(line)+1+show.Width(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
