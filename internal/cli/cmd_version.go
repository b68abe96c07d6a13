package cli

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"agentsync/internal/flags"
	"agentsync/internal/report"
)

// Version is what a release or the action calls this build (-ldflags -X). It is empty in a plain 'go build',
// whose version comes from what Go records of the checkout.
var Version string

// build is what is known of the build of this program.
type build struct {
	version  string // v0.1.0, or "dev"
	commit   string // whole, or empty where no checkout was built
	time     string // of the commit, RFC 3339, or empty
	modified bool   // the checkout had changes
}

// thisBuild reads what Go recorded.
var thisBuild = sync.OnceValue(func() build {
	b := build{version: Version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.time = s.Value
		case "vcs.modified":
			b.modified = s.Value == "true"
		}
	}
	if v := info.Main.Version; b.version == "" && !strings.HasPrefix(v, "v0.0.0-") && v != "(devel)" {
		b.version = v // a tag, or what 'go install module@version' was told
	}
	if b.version == "" {
		b.version = "dev"
	}
	return b
})

// id tells builds apart: a saved plan is carried out by the build that made it alone. Where no commit says
// what was built, the program's own bytes do.
func (b build) id() string {
	if b.commit != "" && !b.modified {
		return b.version + "+" + b.commit
	}
	path, err := os.Executable()
	if err != nil {
		return b.version
	}
	f, err := os.Open(path)
	if err != nil {
		return b.version
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return b.version
	}
	return fmt.Sprintf("%s+%x", b.version, sum.Sum(nil)[:16])
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version, the commit that was built and its time, as Go recorded them. "modified" says that the
checkout had changes.`,
		Example: `  agentsync version
  agentsync version --format json`,
		Args: cobra.NoArgs,
	}
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		if format.Value == flags.JSON {
			return a.JSON(struct {
				FormatVersion string `json:"formatVersion"`
				Version       string `json:"version"`
				Commit        string `json:"commit"`
				Time          string `json:"time"`
				Modified      bool   `json:"modified"`
				Go            string `json:"go"`
				OS            string `json:"os"`
				Arch          string `json:"arch"`
			}{report.FormatVersion, b.version, b.commit, b.time, b.modified, runtime.Version(), runtime.GOOS,
				runtime.GOARCH})
		}
		parts := []string{}
		if b.commit != "" {
			parts = append(parts, "commit "+b.commit[:min(12, len(b.commit))])
		}
		if b.modified {
			parts = append(parts, "modified")
		}
		if b.time != "" {
			parts = append(parts, b.time)
		}
		parts = append(parts, fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH))
		_, err := fmt.Fprintf(a.Result(), "agentsync %s (%s)\n", b.version, strings.Join(parts, ", "))
		return err
	}
	return cmd
}
