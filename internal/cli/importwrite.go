package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"

	"agentsync/internal/agent"
	"agentsync/internal/compose"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
)

// splice puts the composed agent into the manifest that --write names. What it makes is read back
// before it is written: nothing but the new agent may differ.
func (im *importer) splice(ctx context.Context) error {
	path := im.flags.write
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return im.writeNew(path)
	}
	if err != nil {
		return usageError("read the manifest of --write: %w", err)
	}
	old, problems, err := im.parse(ctx, manifest.Source{Path: path, Content: before})
	if err != nil {
		return err
	}
	if problems.HasErrors() {
		return im.app.reportProblems(problems)
	}
	for id := range old.Apps {
		if id.Platform == im.addr.Platform && id != im.addr.ID() {
			return &Failure{Code: ExitUsage, Err: fmt.Errorf("the %s section of %s is that of %s, and a file has one section for each platform", id.Platform, path, id),
				Hint: "name another file, which is made if it is not there"}
		}
	}
	after, err := compose.Splice(before, im.drawn.platform, im.drawn.app, im.drawn.agents[0])
	if err == nil {
		err = im.checkSplice(ctx, old, manifest.Source{Path: path, Content: after})
	}
	if err != nil {
		return &Failure{Code: ExitFailed, Err: fmt.Errorf("%s: %w", path, err), Hint: "leave --write out, and put what is printed into the file by hand"}
	}
	return replaceFile(path, after)
}

// checkSplice holds the manifest as it would be against what it was.
func (im *importer) checkSplice(ctx context.Context, old *manifest.Fleet, src manifest.Source) error {
	fleet, problems, err := im.parse(ctx, src)
	if err != nil {
		return err
	}
	fresh := 0
	var kept []agent.Desired
	for _, d := range fleet.Agents {
		if d.Address == im.addr {
			fresh++
			continue
		}
		d.Source = diag.Pos{}
		kept = append(kept, d)
	}
	var was []agent.Desired
	for _, d := range old.Agents {
		d.Source = diag.Pos{}
		was = append(was, d)
	}
	if fresh != 1 || !reflect.DeepEqual(kept, was) {
		return compose.ErrSplice
	}
	for _, p := range problems {
		if p.Severity == diag.Error && p.Address != im.addr.String() {
			return compose.ErrSplice
		}
	}
	return nil
}

func (im *importer) writeNew(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return usageError("write the manifest: %w", err)
	}
	content := compose.File(im.drawn.platform, schemaURL(path), compose.Section{App: im.drawn.app, Agents: im.drawn.agents})
	return replaceFile(path, content)
}

// pathsWith returns the manifests' paths and, where they do not lead to it, the file that was written.
func (im *importer) pathsWith(file string) []string {
	paths := im.paths
	if len(paths) == 0 {
		paths = []string{defaultPath}
	}
	if file == "" {
		return paths
	}
	return append(paths[:len(paths):len(paths)], file) // one that is named twice is read once
}

// replaceFile writes a file so that a reader sees the old content or the new. A symbolic link is followed.
func replaceFile(path string, content []byte) (err error) {
	mode := fs.FileMode(0o644)
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
		if info, err := os.Stat(path); err == nil {
			mode = info.Mode().Perm()
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".agentsync-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// schemaURL returns what the modeline of a manifest points to: the schema that init put beside the
// manifests, seen from the file.
func schemaURL(path string) string {
	const file = "schema/manifest.schema.json"
	if rel, err := filepath.Rel(filepath.Dir(path), file); err == nil && !filepath.IsAbs(path) {
		return filepath.ToSlash(rel)
	}
	return ""
}
