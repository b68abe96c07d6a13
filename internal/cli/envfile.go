package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"agentsync/internal/checkout"
	"agentsync/internal/exit"
	"agentsync/internal/export"
	"agentsync/internal/outfile"
	"agentsync/internal/report"
)

// The one file in which agentsync writes secrets: the values that an export read at a platform which shows them, for
// whoever has to set them elsewhere. Nobody but the user can read it, git leaves it out, and it is never written over.

// checkEnvFile refuses a file that is there, or that git tracks.
func checkEnvFile(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return exit.Usagef("--env-file: %s is there already; nothing was written", path).
			Hinted("name another file: secrets are written over nothing")
	}
	if checkout.Tracks(path) {
		return exit.Usagef("--env-file: git tracks %s, and would commit the secrets in it; nothing was written", path).
			Hinted("name another file")
	}
	return nil
}

// writeEnvFile writes the values of the variables that an export read, and makes git leave the file out before.
func writeEnvFile(path string, variables []export.Variable) error {
	var b strings.Builder
	b.WriteString("# Secrets that agentsync export read. Read them with: set -a; . FILE; set +a\n")
	written := map[string]bool{}
	for _, v := range variables {
		value, err := v.Value.Reveal()
		switch {
		case written[v.Name]:
			continue
		case err != nil || v.Hidden:
			fmt.Fprintf(&b, "# %s: the platform does not show it\n", v.Name)
		default:
			fmt.Fprintf(&b, "%s='%s'\n", v.Name, strings.ReplaceAll(value, "'", `'\''`))
		}
		written[v.Name] = true
	}
	folder, name := filepath.Split(filepath.Clean(path))
	if _, err := checkout.Ignore(filepath.Join(folder, ".gitignore"), []byte("/"+name+"\n")); err != nil {
		return exit.Usagef("--env-file: %w", err).Hinted("name a file in a folder that is there")
	}
	return outfile.Write(path, 0o600, []byte(b.String()))
}

// envFile writes the values that the export read, if --env-file asks for them.
func (ex *exporter) envFile() error {
	if ex.flags.envFile == "" {
		return nil
	}
	var variables []export.Variable
	for _, p := range ex.parts {
		variables = append(variables, p.Variables...)
	}
	if err := writeEnvFile(ex.flags.envFile, variables); err != nil {
		return err
	}
	fmt.Fprintf(ex.app.Err, "wrote %s: the secrets that the platform shows, for nobody else to read\n", report.Sanitize(ex.flags.envFile))
	return nil
}
