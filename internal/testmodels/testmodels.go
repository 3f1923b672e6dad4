// Package testmodels finds the pinned model files that tests use.
//
// The files live in a cache folder outside the checkout. go run ./tools/fetchmodels puts them
// there; this package only looks. A test that needs a file calls [Path], [Vocabs] or [Templates]
// and is skipped, with the command to run, when the file is absent. With MULLAMA_REQUIRE_MODELS=1
// it fails instead, unless the package that carried the file has vanished from the index.
//
// Everything here may be called from any goroutine of a test.
package testmodels

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// RequireEnv is the environment variable that makes an absent file a failure instead of a skip.
const RequireEnv = "MULLAMA_REQUIRE_MODELS"

// Dir returns the folder of the test models: models in $MULLAMA_CACHE, or in the folder mullama of
// the user's cache folder.
func Dir() (string, error) {
	if cache := os.Getenv("MULLAMA_CACHE"); cache != "" {
		return filepath.Join(cache, "models"), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder (set MULLAMA_CACHE to choose one): %w", err)
	}
	return filepath.Join(cache, "mullama", "models"), nil
}

// Path returns the path of a model by the name it has in Sets, such as "smollm2".
func Path(t testing.TB, name string) string {
	t.Helper()
	return require(t, name)
}

// Vocab is a vocabulary-only GGUF file.
type Vocab struct {
	// Name is the tokenizer's name, such as "llama-spm".
	Name string
	// Path is the GGUF file.
	Path string
	// Input and Output are the golden texts and token ids; empty for the few without.
	Input, Output string
}

// Vocabs returns all vocabulary files, by name.
func Vocabs(t testing.TB) []Vocab {
	t.Helper()
	var vocabs []Vocab
	for _, path := range glob(t, require(t, "vocabs"), "ggml-vocab-*.gguf") {
		name := strings.TrimPrefix(filepath.Base(path), "ggml-vocab-")
		v := Vocab{Name: strings.TrimSuffix(name, ".gguf"), Path: path}
		if isFile(path+".inp") && isFile(path+".out") {
			v.Input, v.Output = path+".inp", path+".out"
		}
		vocabs = append(vocabs, v)
	}
	return vocabs
}

// Templates returns the paths of all chat templates, by name.
func Templates(t testing.TB) []string {
	t.Helper()
	return glob(t, require(t, "templates"), "*.jinja")
}

// Case is one golden text with its token ids.
type Case struct {
	Text   string
	Tokens []int32
}

// textEnd separates the texts of a golden input file.
const textEnd = "\n__ggml_vocab_test__\n"

// Cases reads the golden texts and ids of a vocabulary. It returns none if there are none.
func (v Vocab) Cases(t testing.TB) []Case {
	t.Helper()
	if v.Input == "" {
		return nil
	}
	texts := strings.Split(strings.TrimSuffix(readFile(t, v.Input), textEnd), textEnd)
	lines := strings.Split(strings.TrimSuffix(readFile(t, v.Output), "\n"), "\n")
	if len(texts) != len(lines) {
		t.Fatalf("%s has %d texts, %s has %d lines", v.Input, len(texts), v.Output, len(lines))
	}
	cases := make([]Case, len(texts))
	for i, text := range texts {
		cases[i] = Case{Text: text, Tokens: parseIDs(t, lines[i])}
	}
	return cases
}

func parseIDs(t testing.TB, line string) []int32 {
	t.Helper()
	var ids []int32
	for _, field := range strings.Fields(line) {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			t.Fatalf("golden token ids: %v", err)
		}
		ids = append(ids, int32(id))
	}
	return ids
}

// require returns where a set is and ends the test if it is absent.
func require(t testing.TB, name string) string {
	t.Helper()
	set, ok := Find(name)
	if !ok {
		t.Fatalf("no test model is named %q; see internal/testmodels/sets.go", name)
	}
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if set.Complete(dir) {
		return set.Path(dir)
	}
	message := fmt.Sprintf("test model %s is not in %s; run: go run ./tools/fetchmodels %s",
		name, dir, name)
	switch gone := Gone(dir, name); {
	case gone != "":
		t.Skipf("test model %s cannot be fetched any more: %s is gone", name, gone)
	case os.Getenv(RequireEnv) == "1":
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

func glob(t testing.TB, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
