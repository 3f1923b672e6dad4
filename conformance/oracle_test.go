package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama/internal/llama"
)

// openLibrary opens the native library once for all tests, or skips the test.
func openLibrary(t *testing.T) *llama.Library {
	t.Helper()
	library, err := sharedLibrary()
	if errors.Is(err, llama.ErrLibrary) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return library
}

var sharedLibrary = sync.OnceValues(func() (*llama.Library, error) { return llama.Open("") })

// vocabs are the vocabularies that tests have loaded, by path. Loading takes longer than most of
// what is done with one, so each is loaded once and stays.
var vocabs struct {
	sync.Mutex
	models map[string]func() (*llama.Model, error)
}

// loadVocab gives the vocabulary of a model file.
func loadVocab(t *testing.T, path string) *llama.Model {
	t.Helper()
	library := openLibrary(t)
	params := library.DefaultModelParams()
	params.VocabOnly = true
	vocabs.Lock()
	if vocabs.models == nil {
		vocabs.models = map[string]func() (*llama.Model, error){}
	}
	if vocabs.models[path] == nil {
		vocabs.models[path] = sync.OnceValues(func() (*llama.Model, error) {
			return library.LoadModel(context.Background(), path, params)
		})
	}
	load := vocabs.models[path]
	vocabs.Unlock()
	model, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// An oracle runs mullama-oracle of the same build as the library.
type oracle struct{ path string }

func findOracle(t *testing.T) oracle {
	t.Helper()
	path := filepath.Join(filepath.Dir(openLibrary(t).Path()), "mullama-oracle")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the oracle program is missing (%v); build it with `make native`", err)
	}
	return oracle{path}
}

func (o oracle) run(t *testing.T, args ...string) []string {
	t.Helper()
	return o.start(t, args...)()
}

// start starts the oracle and returns what waits for its lines, which the test must call.
func (o oracle) start(t *testing.T, args ...string) (wait func() []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.path, args...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("mullama-oracle %s: %v\n%s", strings.Join(args, " "), err, problem.Bytes())
		}
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
}

// tokenize returns llama_tokenize's ids of each text.
func (o oracle) tokenize(t *testing.T, model string, texts []string,
	special, parse bool) [][]int32 {
	t.Helper()
	return o.ids(t, len(texts), "tokenize", model, writeRecords(t, texts),
		fmt.Sprintf("add_special=%d", number(special)),
		fmt.Sprintf("parse_special=%d", number(parse)))
}

// tokenizeAllModes returns the ids of each text in all modes: those of a text follow one another,
// and special changes before parse.
func (o oracle) tokenizeAllModes(t *testing.T, model string, texts []string) [][]int32 {
	t.Helper()
	return o.ids(t, 4*len(texts), "tokenize", model, writeRecords(t, texts), "all_modes=1")
}

// ids runs the oracle, which is to print so many lines of ids.
func (o oracle) ids(t *testing.T, n int, args ...string) [][]int32 {
	t.Helper()
	lines := o.run(t, args...)
	if len(lines) != n {
		t.Fatalf("the oracle printed %d lines, not %d", len(lines), n)
	}
	out := make([][]int32, len(lines))
	for i, line := range lines {
		out[i] = parseIDs(t, line)
	}
	return out
}

// accepts reports whether llama_tokenize takes a text. When it throws, the program ends.
func (o oracle) accepts(t *testing.T, model, text string) bool {
	t.Helper()
	records := writeRecords(t, []string{text})
	return exec.CommandContext(t.Context(), o.path, "tokenize", model, records).Run() == nil
}

// detokenize returns llama_detokenize's bytes of each list of ids, without and with the text of
// control tokens.
func (o oracle) detokenize(t *testing.T, model string, ids [][]int32) [][2]string {
	t.Helper()
	lines := o.run(t, "detokenize", model, writeIDs(t, ids))
	if len(lines) != 2*len(ids) {
		t.Fatalf("the oracle printed %d lines for %d lists of ids", len(lines), len(ids))
	}
	out := make([][2]string, len(ids))
	for i, line := range lines {
		data, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		out[i/2][i%2] = string(data)
	}
	return out
}

// writeRecords writes texts as a record file of the oracle and returns its path.
func writeRecords(t *testing.T, texts []string) string {
	t.Helper()
	var data []byte
	for _, text := range texts {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(text)))
		data = append(data, text...)
	}
	path := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeIDs writes lists of ids, a line each, and returns the file's path.
func writeIDs(t *testing.T, ids [][]int32) string {
	t.Helper()
	var text strings.Builder
	for _, list := range ids {
		text.WriteString(strings.Trim(fmt.Sprint(list), "[]") + "\n")
	}
	path := filepath.Join(t.TempDir(), "ids")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func parseIDs(t *testing.T, line string) []int32 {
	t.Helper()
	fields := strings.Fields(line)
	ids := make([]int32, len(fields))
	for i, field := range fields {
		id, err := strconv.ParseInt(field, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = int32(id)
	}
	return ids
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
