package cli

import (
	"errors"
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
			bad = &Failure{Code: ExitUsage, Err: badValue(envName(f.Name), value, f, err)}
		}
	})
	return bad
}

// flagError turns what the flag parser says of a value into the sentence that every other refusal has.
func flagError(err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badValue("--"+e.GetFlag().Name, e.GetValue(), e.GetFlag(), err)
	}
	return err
}

// badValue says what a flag's value, given by name, should have been.
func badValue(name, value string, f *pflag.Flag, err error) error {
	var rule string
	switch f.Value.Type() {
	case "int":
		rule = "it must be a whole number"
	case "duration":
		rule = "it must be a time with its unit, for example 30s or 5m"
	case "bool":
		rule = "it must be true or false"
	default:
		cause := err
		if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			cause = e.Unwrap()
		}
		rule = cause.Error()
	}
	return fmt.Errorf("%s is %q; %s", name, value, rule)
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
