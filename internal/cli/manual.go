package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Command returns all commands with their flags, help texts and examples, for man pages and for tests
// of the texts. It is there to be read: Run is what runs a command.
func Command() *cobra.Command {
	a := &app{env: map[string]string{}, streams: Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}}
	root := a.rootCommand()
	root.InitDefaultCompletionCmd()
	return root
}
