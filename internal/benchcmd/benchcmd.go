// Package benchcmd is the command line of mullama-bench.
//
// Each verb is a file of this package and does its work through another package.
package benchcmd

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Main runs the command line and returns the exit status: 0, or 1 after an error.
func Main(args []string, out, errOut io.Writer) int {
	root := New()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(errOut, "mullama-bench:", err)
		return 1
	}
	return 0
}

// New returns the command with its verbs.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:           "mullama-bench",
		Short:         "Make what benchmarks of Mullama need",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newSynth())
	return root
}
