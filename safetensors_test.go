package mullama_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// published puts the files of a model in safetensors into the store.
func published(t *testing.T, rt *mullama.Runtime, model string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := synth.Publish(dir, model); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		files[e.Name()] = addFile(t, rt, filepath.Join(dir, e.Name()))
	}
	return files
}

func TestAModelIsCreatedFromSafetensors(t *testing.T) {
	rt, dir, _ := withStore(t)
	model := tinyFile(t, synth.Options{Arch: "qwen2"})
	files := published(t, rt, model)
	var told []string
	for name, quantize := range map[string]string{"full": "", "small": "q8_0"} {
		options := &mullama.CreateOptions{Files: files, Quantize: quantize}
		options.Progress = func(p mullama.Progress) { told = append(told, p.Status) }
		m, err := rt.Create(t.Context(), name, options)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"": "F16", "q8_0": "Q8_0"}[quantize]
		if m.Details.Family != "qwen2" || m.Details.QuantizationLevel != want {
			t.Errorf("%s is %+v", name, m.Details)
		}
	}
	if all := strings.Join(told, ","); !strings.Contains(all, "converting model") ||
		!strings.Contains(all, "quantizing F16 model to Q8_0") {
		t.Errorf("told was %s", all)
	}
	m, err := rt.Find("full")
	if err != nil {
		t.Fatal(err)
	}
	prompt := []mullama.Token{300, 301, 302}
	text := func(path string) string {
		s, err := load(t, rt, path, mullama.LoadOptions{}).GenerateTokens(t.Context(), prompt,
			&mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 8})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Collect()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(r.Tokens)
	}
	if got, want := text(m.Path), text(model); got != want {
		t.Errorf("the converted model says %s, want %s", got, want)
	}
	before, _ := os.ReadDir(filepath.Join(dir, "blobs"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = rt.Create(ctx, "cut", &mullama.CreateOptions{Files: files})
	wantKind(t, err, mullama.ErrCancelled)
	if after, _ := os.ReadDir(filepath.Join(dir, "blobs")); len(after) != len(before) {
		t.Errorf("%d blobs became %d", len(before), len(after))
	}
}

func TestSafetensorsThatAreNotConvertedSaySo(t *testing.T) {
	rt, _, _ := withStore(t)
	files := published(t, rt, tinyFile(t, synth.Options{}))
	other := filepath.Join(t.TempDir(), "config.json")
	config := `{"architectures": ["OtherForCausalLM"]}`
	if err := os.WriteFile(other, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	files["config.json"] = addFile(t, rt, other)
	_, err := rt.Create(t.Context(), "x", &mullama.CreateOptions{Files: files})
	wantKind(t, err, mullama.ErrUnsupported, "OtherForCausalLM", "LlamaForCausalLM", "BertModel")
	delete(files, "tokenizer.json")
	_, err = rt.Create(t.Context(), "x", &mullama.CreateOptions{Files: files})
	wantKind(t, err, mullama.ErrInvalidOption, "tokenizer.json")
}
