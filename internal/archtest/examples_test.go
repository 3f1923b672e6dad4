package archtest_test

import (
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/archtest"
	"github.com/mullama/mullama/internal/testmodels"
	"github.com/mullama/mullama/internal/testregistry"
)

var update = flag.Bool("update", false, "write what the documents' examples print into them")

// TestExamplesOfTheDocumentsRun runs the examples of every document and compares their output with
// the one shown. Run are "$ bin/mullama …" and "$ go run ./examples/…" in console blocks,
// with the demo's model as $MODEL, and others, and an empty folder as $DIR. With -update, outputs
// that are shown whole are written anew, but not those of commands that failed.
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
	t.Setenv("DIR", t.TempDir())
	environment := exampleWorld(t)
	ran := 0
	for _, f := range repoFiles(t) {
		if filepath.Ext(f.Path) == ".md" {
			ran += runDocument(t, f, environment)
		}
	}
	t.Logf("%d examples ran", ran)
}

func runDocument(t *testing.T, f archtest.File, environment []string) (ran int) {
	fresh := f.Text
	examples := archtest.Examples(f.Text)
	printed := make([]string, len(examples)) // in the order of the document
	succeeded := make([]bool, len(examples))
	for i, example := range examples {
		if isRunnable(example.Command) {
			ran++
			succeeded[i] = t.Run(example.Command, func(t *testing.T) {
				printed[i] = runExample(t, f.Path, example, environment)
			})
		}
	}
	for i, example := range slices.Backward(examples) { // an output moves the lines after it
		if !succeeded[i] {
			continue
		}
		t.Run("output of "+example.Command, func(t *testing.T) {
			if *update && !archtest.Shortened(example.Output, printed[i]) {
				fresh = archtest.ReplaceOutput(fresh, example, printed[i])
			} else if err := archtest.MatchOutput(example.Output, printed[i]); err != nil {
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

// exampleWorld is the environment of the examples: a store, a cache folder and an address of their
// own, and in place of Ollama's registry one that has the demo's model as smollm2:135m. A daemon
// that an example starts is stopped at the end.
func exampleWorld(t *testing.T) []string {
	t.Helper()
	var version struct{ Library string }
	printed := runProgram(t, nil, "version", "--json")
	if err := json.Unmarshal([]byte(printed), &version); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	environment := []string{"MULLAMA_HOST=" + address,
		"MULLAMA_CACHE=" + filepath.Join(dir, "cache"),
		"MULLAMA_LIBRARY=" + filepath.Dir(version.Library), "MULLAMA_CONFIG=" + os.DevNull,
		"MULLAMA_MODELS=" + filepath.Join(dir, "models")}
	t.Cleanup(func() { runProgram(t, environment, "daemon", "stop") })
	return append(environment, standInRegistry(t, environment)...)
}

// standInRegistry answers for Ollama's registry with the demo's model.
func standInRegistry(t *testing.T, environment []string) []string {
	t.Helper()
	const registry, name = "registry.ollama.ai", "smollm2:135m"
	folder := t.TempDir()
	runProgram(t, environment, "import", os.Getenv("MODEL"), name, "--models", folder)
	manifest, err := os.ReadFile(filepath.Join(folder, "manifests", registry, "library",
		strings.Replace(name, ":", "/", 1)))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(folder, "blobs", "*"))
	var blobs [][]byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	r := testregistry.New(t)
	r.Add("library/smollm2", "135m", manifest, blobs...)
	return r.StandIn(t, registry)
}

// runProgram runs bin/mullama and returns what it prints.
func runProgram(t *testing.T, environment []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join("bin", "mullama"), args...)
	cmd.Path = filepath.Join(repoRoot, "bin", "mullama")
	cmd.Env = append(os.Environ(), environment...)
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(printed)
}

func isRunnable(command string) bool {
	return strings.HasPrefix(command, "bin/mullama") ||
		strings.HasPrefix(command, "go run ./examples/")
}

func runExample(
	t *testing.T, file string, example archtest.Example, environment []string,
) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", example.Command)
	cmd.Dir = repoRoot
	if strings.HasPrefix(example.Command, "bin/") { // go has to do with other hosts
		cmd.Env = append(os.Environ(), environment...)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s:%d: %v\n%s", file, example.Line, err, stderr.String())
	}
	return string(printed)
}
