package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envPrefix begins the environment variables that set flags: AGENTSYNC_STATE is --state.
const envPrefix = "AGENTSYNC_"

// envName returns the variable that sets a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flagsFromEnv sets the flags that the command line left alone from the environment. A value that
// does not fit is a usage error that names the variable. Flags that mean one file or one run only
// are not read from the environment.
func (a *app) flagsFromEnv(cmd *cobra.Command) error {
	var bad error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, set := a.env[envName(f.Name)]
		if f.Changed || !set || value == "" || f.Name == "help" || bad != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			bad = usageError("%s=%q: %w", envName(f.Name), value, err)
		}
	})
	return bad
}

// choice is a flag with a fixed set of values.
type choice struct {
	value   string
	allowed []string
}

// String returns the value.
func (c *choice) String() string { return c.value }

// Type names the kind of value in help texts.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set takes one of the allowed values.
func (c *choice) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}

const (
	formatText     = "text"
	formatJSON     = "json"
	formatMarkdown = "markdown"
	formatGitHub   = "github"
)

// addFormat adds --format with text as the default.
func addFormat(cmd *cobra.Command, extra ...string) *choice {
	c := &choice{value: formatText, allowed: append([]string{formatText, formatJSON, formatMarkdown}, extra...)}
	cmd.Flags().Var(c, "format", "output `FORMAT`: "+strings.Join(c.allowed, ", "))
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(c.allowed, cobra.ShellCompDirectiveNoFileComp))
	return c
}
