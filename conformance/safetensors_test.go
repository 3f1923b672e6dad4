package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/convert"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// TestConvertedVocabularyEqualsHuggingFace converts SmolLM2's vocabulary from a tokenizer.json, and
// compares its tokens with those of Hugging Face's tokenizers for the same file.
func TestConvertedVocabularyEqualsHuggingFace(t *testing.T) {
	dir := t.TempDir()
	if err := synth.Publish(dir, testmodels.Path(t, "smollm2")); err != nil {
		t.Fatal(err)
	}
	converted := filepath.Join(t.TempDir(), "converted.gguf")
	file, err := os.Create(converted)
	if err == nil {
		err = convert.Model(file, os.DirFS(dir), "converted")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	model := loadVocab(t, converted)
	var texts []string
	for _, text := range hardTexts() {
		if utf8.ValidString(text.text) { // JSON has no other
			texts = append(texts, text.text)
		}
	}
	for i, want := range hugTokens(t, filepath.Join(dir, "tokenizer.json"), texts) {
		got, err := model.Tokenize(texts[i], false, true)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%.80q is %v, want %v (%v)", texts[i], got, want, err)
		}
	}
}

func hugTokens(t *testing.T, tokenizer string, texts []string) (ids [][]int32) {
	t.Helper()
	models := filepath.Dir(testmodels.Path(t, "smollm2"))
	python := filepath.Join(filepath.Dir(models), "venv-conformance", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv(testmodels.RequireEnv) == "1" {
			t.Fatal(err)
		}
		t.Skipf("the environment is missing (%v); run conformance/setup.sh", err)
	}
	text, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "tokens.py", tokenizer)
	cmd.Stdin = bytes.NewReader(text)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &ids)
	}
	if err != nil || len(ids) != len(texts) {
		t.Fatalf("%v\n%s", err, problem.String())
	}
	return ids
}
