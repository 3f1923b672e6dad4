package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheTableCountsTheGroupsOfEveryLanguage(t *testing.T) {
	results, vectors := t.TempDir(), t.TempDir()
	readme := filepath.Join(t.TempDir(), "README.md")
	write(t, filepath.Join(vectors, "echo.json"), `{"cases":[{"name":"tokens","group":"tokenize"},
		{"name":"more","group":"tokenize"},{"name":"a chat","group":"chat"}]}`)
	write(t, filepath.Join(vectors, "smollm2.json"), `{"cases":[{"name":"a limit","group":"x"}]}`)
	write(t, filepath.Join(vectors, "minilm.json"), `{"cases":[{"name":"a row","group":"y"}]}`)
	write(t, filepath.Join(vectors, "ranker.json"), `{"cases":[]}`)
	write(t, filepath.Join(results, "b.json"), `{"language":"Rust","passed":5,"cases":
		{"echo/a chat":"passed","echo/tokens":"passed","echo/more":"passed",
		"smollm2/a limit":"passed","minilm/a row":"passed"}}`)
	write(t, filepath.Join(results, "a.json"), `{"language":"PHP","passed":1,"failed":1,
		"skipped":[{"name":"smollm2/a limit","reason":"no model"},
		{"name":"echo/more","reason":"no more"}],"cases":
		{"echo/a chat":"failed","echo/tokens":"passed","echo/more":"skipped",
		"smollm2/a limit":"skipped"}}`)
	write(t, readme, "# Bindings\n\n"+begin+"old\n"+end+"\nThe end.\n")
	if run([]string{"-check", results, vectors, readme}, io.Discard) != 1 {
		t.Error("the stale table was not found")
	}
	if run([]string{results, vectors, readme}, io.Discard) != 0 {
		t.Fatal("the table was not written")
	}
	if run([]string{"-check", results, vectors, readme}, io.Discard) != 0 {
		t.Error("the fresh table is called stale")
	}
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Bindings\n\n" + begin + `
| run | group | cases | PHP | Rust |
|---|---|--:|:-:|:-:|
| echo | tokenize | 2 | 1 | ✓ |
| echo | chat | 1 | ✗ | ✓ |
| smollm2 | x | 1 | – | ✓ |
| minilm | y | 1 |   | ✓ |
| daemon | x | 1 |   |   |
| daemon | y | 1 |   |   |
| **passed** | | | 1 | 5 |
| **skipped** | | | 2 | 0 |

- smollm2 (PHP): no model: 1 case; "a limit"
- echo (PHP): no more: 1 case; "more"

` + end + "\nThe end.\n"
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
	}
}

func TestVectorsWithoutAGroupAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "echo.json"), `{"cases":[{"name":"a"}]}`)
	if _, err := readRows(dir); err == nil || !strings.Contains(err.Error(), "no group") {
		t.Errorf("they were read: %v", err)
	}
}

func TestBadResultsAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":     `{`,
		"no language": `{"cases":{"a":"passed"}}`,
		"no cases":    `{"language":"C"}`,
		"no reason":   `{"language":"C","cases":{"a":"skipped"},"skipped":[{"name":"a"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a.json"), text)
			if _, err := readResults(dir); err == nil {
				t.Error("they were read")
			}
		})
	}
	_, err := readResults(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "no results") {
		t.Errorf("an empty folder: %v", err)
	}
}
