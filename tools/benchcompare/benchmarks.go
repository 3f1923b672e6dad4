package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// testProgram is the name of a package's test program, beside its sources.
const testProgram = "benchcompare.test"

var benchmark = regexp.MustCompile(`(?m)^func Benchmark[A-Z]`)

// withBenchmarks returns the folders under root whose tests have benchmarks, sorted.
func withBenchmarks(root string) ([]string, error) {
	var folders []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root &&
			(entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || !benchmark.Match(data) {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
		return err
	})
	slices.Sort(folders)
	return folders, err
}

// throughputLines are our side's rows of a result as lines of benchmarks.
func throughputLines(result []byte) ([]byte, error) {
	var r struct {
		Rows []struct {
			Name  string  `json:"name"`
			Unit  string  `json:"unit"`
			Value float64 `json:"value"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return nil, fmt.Errorf("read the result of bench throughput: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprint(&b, "pkg: bench throughput\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "Benchmark/%s 1 %g %s\n", row.Name, row.Value, row.Unit)
	}
	return b.Bytes(), nil
}
