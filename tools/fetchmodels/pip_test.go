package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// offlinePip makes pip see only the files in a folder, whatever it is configured for.
func offlinePip(t *testing.T, files map[string][]byte) *pip {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", dir)
	p := &pip{}
	if err := p.find(t.Context()); err != nil {
		t.Skip(err)
	}
	return p
}

func TestPipFetchesWheelsByName(t *testing.T) {
	meta := "Metadata-Version: 2.1\nName: mullama-tiny\nVersion: 1.0\n"
	want := wheel(t, map[string]string{
		"mullama_tiny/data.bin":                "data",
		"mullama_tiny-1.0.dist-info/METADATA":  meta,
		"mullama_tiny-1.0.dist-info/WHEEL":     "Wheel-Version: 1.0\nTag: py3-none-any\n",
		"mullama_tiny-1.0.dist-info/RECORD":    "",
		"mullama_tiny-1.0.dist-info/top_level": "",
	})
	p := offlinePip(t, map[string][]byte{"mullama_tiny-1.0-py3-none-any.whl": want})
	path, err := p.download(t.Context(), "mullama-tiny==1.0", "", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != string(want) {
		t.Errorf("%s has %d bytes, want the %d of the wheel", path, len(got), len(want))
	}
}

func TestPipFetchesSourcesWithoutTheirBuildTools(t *testing.T) {
	want := tarball(t, map[string]string{
		"mullama_tiny-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: mullama-tiny\nVersion: 1.0\n",
		"mullama_tiny-1.0/pyproject.toml": "[build-system]\nrequires = [\"absent-tool\"]\n" +
			"build-backend = \"absent_tool.build\"\n",
	})
	p := offlinePip(t, map[string][]byte{"mullama_tiny-1.0.tar.gz": want})
	path, err := p.download(t.Context(), "mullama-tiny==1.0", "absent_tool.build", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); string(got) != string(want) {
		t.Errorf("%s has %d bytes, want the %d of the archive", path, len(got), len(want))
	}
}

func TestPipTellsWhatIsGone(t *testing.T) {
	p := offlinePip(t, nil)
	_, err := p.download(t.Context(), "mullama-no-such-package==1.0", "", t.TempDir())
	var gone *goneError
	if !errors.As(err, &gone) || gone.pkg != "mullama-no-such-package==1.0" {
		t.Errorf("got error %v, want a goneError", err)
	}
}

func TestIndexThatDoesNotAnswerIsNotGone(t *testing.T) {
	for output, want := range map[string]bool{
		"ERROR: No matching distribution found for x==1": true,
		"WARNING: Retrying (Retry(total=4)) after connection broken\n" +
			"ERROR: No matching distribution found for x==1": false,
		"ERROR: no space left on device": false,
	} {
		if got := isGone(output); got != want {
			t.Errorf("isGone(%q) = %v, want %v", output, got, want)
		}
	}
}
