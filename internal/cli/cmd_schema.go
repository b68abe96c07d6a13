package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"agentsync/internal/exit"
	"agentsync/schema"
)

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print an embedded JSON Schema",
		Long: `Prints one of the embedded JSON Schemas (draft-07), complete in itself, for an editor or another tool.
The default is manifest, the schema of manifests. There are: ` + strings.Join(schema.Names(), ", ") + ".",
		Example: `  agentsync schema > manifest.schema.json
  agentsync schema plan`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1)),
		ValidArgs: schema.Names(),
		RunE: func(_ *cobra.Command, args []string) error {
			name := "manifest"
			if len(args) > 0 {
				name = args[0]
			}
			b, err := schema.Bundle(name)
			if err != nil {
				return exit.Usagef("%w", err)
			}
			_, err = a.Out.Write(b)
			return err
		},
	}
}
