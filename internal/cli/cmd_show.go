package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/flags"
	"agentsync/internal/plan"
	"agentsync/internal/report/show"
	"agentsync/internal/workspace"
)

const showLong = `Shows a plan that 'plan --out' saved, as it was reviewed: in any format, without the manifests, the state, a network or
a key. Whether it still holds is what 'plan --check' says.

A saved plan holds no secret. The warnings about the manifests are not in it.`

func (a *app) showCommand() *cobra.Command {
	var files planFiles
	cmd := &cobra.Command{
		Use:   "show PLAN",
		Short: "Show a saved plan",
		Long:  showLong,
		Example: `  agentsync show plan.bin
  agentsync show plan.bin --format markdown > comment.md
  agentsync show plan.bin --html plan.html`,
		Args: cobra.ExactArgs(1),
	}
	format := flags.Format(cmd, flags.Text, flags.JSON, flags.Markdown, flags.HTML)
	files.add(cmd)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion,
		cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveDefault
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		saved, err := workspace.ReadSaved(args[0], thisBuild().id())
		if err != nil {
			return err
		}
		if err := files.write(a.UI, saved.Plan, nil); err != nil {
			return err
		}
		if err := writePlan(a.UI, format.Value, files.marker, saved.Plan, nil); err != nil {
			return err
		}
		a.Sayf("%s", show.Line(savedFrom(saved)))
		return nil
	}
	return cmd
}

// savedFrom says what a saved plan was made of.
func savedFrom(s *plan.Saved) string {
	words := fmt.Sprintf("Saved from %s, at serial %d of the state", strings.Join(s.Paths, " "), s.Serial)
	if len(s.Targets) > 0 {
		words += ", --target " + strings.Join(s.Targets, " --target ")
	}
	if s.Prune {
		words += ", --prune"
	}
	if s.Refresh {
		words += ", against what was live"
	}
	return words + "."
}
