package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"agentsync/internal/cli"
	"agentsync/internal/exit"
)

// TestFmtLocked: a file that may not be written stays as it is, although putting another in its place
// would be possible.
func TestFmtLocked(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write every file")
	}
	path := filepath.Join(t.TempDir(), "locked.yaml")
	const content = "version:   1\n"
	if err := os.WriteFile(path, []byte(content), 0o444); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), nil, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs},
		[]string{"fmt", path})
	if code != exit.Failed || out.Len() > 0 || !strings.Contains(errs.String(), filepath.Base(path)) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, &out, &errs)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("the file is %q, %v", got, err)
	}
}
