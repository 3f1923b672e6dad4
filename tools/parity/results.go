package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mullama/mullama/conformance/vectors"
)

func readResults(dir string) ([]vectors.Results, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, fmt.Errorf("there are no results in %s", dir))
	}
	var all []vectors.Results
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var r vectors.Results
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if r.Language == "" || len(r.Cases) == 0 {
			return nil, fmt.Errorf("%s names no language, or has no cases", file)
		}
		for _, s := range r.Skipped {
			if s.Reason == "" {
				return nil, fmt.Errorf("%s: %q is skipped without a reason", file, s.Name)
			}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b vectors.Results) int {
		return strings.Compare(a.Language, b.Language)
	})
	return all, nil
}

// Between these lines of the README stands the table.
const (
	begin = "<!-- Written by `make parity` from the tests' results. Do not edit. -->\n"
	end   = "<!-- End of the table. -->\n"
)

func replaceTable(readme, table string) (string, error) {
	before, rest, ok := strings.Cut(readme, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", errors.New("the lines around the table are missing")
	}
	return before + begin + "\n" + strings.TrimRight(table, "\n") + "\n\n" + end + after, nil
}
