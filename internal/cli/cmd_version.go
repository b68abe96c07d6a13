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
	Version  string `json:"version"`  // v0.1.0, or "dev"
	Commit   string `json:"commit"`   // whole, or empty where no checkout was built
	Time     string `json:"time"`     // of the commit, RFC 3339, or empty
	Modified bool   `json:"modified"` // the checkout had changes
}

// thisBuild reads what Go recorded.
var thisBuild = sync.OnceValue(func() build {
	b := build{Version: Version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if v := info.Main.Version; b.Version == "" && !strings.HasPrefix(v, "v0.0.0-") && v != "(devel)" {
		b.Version = v // a tag, or what 'go install module@version' was told
	}
	if b.Version == "" {
		b.Version = "dev"
	}
	return b
})

// id tells builds apart: a saved plan is carried out by the build that made it alone. Where no commit says
// what was built, the program's own bytes do.
func (b build) id() string {
	if b.Commit != "" && !b.Modified {
		return b.Version + "+" + b.Commit
	}
	path, err := os.Executable()
	if err != nil {
		return b.Version
	}
	f, err := os.Open(path)
	if err != nil {
		return b.Version
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return b.Version
	}
	return fmt.Sprintf("%s+%x", b.Version, sum.Sum(nil)[:16])
}

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the version, the commit that was built and its time, as Go recorded them. "modified" says that the
checkout had changes.`,
		Example: `  agentsync version
  agentsync version --format json`,
	}
	format := flags.Format(cmd, flags.Text, flags.JSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		parts := []string{}
		if b.Commit != "" {
			parts = append(parts, "commit "+b.Commit[:min(12, len(b.Commit))])
		}
		if b.Modified {
			parts = append(parts, "modified")
		}
		if b.Time != "" {
			parts = append(parts, b.Time)
		}
		parts = append(parts, fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH))
		return answer(a.UI, format, struct {
			FormatVersion string `json:"formatVersion"`
			build
			Go   string `json:"go"`
			OS   string `json:"os"`
			Arch string `json:"arch"`
		}{report.FormatVersion, b, runtime.Version(), runtime.GOOS, runtime.GOARCH},
			fmt.Sprintf("agentsync %s (%s)\n", b.Version, strings.Join(parts, ", ")))
	}
	return cmd
}
