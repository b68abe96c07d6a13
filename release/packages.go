package main

import (
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// packages writes a .deb and an .rpm with the binary, the documents, the licence and the completion scripts.
func (r *release) packages(t target, binary string, documents []string, completions map[string][]byte) error {
	places := map[string]string{
		binary:                             "/usr/bin/agentsync",
		filepath.Join(r.source, "LICENSE"): "/usr/share/doc/agentsync/copyright",
	}
	for _, name := range documents {
		if name != "LICENSE" {
			places[filepath.Join(r.source, name)] = "/usr/share/doc/agentsync/" + name
		}
	}
	for name, folder := range map[string]string{
		"agentsync.bash": "/usr/share/bash-completion/completions/agentsync",
		"_agentsync":     "/usr/share/zsh/vendor-completions/_agentsync",
		"agentsync.fish": "/usr/share/fish/vendor_completions.d/agentsync.fish",
	} {
		source := filepath.Join(r.work, name)
		if err := os.WriteFile(source, completions[name], 0o644); err != nil {
			return err
		}
		places[source] = folder
	}
	for _, format := range []string{"deb", "rpm"} {
		info := &nfpm.Info{
			Name: "agentsync", Arch: t.arch, Platform: "linux", Version: r.version, Section: "utils",
			Maintainer:  "The agentsync authors <agentsync@users.noreply.github.com>",
			Description: "Keep chat agents as YAML in git and sync them to CometChat and Mindset AI.",
			License:     "Apache-2.0", MTime: r.time,
		}
		info.RPM.BuildHost = "localhost" // else the name of this machine stands in the package
		for source, destination := range places {
			mode := os.FileMode(0o644)
			if source == binary {
				mode = 0o755
			}
			info.Contents = append(info.Contents, &files.Content{Source: source, Destination: destination,
				FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time}})
		}
		info = nfpm.WithDefaults(info)
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return err
		}
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		f, err := os.Create(r.asset(t.String() + "." + format))
		if err != nil {
			return err
		}
		if err := packager.Package(info, f); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
