package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// The tests make a release of this checkout twice and hold what came out against what people do with it.
// RELEASE_ALL=1 makes it for every target; otherwise for Linux on this machine's processor.

const version = "v0.0.1"

// madeTwice makes the release in two folders.
func madeTwice(t *testing.T) (first, second string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("packages and image are read on Linux")
	}
	first, second = filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist")
	for _, out := range []string{first, second} {
		args := []string{"-version", version, "-dirty", "-out", out}
		if os.Getenv("RELEASE_ALL") == "" {
			args = append(args, "-only", "linux_"+runtime.GOARCH)
		}
		if err := runRelease(t.Context(), args); err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}

func TestRelease(t *testing.T) {
	first, second := madeTwice(t)
	asset := func(suffix string) string {
		return filepath.Join(first, "agentsync_0.0.1_linux_"+runtime.GOARCH+suffix)
	}
	t.Run("the same commit gives the same bytes", func(t *testing.T) {
		one, two := contents(t, first), contents(t, second)
		if len(one) < 6 {
			t.Fatalf("only %v were made", slices.Sorted(maps.Keys(one)))
		}
		for name := range one {
			if !bytes.Equal(one[name], two[name]) {
				t.Errorf("%s differs between two runs", name)
			}
		}
	})
	t.Run("the sums are those of the files", func(t *testing.T) {
		cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		cmd.Dir = first
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if want := len(contents(t, first)) - 1; strings.Count(string(out), ": OK") != want {
			t.Errorf("%d files are summed, want %d:\n%s", strings.Count(string(out), ": OK"), want, out)
		}
	})
	t.Run("the archive's program does the README's main job", func(t *testing.T) {
		folder := t.TempDir()
		unpack(t, asset(".tar.gz"), folder)
		for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "completions/agentsync.bash",
			"completions/_agentsync"} {
			if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		binary := filepath.Join(folder, "agentsync")
		wantVersion(t, binary)
		demo := exec.Command("bash", "testdata/demo.sh", binary)
		demo.Dir = ".."
		out, err := demo.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "6 to create") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("each archive holds a program of its target", func(t *testing.T) {
		made := allTargets
		if os.Getenv("RELEASE_ALL") == "" {
			made = []buildTarget{{"linux", runtime.GOARCH}}
		}
		for _, to := range made {
			folder, program, suffix := t.TempDir(), "agentsync", ".tar.gz"
			if to.os == "windows" {
				program, suffix = "agentsync.exe", ".zip"
			}
			unpack(t, filepath.Join(first, "agentsync_0.0.1_"+to.String()+suffix), folder)
			wantProgram(t, filepath.Join(folder, program), to)
			for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/tutorial.md",
				"docs/terminal.svg",
				"completions/agentsync.ps1"} {
				if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() == 0 {
					t.Errorf("%s: %s: %v", to, name, err)
				}
			}
			if to.os != "linux" {
				continue
			}
			wantDeb(t, filepath.Join(first, "agentsync_0.0.1_"+to.String()+".deb"), to)
			rpm, err := os.ReadFile(filepath.Join(first, "agentsync_0.0.1_"+to.String()+".rpm"))
			if err != nil || !bytes.HasPrefix(rpm, []byte{0xed, 0xab, 0xee, 0xdb}) {
				t.Errorf("%s: the .rpm is none: %v", to, err)
			}
		}
	})
	t.Run("the .deb installs into a root", func(t *testing.T) {
		if _, err := exec.LookPath("dpkg"); err != nil {
			t.Skip("no dpkg on this machine")
		}
		root := t.TempDir()
		for _, name := range []string{"info/format", "status", "available"} {
			content := map[string]string{"info/format": "1\n"}[name]
			if err := writeFile(filepath.Join(root, "var/lib/dpkg", name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		dpkg := func(args ...string) string {
			t.Helper()
			args = append([]string{"--root=" + root, "--log=/dev/null", "--force-not-root",
				"--force-script-chrootless"},
				args...)
			out, err := exec.Command("dpkg", args...).CombinedOutput()
			if err != nil {
				t.Fatalf("dpkg %s: %v\n%s", args, err, out)
			}
			return string(out)
		}
		dpkg("--install", asset(".deb"))
		wantVersion(t, filepath.Join(root, "usr/bin/agentsync"))
		if status := dpkg("--status", "agentsync"); !strings.Contains(status, "\nStatus: install ok installed\n") {
			t.Errorf("dpkg says\n%s", status)
		}
		dpkg("--purge", "agentsync")
		if _, err := os.Stat(filepath.Join(root, "usr/bin/agentsync")); !os.IsNotExist(err) {
			t.Errorf("after its removal the program is there: %v", err)
		}
	})
	t.Run("the SBOM names the libraries that are linked", func(t *testing.T) {
		var bom struct {
			Metadata   struct{ Component struct{ Version string } }
			Components []struct{ Name string }
		}
		b, err := os.ReadFile(asset(".cdx.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &bom); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range bom.Components {
			names = append(names, c.Name)
		}
		if bom.Metadata.Component.Version != version || !slices.Contains(names, "gopkg.in/yaml.v3") {
			t.Errorf("version %q, components %v", bom.Metadata.Component.Version, names)
		}
	})
	t.Run("the image holds the program and the certificates", func(t *testing.T) {
		wantImage(t, filepath.Join(first, "agentsync_0.0.1_image.oci.tar"))
	})
}

// TestBadVersion: a version that no package manager could compare is refused before anything is deleted.
func TestBadVersion(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "kept"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "0.1.0", "v1", "latest", "v1.0.0 x"} {
		if err := runRelease(t.Context(), []string{"-version", bad, "-out", out}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "kept")); err != nil {
		t.Error(err)
	}
}

func wantVersion(t *testing.T, binary string) {
	t.Helper()
	out, err := exec.Command(binary, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "agentsync "+version+" ") {
		t.Errorf("%v: %s", err, out)
	}
}

// wantProgram expects a static program of the target, by what Go writes into each.
func wantProgram(t *testing.T, path string, to buildTarget) {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Errorf("%s: %v", to, err)
		return
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	if got["GOOS"] != to.os || got["GOARCH"] != to.arch || got["CGO_ENABLED"] != "0" {
		t.Errorf("%s: the program was built with %v", to, info.Settings)
	}
}

// wantDeb expects a package of the target.
func wantDeb(t *testing.T, path string, to buildTarget) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		return // the next machine has it
	}
	fields, err := exec.Command("dpkg-deb", "--field", path, "Package", "Version", "Architecture").Output()
	want := "Package: agentsync\nVersion: 0.0.1\nArchitecture: " + to.arch + "\n"
	if err != nil || string(fields) != want {
		t.Errorf("%v\n%s", err, fields)
	}
}

func wantImage(t *testing.T, path string) {
	folder := t.TempDir()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	extract(t, f, folder)
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(outer.Manifests) != 1 || outer.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "0.0.1" {
		t.Fatalf("the layout holds %+v", outer.Manifests)
	}
	if index, err = index.ImageIndex(outer.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		to := buildTarget{m.Platform.OS, m.Platform.Architecture}
		platforms = append(platforms, to.String())
		img, err := index.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(config.Config.Entrypoint, []string{"/usr/bin/agentsync"}) || config.Config.User == "" ||
			config.Architecture != to.arch {
			t.Errorf("%s: config %+v", to, config)
		}
		wantLayer(t, img, to)
	}
	want := []string{"linux_" + runtime.GOARCH}
	if os.Getenv("RELEASE_ALL") != "" {
		want = []string{"linux_amd64", "linux_arm64"}
	}
	if !slices.Equal(platforms, want) {
		t.Errorf("the image is for %v, want %v", platforms, want)
	}
}

// wantLayer expects an image's one layer to hold the program of the target and the certificates, and nothing else.
func wantLayer(t *testing.T, img v1.Image, to buildTarget) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers: %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	folder := t.TempDir()
	names := extract(t, r, folder)
	if info, err := os.Stat(filepath.Join(folder, "etc/ssl/certs/ca-certificates.crt")); err != nil ||
		info.Size() < 50_000 {
		t.Errorf("too few certificates: %v %v", info, err)
	}
	if !slices.Equal(names, []string{"etc/ssl/certs/ca-certificates.crt", "usr/bin/agentsync"}) {
		t.Errorf("%s: the image holds %v", to, names)
	}
	wantProgram(t, filepath.Join(folder, "usr/bin/agentsync"), to)
}

