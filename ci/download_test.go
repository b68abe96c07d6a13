package ci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestReleasedBinary: the published binary is taken where its sum is right, also behind a redirect, and
// nothing of a file with another sum or of a cut one is run. A server without the release is no error for auto.
func TestReleasedBinary(t *testing.T) {
	t.Parallel()
	newRunner(t) // for the tools
	name := fmt.Sprintf("agentsync_9.8.7_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)
	good := archiveOf(t, "#!/bin/sh\necho agentsync v9.8.7 released\n")
	evil := archiveOf(t, "#!/bin/sh\necho stolen\n")
	sums := fmt.Sprintf("%x  other.tar.gz\n%x  %s\n", sha256.Sum256(evil), sha256.Sum256(good), name)
	cases := map[string]struct {
		serve         http.HandlerFunc // answers for the archive
		sums          string
		env           []string
		fails         bool
		want, wantNot string
	}{
		"the published file": {serve: bytesOf(good), sums: sums, want: "agentsync v9.8.7 released"},
		"behind a redirect":  {serve: redirect, sums: sums, want: "agentsync v9.8.7 released"},
		"another file": {serve: bytesOf(evil), sums: sums, fails: true, want: "is not the file that was published",
			wantNot: "stolen"},
		"cut short": {serve: bytesOf(good[:len(good)/2]), sums: sums, fails: true,
			want: "is not the file that was published"},
		"the connection ends":  {serve: hangUp(good), sums: sums, fails: true, want: "ended early"},
		"no sum for this file": {serve: bytesOf(good), sums: "", fails: true, want: "has no " + name},
		"not released": {sums: "none", env: []string{"INPUT_BUILD_FROM_SOURCE=false"}, fails: true,
			want: "not released"},
		"a server in trouble": {sums: "500", fails: true, want: "was answered 500"},
		"a version of another kind": {serve: bytesOf(good), sums: sums, env: []string{"INPUT_VERSION=latest"},
			fails: true,
			want:  "it must be like v0.1.0"},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("/dl/v9.8.7/SHA256SUMS", func(w http.ResponseWriter, _ *http.Request) {
				switch c.sums {
				case "none":
					w.WriteHeader(http.StatusNotFound)
				case "500":
					w.WriteHeader(http.StatusInternalServerError)
				default:
					_, _ = w.Write([]byte(c.sums))
				}
			})
			if c.serve != nil {
				mux.HandleFunc("/dl/v9.8.7/"+name, c.serve)
				mux.HandleFunc("/elsewhere", bytesOf(good))
			}
			server := httptest.NewServer(mux)
			defer server.Close()
			more := filepath.Join(t.TempDir(), "path")
			cmd := exec.Command("bash", abs(t, "install.sh"))
			cmd.Dir = t.TempDir()
			cmd.Env = append(withoutTool(t), "GITHUB_PATH="+more, "RUNNER_TEMP="+t.TempDir(),
				"INPUT_VERSION=v9.8.7", "INPUT_RELEASES_URL="+server.URL+"/dl")
			cmd.Env = append(cmd.Env, c.env...)
			out, err := cmd.CombinedOutput()
			if (err != nil) != c.fails || !strings.Contains(string(out), c.want) || c.wantNot != "" &&
				strings.Contains(string(out), c.wantNot) {
				t.Errorf("%v\n%s", err, out)
			}
			if _, err := os.Stat(more); c.fails && err == nil {
				t.Error("the folder is on PATH although nothing was installed")
			}
		})
	}
}

// withoutTool is the environment with nothing called agentsync on PATH.
func withoutTool(t *testing.T) []string {
	t.Helper()
	var folders []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(folder, "agentsync")); err != nil {
			folders = append(folders, folder)
		}
	}
	return append(os.Environ(), "PATH="+strings.Join(folders, string(filepath.ListSeparator)))
}

func archiveOf(t *testing.T, program string) []byte {
	t.Helper()
	var b bytes.Buffer
	packer := gzip.NewWriter(&b)
	w := tar.NewWriter(packer)
	if err := w.WriteHeader(&tar.Header{Name: "agentsync", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bytesOf(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/elsewhere", http.StatusFound)
}

// hangUp promises the whole file and ends in the middle of it.
func hangUp(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b[:len(b)/2])
		panic(http.ErrAbortHandler)
	}
}

// TestGitLabTakesRelease runs the template's own lines: a job has the released binary of the version that the ref
// names.
func TestGitLabTakesRelease(t *testing.T) {
	t.Parallel()
	newRunner(t) // for the tools
	name := fmt.Sprintf("agentsync_9.8.7_%s_%s.tar.gz", runtime.GOOS, runtime.GOARCH)
	good := archiveOf(t, "#!/bin/sh\necho agentsync v9.8.7 released\n")
	mux := http.NewServeMux()
	mux.HandleFunc("/dl/v9.8.7/SHA256SUMS", bytesOf(fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(good), name)))
	mux.HandleFunc("/dl/v9.8.7/"+name, bytesOf(good))
	server := httptest.NewServer(mux)
	defer server.Close()

	source := filepath.Join(t.TempDir(), "source")
	if err := os.CopyFS(filepath.Join(source, "ci"), os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for path, content := range map[string]string{
		filepath.Join(source, "ci", "version"): "v9.8.7\n",
		filepath.Join(bin, "apt-get"):          "#!/bin/sh\nexit 0\n", // the image's packages are this machine's
	} {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var template map[string]struct {
		BeforeScript []string `yaml:"before_script"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../docs/ci/gitlab.yml")), &template); err != nil {
		t.Fatal(err)
	}
	script := "set -eu\n" + strings.Join(template[".agentsync"].BeforeScript, "\n") + "\nagentsync version\n"
	cmd := exec.Command("bash", "-c", `git init -q -b v1 "$AGENTSYNC_REPOSITORY"; cd "$AGENTSYNC_REPOSITORY"; git add -A
		git -c user.name=t -c user.email=t@example.com commit -qm source; cd - >/dev/null; `+script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(withoutTool(t), "AGENTSYNC_REPOSITORY="+source, "AGENTSYNC_REF=v1",
		"AGENTSYNC_RELEASES="+server.URL+"/dl")
	for i, kv := range cmd.Env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			cmd.Env[i] = "PATH=" + bin + string(os.PathListSeparator) + path
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "agentsync v9.8.7 released") != 2 { // install.sh says it, and the job
		t.Errorf("%v\n%s", err, out)
	}
}
