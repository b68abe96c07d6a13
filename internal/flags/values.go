package flags

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"agentsync/internal/checkout"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/ui"
	"agentsync/internal/yamltext"
)

// NotFromEnv are flags that no variable sets: CI systems use AGENTSYNC_VERSION for the version to install, and --out is
// a file for one command and a folder for another.
func NotFromEnv() []string { return []string{"help", "version", "out"} }

// Resolve sets the flags that the command line left alone from the environment, and those that neither sets from
// agentsync.yaml. typed are the flags that the command line sets, by name. apply is a command that has every flag of
// ConfigKeys: by its flags a value of agentsync.yaml is checked that is for other commands; nil checks none of those.
func Resolve(u *ui.UI, cmd *cobra.Command, apply func() *cobra.Command) (typed map[string]bool, err error) {
	typed = map[string]bool{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		typed[f.Name] = f.Changed // before a variable changes it: what was typed is meant for this run
		variable := ui.Variable(f.Name)
		value := u.Getenv(variable)
		if f.Changed && err == nil {
			err = emptyError("--"+f.Name, f)
		}
		if f.Changed || value == "" || slices.Contains(NotFromEnv(), f.Name) || err != nil {
			return
		}
		if wrong := cmd.Flags().Set(f.Name, value); wrong != nil {
			err = badValue(variable, value, f, wrong)
		}
	})
	if err == nil {
		err = fromConfig(cmd, apply)
	}
	return typed, err
}

// emptyError refuses a flag that is given without a value. A pipeline writes it so where a variable is not set, and
// would get what the flag is there to prevent: with an empty --plan, an apply of what nobody reviewed.
func emptyError(name string, f *pflag.Flag) error {
	empty := f.Value.Type() == "string" && f.Value.String() == ""
	if list, ok := f.Value.(pflag.SliceValue); ok {
		empty = slices.Contains(list.GetSlice(), "")
	}
	if !empty {
		return nil
	}
	return exit.Usagef("%s is empty", name).
		Hinted("give it a value, or leave it out; is the variable set that it comes from?")
}

// Wrong turns what the flag parser says of a value into the sentence that every other refusal has.
func Wrong(err error) *exit.Failure {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badValue("--"+e.GetFlag().Name, e.GetValue(), e.GetFlag(), err)
	}
	return exit.Usagef("%w", err)
}

// badValue says what a flag's value, given by name, should have been.
func badValue(name, value string, f *pflag.Flag, err error) *exit.Failure {
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
	return exit.Usagef("%s is %q; %s", name, value, rule)
}

// ConfigName is the file with a repository's defaults of flags. It is looked for in the working folder and, within a
// git repository, in the folders above it, as far as the repository's own.
const ConfigName = "agentsync.yaml"

// ConfigKeys are the flags that agentsync.yaml may set: schema/config.schema.json describes them. None of them answers
// a question in a user's place, names an output, or says where an API key goes.
func ConfigKeys() []string {
	return []string{"lock-timeout", "max-deletes", "on-error", "parallelism", "prune", "settle-timeout", "state",
		"timeout"}
}

// maxConfigBytes bounds agentsync.yaml.
const maxConfigBytes = 64 << 10

// fromConfig sets the flags of cmd that are not changed yet from agentsync.yaml. The whole file is checked, also what
// is for other commands.
func fromConfig(cmd *cobra.Command, apply func() *cobra.Command) error {
	if cmd.Flags().Lookup("state") == nil && cmd.Name() != "validate" {
		return nil // version, help, sandbox: nothing in the file is for them
	}
	path := findConfig()
	if path == "" {
		return nil
	}
	values, err := readConfig(path)
	if err != nil {
		return exit.Usagef("%w", err).Hinted("see what the file may hold:\n  agentsync schema config")
	}
	sandbox := cmd.Flags().Lookup("sandbox")
	for _, v := range values {
		// A command that lacks the flag is no reason to leave a wrong value unsaid.
		flag := cmd.Flags().Lookup(v.name)
		if flag == nil && apply != nil {
			flag = apply().Flags().Lookup(v.name)
		}
		if flag == nil {
			continue
		}
		set := flag.Value.String()
		if err := flag.Value.Set(v.text); err != nil {
			wrong := badValue(v.name, v.text, flag, err)
			wrong.Err = fmt.Errorf("%s: %w", v.place, wrong.Err)
			return wrong
		}
		if err := emptyError(v.place+": "+v.name, flag); err != nil {
			return err
		}
		// The command line or a variable comes first, and the repository's state is not that of the sandbox.
		if flag.Changed || v.name == "state" && sandbox != nil && sandbox.Value.String() == "true" {
			_ = flag.Value.Set(set) // it was the value before
			continue
		}
		flag.Changed = true
	}
	return nil
}

// findConfig returns the path of agentsync.yaml, empty where there is none.
func findConfig() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	in := ""
	for {
		if _, err := os.Lstat(filepath.Join(dir, ConfigName)); err == nil {
			if in == "" || checkout.Top(dir) != "" {
				return filepath.Join(in, ConfigName)
			}
			return ""
		}
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return "" // what lies above is not of this repository
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir, in = up, filepath.Join(in, "..")
	}
}

// configValue is one value of agentsync.yaml, with its place.
type configValue struct{ name, text, place string }

// readConfig reads and checks agentsync.yaml.
func readConfig(path string) ([]configValue, error) {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%s is a symbolic link, and none is followed", path)
	case !info.Mode().IsRegular() || info.Size() > maxConfigBytes:
		return nil, fmt.Errorf("%s is no file of up to 64 KiB", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var problems diag.List
	failed := func() error {
		var errs []error
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s: %s", p.Pos, p.Summary))
		}
		return errors.Join(errs...)
	}
	root := yamltext.Parse(path, content,
		yamltext.Options{Values: maxConfigBytes, Nothing: "the file is empty; it begins with version: 1"}, &problems)
	if root == nil {
		return nil, failed()
	}
	at := func(n *yaml.Node) diag.Pos { return diag.Pos{File: path, Line: n.Line, Column: n.Column} }
	bad := func(n *yaml.Node, format string, args ...any) { problems.Errorf(at(n), format, args...) }
	if root.Kind != yaml.MappingNode {
		bad(root, "it must be a mapping of flags to values")
		return nil, failed()
	}
	var values []configValue
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case seen[key.Value]:
			bad(key, "%s is set twice", key.Value)
		case value.Kind != yaml.ScalarNode:
			bad(value, "%s must be a single value", key.Value)
		case key.Value == "version":
			if value.Value != "1" {
				bad(value, "version is %q; this agentsync reads 1", value.Value)
			}
		case !slices.Contains(ConfigKeys(), key.Value):
			may := diag.DidYouMean(key.Value, ConfigKeys())
			if may == "" {
				may = "; it may set " + strings.Join(ConfigKeys(), ", ")
			}
			bad(key, "%q is nothing that this file sets%s", key.Value, may)
		default:
			text := value.Value
			if key.Value == "state" && !strings.Contains(text, "://") && !filepath.IsAbs(text) {
				text = filepath.Join(filepath.Dir(path), text) // seen from the file
			}
			values = append(values, configValue{key.Value, text, at(value).String()})
		}
		seen[key.Value] = true
	}
	if !seen["version"] {
		bad(root, "version: 1 is missing")
	}
	return values, failed()
}
