// Command report writes the tables of docs/benchmarks.md from the files in bench/results. It runs
// in the bench folder, as `go generate ./bench` does, and in the folder of the module.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mullama/mullama/bench"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "report: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	module, err := moduleDir()
	if err != nil {
		return err
	}
	results, err := bench.ReadResults(filepath.Join(module, "bench", "results"))
	if err != nil {
		return err
	}
	path := filepath.Join(module, "docs", "benchmarks.md")
	document, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fresh, err := bench.Refresh(document, bench.Report(results))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, fresh, 0o644)
}

// moduleDir returns the nearest folder upwards that holds go.mod.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return "", fmt.Errorf("find go.mod: %w", err)
		}
		dir = filepath.Dir(dir)
	}
}
