package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// packedFile is one file of an archive.
type packedFile struct {
	name       string
	content    []byte
	executable bool
}

func (p packedFile) fileMode() int64 {
	if p.executable {
		return 0o755
	}
	return 0o644
}

// documentPaths returns what a person reads beside the binary, as paths in the checkout: the README links to the pages
// of docs.
func (r *releaseRun) documentPaths(ctx context.Context) ([]string, error) {
	list, err := r.runGit(ctx, "ls-files", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
		"action.yml", "docs")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Fields(list), func(name string) bool {
		return strings.HasSuffix(name, ".go")
	}), nil
}

// writeArchive packs the binary with what a person needs beside it: a zip for Windows, tar.gz elsewhere.
func (r *releaseRun) writeArchive(t buildTarget, binary string, documents []string,
	completions map[string][]byte) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	files := []packedFile{{name: filepath.Base(binary), content: content, executable: true}}
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return err
		}
		files = append(files, packedFile{name: name, content: text})
	}
	for _, name := range slices.Sorted(maps.Keys(completions)) {
		files = append(files, packedFile{name: "completions/" + name, content: completions[name]})
	}
	if t.os == "windows" {
		b, err := zipBytes(files, r.time)
		if err != nil {
			return err
		}
		return os.WriteFile(r.assetPath(t.String()+".zip"), b, 0o644)
	}
	b, err := tarBytes(files, r.time)
	if err != nil {
		return err
	}
	if b, err = gzipBytes(b); err != nil {
		return err
	}
	return os.WriteFile(r.assetPath(t.String()+".tar.gz"), b, 0o644)
}

func tarBytes(files []packedFile, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: f.fileMode(),
			ModTime: at,
			Format:  tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close() // writes what stands at the end; without it tar says that the archive is cut
	return b.Bytes(), err
}

func gzipBytes(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression) // its header says no name and no time
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

func zipBytes(files []packedFile, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		header.SetMode(os.FileMode(f.fileMode()))
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// writeChecksums writes SHA256SUMS, in the form that sha256sum --check reads, of every file in the folder.
func (r *releaseRun) writeChecksums() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	fmt.Print(sums.String())
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// writePackages writes a .deb and an .rpm with the binary, the documents, the licence and the completion scripts.
func (r *releaseRun) writePackages(t buildTarget, binary string, documents []string,
	completions map[string][]byte) error {
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
		f, err := os.Create(r.assetPath(t.String() + "." + format))
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
