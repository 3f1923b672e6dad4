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

func TestTheTableShowsEveryCaseOfEveryLanguage(t *testing.T) {
	results, readme := t.TempDir(), filepath.Join(t.TempDir(), "README.md")
	write(t, filepath.Join(results, "b.json"), `{"language":"Rust","passed":2,"cases":
		{"echo/a chat":"passed","echo/tokens":"passed"}}`)
	write(t, filepath.Join(results, "a.json"), `{"language":"PHP","passed":1,"failed":1,
		"skipped":[{"name":"smollm2/a limit","reason":"no model"}],"cases":
		{"echo/a chat":"failed","echo/tokens":"passed","smollm2/a limit":"skipped"}}`)
	write(t, readme, "# Bindings\n\n"+begin+"old\n"+end+"\nThe end.\n")
	if run([]string{"-check", results, readme}, io.Discard) != 1 {
		t.Error("the stale table was not found")
	}
	if run([]string{results, readme}, io.Discard) != 0 {
		t.Fatal("the table was not written")
	}
	if run([]string{"-check", results, readme}, io.Discard) != 0 {
		t.Error("the fresh table is called stale")
	}
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Bindings\n\n" + begin + `
| case | PHP | Rust |
|---|:-:|:-:|
| echo/a chat | ✗ | ✓ |
| echo/tokens | ✓ | ✓ |
| smollm2/a limit | – |   |
| **passed** | 1 | 2 |

- PHP skips "smollm2/a limit": no model

` + end + "\nThe end.\n"
	if string(data) != want {
		t.Errorf("got\n%s\nwant\n%s", data, want)
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
