// Command bindgen writes the parts of bindings that follow from include/mullama.h.
//
//	go run ./tools/bindgen [-check]
//
// It reads the declarations of the header and writes
//
//   - bindings/rust/mullama-sys/src/bindings.rs: structs, constants, and a table of the functions,
//     which is filled when the library is loaded;
//   - bindings/php/src/mullama.ffi.h: the declarations as PHP's FFI::cdef takes them.
//
// It understands what the header uses and no more: everything else is an error with its line, so a
// new kind of declaration is never left out silently. With -check nothing is written, and a file
// that is not what the header makes of it is an error.
//
// The exit status is 0 on success, 1 after an error and 2 after a wrong argument.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const headerPath = "include/mullama.h"

// outputs says which file is written by what.
var outputs = []struct {
	path  string
	write func(*header) string
}{
	{"bindings/rust/mullama-sys/src/bindings.rs", rust},
	{"bindings/php/src/mullama.ffi.h", php},
}

func main() { os.Exit(run(os.Args[1:], ".", os.Stdout, os.Stderr)) }

// run works on the checkout whose root folder is given.
func run(args []string, root string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("bindgen", flag.ContinueOnError)
	flags.SetOutput(errOut)
	check := flags.Bool("check", false, "write nothing; fail when a file is stale")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(errOut, "bindgen: takes no argument %q\n", flags.Arg(0))
		return 2
	}
	if err := generate(root, *check, out); err != nil {
		fmt.Fprintln(errOut, "bindgen:", err)
		return 1
	}
	return 0
}

func generate(root string, check bool, out io.Writer) error {
	source, err := os.ReadFile(filepath.Join(root, headerPath))
	if err != nil {
		return fmt.Errorf("%w (run bindgen in the root of the repository)", err)
	}
	h, err := parse(string(source))
	if err != nil {
		return fmt.Errorf("%s:%w", headerPath, err)
	}
	var stale []error
	for _, output := range outputs {
		name := filepath.Join(root, filepath.FromSlash(output.path))
		fresh := []byte(output.write(h))
		if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, fresh) {
			continue
		}
		if check {
			err := fmt.Errorf("%s is stale: go run ./tools/bindgen", output.path)
			stale = append(stale, err)
			continue
		}
		if err := write(name, fresh); err != nil {
			return err
		}
		fmt.Fprintln(out, "wrote", output.path)
	}
	return errors.Join(stale...)
}

func write(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}
