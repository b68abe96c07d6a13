package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"agentsync/internal/checkout"
	"agentsync/internal/exit"
	"agentsync/internal/ui"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// configName is the file with a repository's defaults of flags. It is looked for in the working folder and, within a
// git repository, in the folders above it, as far as the repository's own.
const configName = "agentsync.yaml"

// configKeys are the flags that agentsync.yaml may set: schema/config.schema.json describes them. None of them answers
// a question in a user's place, names an output, or says where an API key goes.
var configKeys = []string{
	"lock-timeout", "max-deletes", "on-error", "parallelism", "prune", "settle-timeout", "state", "timeout",
}

// maxConfigBytes bounds agentsync.yaml.
const maxConfigBytes = 64 << 10

// flagsFromConfig sets the flags of cmd that neither the command line nor a variable sets from agentsync.yaml. The
// whole file is checked, also what is for other commands.
func (a *app) flagsFromConfig(cmd *cobra.Command) error {
	if cmd.Flags().Lookup("state") == nil && cmd.Name() != "validate" {
		return nil // version, help, sandbox: nothing in the file is for them
	}
	path := findConfig()
	if path == "" {
		return nil
	}
	values, err := readConfig(path)
	if err != nil {
		return &exit.Failure{Code: exit.Usage, Err: err, Hint: "see what the file may hold:\n  agentsync schema config"}
	}
	for _, v := range values {
		// A command that lacks the flag is no reason to leave a wrong value unsaid.
		flag := cmd.Flags().Lookup(v.name)
		if flag == nil {
			flag = a.rootCommandFlag(v.name)
		}
		set := flag.Value.String()
		if err := flag.Value.Set(v.text); err != nil {
			return exit.Usagef("%s: %w", v.place, badValue(v.name, v.text, flag, err))
		}
		// The command line or a variable comes first, and the repository's state is not that of the sandbox.
		if flag.Changed || v.name == "state" && isSet(cmd, "sandbox") {
			_ = flag.Value.Set(set) // it was the value before
			continue
		}
		flag.Changed = true
	}
	return nil
}

// isSet reports whether a flag of cmd, which may not have it, is true.
func isSet(cmd *cobra.Command, name string) bool {
	flag := cmd.Flags().Lookup(name)
	return flag != nil && flag.Value.String() == "true"
}

// rootCommandFlag returns apply's flag of that name, in a tree of its own: apply has every flag of configKeys.
func (a *app) rootCommandFlag(name string) *pflag.Flag {
	cmd := (&app{UI: ui.New(nil, nil, nil, nil)}).applyCommand()
	return cmd.Flags().Lookup(name)
}

// findConfig returns the path of agentsync.yaml, empty where there is none.
func findConfig() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	in := ""
	for {
		if _, err := os.Lstat(filepath.Join(dir, configName)); err == nil {
			if in == "" || checkout.Top(dir) != "" {
				return filepath.Join(in, configName)
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
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("%s:1:1: the file is empty; it begins with version: 1", path)
	}
	root := doc.Content[0]
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", path, n.Line, n.Column) }
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: it must be a mapping of flags to values", at(root))
	}
	var problems []error
	var values []configValue
	version := false
	seen := map[string]bool{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case seen[key.Value]:
			problems = append(problems, fmt.Errorf("%s: %s is set twice", at(key), key.Value))
		case value.Kind != yaml.ScalarNode:
			problems = append(problems, fmt.Errorf("%s: %s must be a single value", at(value), key.Value))
		case key.Value == "version":
			version = true
			if value.Value != "1" {
				problems = append(problems, fmt.Errorf("%s: version is %q; this agentsync reads 1", at(value), value.Value))
			}
		case !slices.Contains(configKeys, key.Value):
			problems = append(problems, fmt.Errorf("%s: %q is nothing that this file sets; it may set %s", at(key), key.Value, strings.Join(configKeys, ", ")))
		default:
			text := value.Value
			if key.Value == "state" && !strings.Contains(text, "://") && !filepath.IsAbs(text) {
				text = filepath.Join(filepath.Dir(path), text) // seen from the file
			}
			values = append(values, configValue{key.Value, text, at(value)})
		}
		seen[key.Value] = true
	}
	if !version {
		problems = append(problems, fmt.Errorf("%s: version: 1 is missing", at(root)))
	}
	return values, errors.Join(problems...)
}
