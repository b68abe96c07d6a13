package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/manifest"
	"agentsync/internal/report"
	"agentsync/internal/ui"
)

func (a *app) validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "validate [PATH…]",
		SuggestFor: []string{"lint", "check", "verify"},
		Short:      "Check manifests; needs no network and no keys",
		Long: `Checks every manifest against its JSON Schema and against what a schema cannot say, and reports every
problem of every file at once, each with its place. Needs no network, no API key and no secret.

PATH is a file or a folder (*.yaml and *.yml, recursively); the default is manifests.`,
		Example: `  agentsync validate
  agentsync validate manifests/support.yaml
  agentsync validate --format json`,
		Args: cobra.ArbitraryArgs,
	}
	format := addFormat(cmd, formatGitHub)
	cmd.ValidArgsFunction = completeManifests
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		all, err := platforms()
		if err != nil {
			return err
		}
		fleet, problems, err := a.readFleet(cmd.Context(), all, paths, manifest.Options{})
		if err != nil {
			return err
		}
		if err := a.writeProblems(format.value, problems); err != nil {
			return err
		}
		if problems.HasErrors() {
			return &exit.Failure{Code: exit.Usage}
		}
		if format.value == formatText {
			fmt.Fprintf(a.Out, "%s in %s: no errors\n",
				ui.Count(len(fleet.Agents), "agent"), ui.Count(len(fleet.Files), "file"))
		}
		return nil
	}
	return cmd
}

// writeProblems writes the result of validate: in text form problems go to stderr, as everywhere.
func (a *app) writeProblems(format string, problems diag.List) error {
	a.Answered = true
	switch format {
	case formatJSON:
		return report.DiagJSON(a.Out, problems)
	case formatMarkdown:
		return report.DiagMarkdown(a.Out, problems, report.MarkdownOptions{Link: checkout.Links(a.Getenv)})
	case formatGitHub:
		return report.DiagGitHub(a.Out, problems)
	default:
		return report.DiagText(a.Err, problems, a.Style(a.Err))
	}
}
