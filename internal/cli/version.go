package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// versionLine is what version prints as JSON. Engine and Library are empty when the native library
// cannot be used.
type versionLine struct {
	Version string `json:"version"`
	Engine  string `json:"engine"`
	Library string `json:"library"`
}

// versionCommand builds `mullama version`.
func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of mullama and its engine",
		Args:  nothing,
		RunE:  func(*cobra.Command, []string) error { return a.version(asJSON) },
	}
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

// nothing is a check for commands without arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, as %q is one", cmd.Name(), args[0])
	}
	return nil
}

// version prints the versions. A missing native library is a line here, not an error.
func (a *app) version(asJSON bool) error {
	line := versionLine{Version: mullama.Version()}
	engine, err := a.openEngine()
	if err == nil {
		defer engine.Close()
		info := engine.Engine()
		line.Engine, line.Library = info.Version, info.Library
	}
	if asJSON {
		return a.printJSON(line)
	}
	rows := table(a.stdout)
	fmt.Fprintf(rows, "mullama\t%s\n", line.Version)
	if err != nil {
		fmt.Fprintf(rows, "engine\t%s\n", engineProblem(err))
	} else {
		fmt.Fprintf(rows, "engine\t%s\nlibrary\t%s\n", line.Engine, line.Library)
	}
	rows.end()
	return nil
}

// engineProblem says in a few words why there is no engine.
func engineProblem(err error) string {
	if errors.Is(err, mullama.ErrLibraryMissing) {
		return "not found; 'mullama doctor' says what to do"
	}
	return err.Error()
}
