package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// buildTarget is one system that a release is made for, in Go's names.
type buildTarget struct{ os, arch string }

func (t buildTarget) String() string { return t.os + "_" + t.arch }

var allTargets = []buildTarget{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

// releaseRun is what all parts of a release share.
type releaseRun struct {
	source  string    // the checkout
	out     string    // the folder that gets the files
	work    string    // a folder for what is not published
	version string    // with the v in front: v0.1.0
	time    time.Time // of the commit: the time of each file in each archive
	targets []buildTarget
}

// plainVersion is the version as packages and file names spell it, without the v in front.
func (r *releaseRun) plainVersion() string { return strings.TrimPrefix(r.version, "v") }

// assetPath returns the path of a published file, for example dist/agentsync_0.1.0_linux_amd64.tar.gz.
func (r *releaseRun) assetPath(suffix string) string {
	return filepath.Join(r.out, "agentsync_"+r.plainVersion()+"_"+suffix)
}

var versionForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := runRelease(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release: error:", err)
		os.Exit(1)
	}
}

func runRelease(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "the version to make, such as v0.1.0")
	source := flags.String("source", "..", "the checkout to build")
	out := flags.String("out", "../dist", "the folder that gets the files; what is in it is deleted first")
	dirty := flags.Bool("dirty", false, "build although the checkout has changes; never for publishing")
	only := flags.String("only", "", "one target such as linux_amd64; every target if empty")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !versionForm.MatchString(*version) {
		return fmt.Errorf("-version %q: it must be a semantic version with a v in front, such as v0.1.0", *version)
	}
	r, err := newRelease(ctx, *source, *out, *version, *dirty)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.work) }()
	if *only != "" {
		r.targets = nil
		for _, t := range allTargets {
			if t.String() == *only {
				r.targets = []buildTarget{t}
			}
		}
		if r.targets == nil {
			return fmt.Errorf("-only %q: the targets are %v", *only, allTargets)
		}
	}
	return r.makeAll(ctx)
}

// newRelease reads what the commit says and empties the folder for the files.
func newRelease(ctx context.Context, source, out, version string, dirty bool) (*releaseRun, error) {
	r := &releaseRun{version: version, targets: allTargets}
	var err error
	if r.source, err = filepath.Abs(source); err != nil {
		return nil, err
	}
	if r.out, err = filepath.Abs(out); err != nil {
		return nil, err
	}
	changes, err := r.runGit(ctx, "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changes != "" && !dirty {
		return nil, errors.New("the checkout has changes that no commit contains: nobody could make these bytes again")
	}
	seconds, err := r.runGit(ctx, "log", "-1", "--format=%ct")
	if err != nil {
		return nil, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read the time of the commit: %w", err)
	}
	r.time = time.Unix(unix, 0).UTC()
	if err := os.RemoveAll(r.out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	r.work, err = os.MkdirTemp("", "agentsync-release-")
	return r, err
}

func (r *releaseRun) runGit(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", r.source}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// makeAll builds everything and says what it made.
func (r *releaseRun) makeAll(ctx context.Context) error {
	completions, err := r.completionScripts(ctx)
	if err != nil {
		return err
	}
	documents, err := r.documentPaths(ctx)
	if err != nil {
		return err
	}
	for _, t := range r.targets {
		binary, err := r.buildBinary(ctx, t)
		if err != nil {
			return err
		}
		if err := r.writeArchive(t, binary, documents, completions); err != nil {
			return fmt.Errorf("archive for %s: %w", t, err)
		}
		if err := r.writeSBOM(ctx, t, binary); err != nil {
			return err
		}
		if t.os != "linux" {
			continue
		}
		if err := r.writePackages(t, binary, documents, completions); err != nil {
			return fmt.Errorf("packages for %s: %w", t, err)
		}
	}
	if err := r.writeImage(); err != nil {
		return fmt.Errorf("image: %w", err)
	}
	return r.writeChecksums()
}

// buildBinary compiles the tool for one target and returns the binary's path. The build records the commit and
// its time by itself; -trimpath and an empty build id leave nothing of this machine in the binary.
func (r *releaseRun) buildBinary(ctx context.Context, t buildTarget) (string, error) {
	name := "agentsync"
	if t.os == "windows" {
		name += ".exe"
	}
	binary := filepath.Join(r.work, t.String(), name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-o", binary,
		"-ldflags", "-s -w -buildid= -X agentsync/internal/cli.Version="+r.version, ".")
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1",
		"GOARM64=v8.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s: %w\n%s", t, err, out)
	}
	return binary, nil
}

// completionScripts returns the completion scripts by the name that each shell looks for. They are the same for
// every target, so the binary of this machine prints them.
func (r *releaseRun) completionScripts(ctx context.Context) (map[string][]byte, error) {
	binary, err := r.buildBinary(ctx, buildTarget{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	scripts := map[string][]byte{}
	for shell, file := range map[string]string{
		"bash": "agentsync.bash", "zsh": "_agentsync", "fish": "agentsync.fish", "powershell": "agentsync.ps1",
	} {
		cmd := exec.CommandContext(ctx, binary, "completion", shell)
		cmd.Dir = r.work // no agentsync.yaml and no manifests of this machine
		if scripts[file], err = cmd.Output(); err != nil {
			return nil, fmt.Errorf("completion %s: %w", shell, err)
		}
	}
	return scripts, nil
}

// writeSBOM writes the list of modules that the binary for one target is made of, as the binary itself says.
func (r *releaseRun) writeSBOM(ctx context.Context, t buildTarget, binary string) error {
	tool, err := r.toolPath(ctx, "cyclonedx-gomod")
	if err != nil {
		return err
	}
	// No serial number and no time of writing: both would differ from run to run.
	cmd := exec.CommandContext(ctx, tool, "bin", "-json", "-licenses", "-std", "-noserial", "-notimestamp",
		"-version", r.version, "-output", r.assetPath(t.String()+".cdx.json"), binary)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("SBOM for %s: %w\n%s", t, err, out)
	}
	return nil
}

// toolPath returns the path of a tool that go.mod pins, built for this machine.
func (r *releaseRun) toolPath(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "-n", name).Output()
	if err != nil {
		return "", fmt.Errorf("find the tool %s: %w", name, err)
	}
	return string(out[:len(out)-1]), nil
}
