package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mullama/mullama"
)

// The models of `make demo` and `make models` that groups measure unless told otherwise.
const (
	demoModel     = "SmolLM2-135M-Instruct.Q4_1.gguf"
	demoEmbedding = "all-MiniLM-L6-v2.q8_0.gguf"
)

// modelFile turns what --model says into a file: a file is itself, a name is looked up in the store
// and fetched into it if need be, and nothing is the demo's model.
func (s *suite) modelFile(ctx context.Context, kind modelKind, word string) (string, error) {
	if word == "" {
		return s.usualModel(kind)
	}
	_, err := os.Stat(word)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || isFileName(word) {
		return word, nil // what reads it says what is wrong with it
	}
	rt, err := mullama.Open(mullama.Options{ModelsDir: s.folders.Models()})
	if err != nil {
		return "", err
	}
	defer func() { _ = rt.Close() }() // it has no model
	stored, err := rt.Find(word)
	if errors.Is(err, mullama.ErrNotFound) {
		stored, err = rt.Pull(ctx, word, nil)
	}
	if err != nil {
		return "", err
	}
	if stored.Path == "" {
		return "", fmt.Errorf("model %q is not a GGUF file of this machine, so it cannot be "+
			"measured", word)
	}
	return stored.Path, nil
}

// isFileName tells whether a word can only be meant as a file.
func isFileName(word string) bool {
	return strings.HasSuffix(strings.ToLower(word), ".gguf") || filepath.IsAbs(word) ||
		strings.HasPrefix(word, ".")
}

func (s *suite) usualModel(kind modelKind) (string, error) {
	name, fetch := demoModel, "make demo"
	if kind == embeddingModel {
		name, fetch = demoEmbedding, "make models"
	}
	path := filepath.Join(s.folders.Cache(), "models", name)
	if _, err := os.Stat(path); err != nil {
		return "", &mullama.Error{Kind: mullama.ErrNotFound,
			Err:  fmt.Errorf("no --model is given, and %s is not in the cache", name),
			Hint: "give --model a file or a name, or fetch it with '" + fetch + "'"}
	}
	return path, nil
}
