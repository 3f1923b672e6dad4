package archtest_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
	"github.com/mullama/mullama/internal/testmodels"
)

var update = flag.Bool("update", false, "write what the documents' examples print into them")

// TestExamplesOfTheDocumentsRun runs the examples of every document and compares their output with
// the one shown. Run are "$ bin/mullama …" and "$ go run ./examples/…" in console blocks,
// with the demo's model as $MODEL, and others. With -update, outputs without "..." are written
// anew.
func TestExamplesOfTheDocumentsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a model")
	}
	if _, err := os.Stat(filepath.Join(repoRoot, "bin", "mullama")); err != nil {
		t.Skip("bin/mullama is not built; make build")
	}
	t.Setenv("MODEL", testmodels.Path(t, "smollm2"))
	t.Setenv("EMBED_MODEL", testmodels.Path(t, "minilm-q8"))
	t.Setenv("CHAT_MODEL", testmodels.Path(t, "qwen05"))
	ran := 0
	for _, f := range repoFiles(t) {
		if filepath.Ext(f.Path) == ".md" {
			ran += runDocument(t, f)
		}
	}
	t.Logf("%d examples ran", ran)
}

func runDocument(t *testing.T, f archtest.File) (ran int) {
	fresh := f.Text
	examples := archtest.Examples(f.Text)
	slices.Reverse(examples) // a rewritten output moves the lines after it
	for _, example := range examples {
		if !isRunnable(example.Command) {
			continue
		}
		ran++
		t.Run(example.Command, func(t *testing.T) {
			printed := runExample(t, f.Path, example)
			if *update && !strings.Contains(strings.Join(example.Output, "\n"), "...") {
				fresh = archtest.ReplaceOutput(fresh, example, printed)
			} else if err := archtest.MatchOutput(example.Output, printed); err != nil {
				t.Errorf("%s:%d: %v", f.Path, example.Line, err)
			}
		})
	}
	if fresh != f.Text {
		if err := os.WriteFile(filepath.Join(repoRoot, f.Path), []byte(fresh), 0o644); err != nil {
			t.Error(err)
		}
	}
	return ran
}

func isRunnable(command string) bool {
	return strings.HasPrefix(command, "bin/mullama") ||
		strings.HasPrefix(command, "go run ./examples/")
}

func runExample(t *testing.T, file string, example archtest.Example) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", example.Command)
	cmd.Dir = repoRoot
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s:%d: %v\n%s", file, example.Line, err, stderr.String())
	}
	return string(printed)
}
