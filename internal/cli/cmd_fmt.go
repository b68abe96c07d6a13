package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"agentsync/internal/crash"
	"agentsync/internal/diag"
	"agentsync/internal/exit"
	"agentsync/internal/flags"
	"agentsync/internal/format"
	"agentsync/internal/manifest"
	"agentsync/internal/outfile"
	"agentsync/internal/report"
	"agentsync/internal/report/show"
	"agentsync/internal/ui"
	"agentsync/internal/workspace"
)

// fmtFlags say what becomes of a manifest that is not in canonical form; without them it is written.
type fmtFlags struct {
	check, diff bool
}

// formatted is what came of one manifest.
type formatted struct {
	name     string
	changed  bool
	diff     string
	problems diag.List
	err      error
}

func (a *app) fmtCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fmt [PATH…]",
		Short: "Bring manifests into canonical form",
		Long: `Brings manifests into canonical form: fields in the order of the schema, two spaces of indentation, one
blank line between agents. Comments, anchors, aliases, merge keys and block scalars stay as they are
written, and what the manifest means never changes. A file that cannot be formatted is reported with its
place and left alone. The files that were changed are listed on stdout.

PATH is a file, a folder (*.yaml and *.yml, recursively), or - for stdin to stdout; the default is
manifests. With --check, files that are not in canonical form are listed and the exit code is 1.`,
		Example: `  agentsync fmt
  agentsync fmt --check
  agentsync fmt --diff manifests/support.yaml
  agentsync fmt - < manifests/support.yaml`,
		Args: cobra.ArbitraryArgs,
	}
	var f fmtFlags
	cmd.ValidArgsFunction = flags.CompleteManifests
	cmd.Flags().BoolVar(&f.check, "check", false,
		"write nothing; list the files that would change, and fail if there are any")
	cmd.Flags().BoolVar(&f.diff, "diff", false, "write nothing; print what would change as a unified diff")
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		return formatManifests(cmd.Context(), a.UI, f, paths)
	}
	return cmd
}

func formatManifests(ctx context.Context, u *ui.UI, asked fmtFlags, paths []string) error {
	o, err := workspace.ManifestOptions(u)
	if err != nil {
		return err
	}
	o.Env = nil // variables stay as they are written
	f, err := format.New(o)
	if err != nil {
		return err
	}
	if slices.Contains(paths, "-") {
		if len(paths) > 1 {
			return exit.Usagef("- stands for stdin and goes with no other path")
		}
		return formatStdin(u, f, o, asked)
	}
	if len(paths) == 0 {
		paths = []string{workspace.DefaultPath}
	}
	files, problems, err := manifest.Find(paths, o)
	if err != nil {
		return &exit.Failure{Code: exit.Usage, Err: err,
			Hint: "name the files or folders that hold the manifests:\n  agentsync fmt PATH…"}
	}
	u.Source = manifest.SourcesOf(files, o).Line
	results := make([]formatted, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, file := range files {
		group.Go(func() error { // each by itself: a file that cannot be formatted keeps no other from it
			defer crash.Guard()
			if ctx.Err() == nil {
				results[i] = formatFile(f, file, o, asked)
			}
			return nil
		})
	}
	_ = group.Wait() // each file's error is in its result
	if err := ctx.Err(); err != nil {
		return err
	}
	return reportFormatted(u, results, problems, asked)
}

// formatFile formats one file and, unless the flags say otherwise, writes it.
func formatFile(f *format.Formatter, file manifest.File, o manifest.Options, asked fmtFlags) formatted {
	src, problems := manifest.Read(file, o)
	if problems != nil {
		return formatted{name: file.Name, problems: problems}
	}
	r, out := formatSource(f, file.Name, src, asked)
	if r.changed && !asked.check && !asked.diff {
		r.err = outfile.Replace(file.Path, out)
	}
	return r
}

// formatSource formats the content of one file.
func formatSource(f *format.Formatter, name string, src []byte, asked fmtFlags) (formatted, []byte) {
	r := formatted{name: name}
	var out []byte
	out, r.problems, r.err = f.Format(name, src)
	if r.err != nil || r.problems != nil || bytes.Equal(src, out) {
		return r, out
	}
	r.changed = true
	if asked.diff {
		r.diff = lineEndDiff(name, string(src), string(out))
	}
	return r, out
}

// maxStdin bounds what is read from stdin, in bytes: as much as of a file.
const maxStdin = 32 << 20

// formatStdin formats stdin and writes it to stdout.
func formatStdin(u *ui.UI, f *format.Formatter, o manifest.Options, asked fmtFlags) error {
	src, err := io.ReadAll(io.LimitReader(u.In, maxStdin+1))
	if err != nil {
		return fmt.Errorf("read stdin: %w", err)
	}
	if len(src) > maxStdin {
		return exit.Usagef("stdin holds more than 32 MiB")
	}
	u.Source = manifest.SourcesIn([]manifest.Source{{Path: "stdin", Content: src}}, o).Line
	r, out := formatSource(f, "stdin", src, asked)
	if r.err == nil && r.problems == nil && !asked.check && !asked.diff {
		_, err := u.Out.Write(out)
		return err
	}
	return reportFormatted(u, []formatted{r}, nil, asked)
}

// reportFormatted writes what came of the files, and returns the failure that it amounts to.
func reportFormatted(u *ui.UI, results []formatted, problems diag.List, asked fmtFlags) error {
	var failed []error
	changed := 0
	for _, r := range results {
		problems = append(problems, r.problems...)
		switch {
		case r.err != nil:
			failed = append(failed, r.err)
		case r.changed && asked.diff:
			changed++
			printDiff(u, r.diff)
		case r.changed:
			changed++
			fmt.Fprintln(u.Out, show.Line(r.name))
		}
	}
	if len(problems) > 0 {
		problems.Sort()
		_ = report.DiagText(u.Err, problems, u.Style(u.Err)) // stderr is gone: nowhere to say so
	}
	switch {
	case len(failed) > 0:
		return errors.Join(failed...)
	case problems.HasErrors():
		return exit.Usagef("files with errors were left as they are")
	case changed > 0 && asked.check:
		return exit.With(exit.Failed, "not in canonical form: %s", diag.Plural(changed, "file")).
			Hinted("bring manifests into canonical form:\n  agentsync fmt")
	}
	return nil
}

// lineEndDiff returns the unified diff of a file. Line ends that change everywhere are said once, in front of what
// else changes: otherwise each line would stand there twice and look the same.
func lineEndDiff(name, src, out string) string {
	lf := strings.ReplaceAll(src, "\r\n", "\n")
	if lf == src {
		return udiff.Unified("a/"+name, "b/"+name, src, out)
	}
	return name + ": line ends become \\n (they are \\r\\n)\n" + udiff.Unified("a/"+name, "b/"+name, lf, out)
}

// printDiff writes a unified diff, in colour where that is wanted.
func printDiff(u *ui.UI, diff string) {
	diff = show.Text(diff)
	if !u.Style(u.Out).Color {
		fmt.Fprint(u.Out, diff)
		return
	}
	for line := range strings.Lines(diff) {
		text := strings.TrimSuffix(line, "\n")
		if color := map[byte]string{'+': "32", '-': "31", '@': "36"}[line[0]]; color != "" {
			text = "\x1b[" + color + "m" + text + "\x1b[0m"
		}
		fmt.Fprintln(u.Out, text)
	}
}
