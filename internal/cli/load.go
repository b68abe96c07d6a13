package cli

import (
	"context"
	"os"

	"agentsync/internal/agent"
	"agentsync/internal/diag"
	"agentsync/internal/manifest"
	"agentsync/internal/platform"
	"agentsync/internal/report"
	"agentsync/schema"
)

// defaultPath is where manifests are looked for when no PATH is given.
const defaultPath = "manifests"

// loadFleet reads the manifests at paths. Problems are reported on stderr; with errors among them the
// command ends.
func (a *app) loadFleet(ctx context.Context, all map[string]platform.Platform, paths []string) (*manifest.Fleet, diag.List, error) {
	fleet, problems, err := a.readFleet(ctx, all, paths)
	if err != nil {
		return nil, nil, err
	}
	if err := a.reportProblems(problems); err != nil {
		return nil, problems, err
	}
	return fleet, problems, nil
}

// readFleet reads the manifests at paths and returns every problem in them.
func (a *app) readFleet(ctx context.Context, all map[string]platform.Platform, paths []string) (*manifest.Fleet, diag.List, error) {
	hint := ""
	if len(paths) == 0 {
		paths = []string{defaultPath}
		if _, err := os.Stat(defaultPath); err != nil {
			hint = "keep the manifests in a folder " + defaultPath + ", or name the files or folders that hold them"
		}
	}
	var platforms []*schema.Platform
	for _, s := range schemas(all) {
		platforms = append(platforms, s)
	}
	limits, err := a.limits()
	if err != nil {
		return nil, nil, err
	}
	fleet, problems, err := manifest.Load(ctx, paths, manifest.Options{Env: a.lookup(), Platforms: platforms, Limits: limits})
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, nil, &Failure{Code: ExitUsage, Err: err, Hint: hint}
	}
	return fleet, problems, nil
}

// reportProblems shows problems on stderr; errors among them end the command, everything said.
func (a *app) reportProblems(problems diag.List) error {
	if len(problems) == 0 {
		return nil
	}
	_ = report.DiagText(a.streams.Err, problems, a.style(a.streams.Err)) // stderr is gone: nowhere to say so
	if problems.HasErrors() {
		f := usageError("the manifests have errors; nothing was sent")
		f.Problems = problems
		return f
	}
	return nil
}

// parseTargets reads the patterns of --target.
func parseTargets(patterns []string) ([]agent.Glob, error) {
	targets := make([]agent.Glob, len(patterns))
	for i, p := range patterns {
		g, err := agent.ParseGlob(p)
		if err != nil {
			return nil, usageError("--target: %w", err)
		}
		targets[i] = g
	}
	return targets, nil
}
