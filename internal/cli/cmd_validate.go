package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/report"
	"agentsync/internal/workspace"
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
	cmd.ValidArgsFunction = flags.CompleteManifests
	format := flags.Format(cmd, flags.Text, flags.JSON, flags.Markdown, flags.GitHub)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		o, err := workspace.ManifestOptions(a.UI)
		if err != nil {
			return err
		}
		fleet, problems, err := workspace.ReadFleet(cmd.Context(), a.UI, o, paths)
		if err != nil {
			return err
		}
		switch format.Value {
		case flags.JSON:
			err = report.DiagJSON(a.Result(), problems)
		case flags.Markdown:
			err = report.DiagMarkdown(a.Result(), problems, report.MarkdownOptions{Link: checkout.Links(a.Getenv)})
		case flags.GitHub:
			err = report.DiagGitHub(a.Result(), problems)
		default: // problems go to stderr, as everywhere
			err = report.DiagText(a.Err, problems, a.Style(a.Err))
		}
		switch {
		case err != nil:
			return err
		case problems.HasErrors():
			return &exit.Failure{Code: exit.Usage}
		case format.Value == flags.Text:
			_, err = fmt.Fprintf(a.Result(), "%s in %s: no errors\n",
				diag.Plural(len(fleet.Agents), "agent"), diag.Plural(len(fleet.Files), "file"))
		}
		return err
	}
	return cmd
}
