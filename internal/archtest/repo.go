package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Problem is one place that breaks a rule.
type Problem struct {
	File string // path in the repository
	Line int    // 0: the whole file
	Text string // what is wrong and what to do
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// File is a text file of the repository.
type File struct {
	Path string // with slashes, relative to the root
	Text string
}

// IsGo reports whether the file is Go source.
func (f File) IsGo() bool { return path.Ext(f.Path) == ".go" }

// IsC reports whether the file is C or C++ source.
func (f File) IsC() bool {
	return slices.Contains([]string{".c", ".h", ".cpp", ".hpp"}, path.Ext(f.Path))
}

// IsTest reports whether the file holds tests, which may be longer.
func (f File) IsTest() bool {
	return strings.HasSuffix(f.Path, "_test.go") || strings.HasPrefix(path.Base(f.Path), "test_")
}

// notOurs are folders that hold no sources of ours: results, other people's packages, data.
var notOurs = []string{".git", "bin", "build", "target", "node_modules", "__pycache__", ".venv",
	"mullama.egg-info", "testdata"}

// textKinds are the extensions of the files that are checked; files without one are too.
var textKinds = []string{"", ".go", ".c", ".h", ".cpp", ".hpp", ".md", ".txt", ".py", ".pyi",
	".js", ".mjs", ".ts", ".php", ".rs", ".sh", ".cmake", ".in", ".yml", ".yaml", ".toml", ".lock",
	".mod", ".sum", ".map", ".mk", ".json", ".svg"}

// ReadRepo returns the text files under root.
func ReadRepo(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(notOurs, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || !slices.Contains(textKinds, filepath.Ext(name)) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, File{Path: filepath.ToSlash(rel), Text: string(text)})
		return nil
	})
	return files, err
}

// find returns the text of one file.
func find(files []File, name string) (string, bool) {
	for _, f := range files {
		if f.Path == name {
			return f.Text, true
		}
	}
	return "", false
}