func contents(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func unpack(t *testing.T, path, folder string) {
	t.Helper()
	if strings.HasSuffix(path, ".zip") {
		r, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if err := os.CopyFS(folder, r); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	extract(t, r, folder)
}

// extract writes the files of a tar into folder and returns their names. Go reads a tar that is cut where its end
// should stand, and others do not: there are two blocks of zeros.
func extract(t *testing.T, r io.Reader, folder string) []string {
	t.Helper()
	whole, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(whole)%512 != 0 || !bytes.HasSuffix(whole, make([]byte, 1024)) {
		t.Errorf("a tar of %d bytes without an end", len(whole))
	}
	var names []string
	for archive := tar.NewReader(bytes.NewReader(whole)); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(folder, filepath.FromSlash(header.Name)), content,
			os.FileMode(header.Mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// writeFile writes a file and makes its folder.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, mode)
}

// TestModulePath gives a copy of the checkout the path of a repository: each import is found. With RELEASE_ALL=1 it is
// built, and the rules of the house hold.
func TestModulePath(t *testing.T) {
	const path = "github.com/some-owner/agentsync"
	dir := filepath.Join(t.TempDir(), "copy")
	files, err := exec.Command("git", "-C", "..", "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := func(folder string, command ...string) string {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Dir = filepath.Join(dir, folder)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
		return string(out)
	}
	in(".", "git", "init", "-q")
	in(".", "git", "add", "-A")
	in(".", "bash", "release/module-path.sh", path)
	if got := in(".", "go", "list", "-m"); got != path+"\n" {
		t.Errorf("the module is %q", got)
	}
	in("release", "go", "list", "-deps", "-test", "./...")
	if left := in(".", "bash", "-c",
		`git grep -nE "[\"' ]agentsync/internal/" -- '*.go' '*.go.txt' '*.sh' Makefile '*.yml' || true`); left != "" {
		t.Errorf("the old path is left in\n%s", left)
	}
	if os.Getenv("RELEASE_ALL") == "" {
		return
	}
	in(".", "go", "test", "./internal/archtest")
	version := in(".", "go", "run", "-ldflags", "-X "+path+"/internal/cli.Version=v9.8.7", ".", "version")
	if !strings.Contains(version, "v9.8.7") {
		t.Errorf("a build says that it is %q", version)
	}
}
