// Command parity writes the table of bindings/README.md from what the bindings' tests found.
//
//	go run ./tools/parity [-check] RESULTS VECTORS README
//
// RESULTS is a folder with a JSON file for each language, which `make test-bindings` fills, and
// VECTORS that of the cases. With -check the file stays as it is, and the exit status is 1 if the
// table in it is another.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, errOut io.Writer) int {
	flags := flag.NewFlagSet("parity", flag.ContinueOnError)
	flags.SetOutput(errOut)
	check := flags.Bool("check", false, "only say whether the table is fresh")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() != 3 {
		fmt.Fprintln(errOut, "usage: parity [-check] RESULTS VECTORS README")
		return 2
	}
	if err := update(flags.Args(), *check); err != nil {
		fmt.Fprintln(errOut, "parity:", err)
		return 1
	}
	return 0
}

func update(args []string, check bool) error {
	readme := args[2]
	all, err := readResults(args[0])
	if err != nil {
		return err
	}
	rows, err := readRows(args[1])
	if err != nil {
		return err
	}
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	fresh, err := replaceTable(string(old), table(rows, all))
	if err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	switch {
	case fresh == string(old):
		return nil
	case check:
		return fmt.Errorf("the table in %s is stale; run `make parity`", readme)
	}
	return os.WriteFile(readme, []byte(fresh), 0o600)
}
