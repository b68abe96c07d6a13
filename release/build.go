package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// build compiles the tool for one target and returns the binary's path. The build records the commit and
// its time by itself; -trimpath and an empty build id leave nothing of this machine in the binary.
func (r *release) build(ctx context.Context, t target) (string, error) {
	name := "agentsync"
	if t.os == "windows" {
		name += ".exe"
	}
	binary := filepath.Join(r.work, t.String(), name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-o", binary,
		"-ldflags", "-s -w -buildid= -X agentsync/internal/cli.Version="+r.version, ".")
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1", "GOARM64=v8.0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build for %s: %w\n%s", t, err, out)
	}
	return binary, nil
}

// completions returns the completion scripts by the name that each shell looks for. They are the same for
// every target, so the binary of this machine prints them.
func (r *release) completions(ctx context.Context) (map[string][]byte, error) {
	binary, err := r.build(ctx, target{runtime.GOOS, runtime.GOARCH})
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

// sbom writes the list of modules that the binary for one target is made of, as the binary itself says.
func (r *release) sbom(ctx context.Context, t target, binary string) error {
	tool, err := r.tool(ctx, "cyclonedx-gomod")
	if err != nil {
		return err
	}
	// No serial number and no time of writing: both would differ from run to run.
	cmd := exec.CommandContext(ctx, tool, "bin", "-json", "-licenses", "-std", "-noserial", "-notimestamp",
		"-version", r.version, "-output", r.asset(t.String()+".cdx.json"), binary)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("SBOM for %s: %w\n%s", t, err, out)
	}
	return nil
}

// tool returns the path of a tool that go.mod pins, built for this machine.
func (r *release) tool(ctx context.Context, name string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "tool", "-n", name).Output()
	if err != nil {
		return "", fmt.Errorf("find the tool %s: %w", name, err)
	}
	return string(out[:len(out)-1]), nil
}
