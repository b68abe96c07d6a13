package cli

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"agentsync/schema"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  agentsync version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.streams.Out, "agentsync %s (%s %s/%s)\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

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
			b, err := schema.Read(name)
			if err != nil {
				return &Failure{Code: ExitUsage, Err: err}
			}
			_, err = a.streams.Out.Write(b)
			return err
		},
	}
}

// exitCodesTopic is 'agentsync help exit-codes': a topic of the help, no command.
func (a *app) exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Each outcome has an exit code of its own, in every output format:\n\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What each exit code means", Long: strings.TrimRight(b.String(), "\n")}
}
