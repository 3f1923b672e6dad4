package benchcmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

func TestSynthWritesTheTinyModel(t *testing.T) {
	dir := t.TempDir()
	path, template := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "t.jinja")
	if err := os.WriteFile(template, []byte("{{ x }}"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code := Main([]string{"synth", "tiny", path, "--template", template}, &out, &errOut)
	if code != 0 || !strings.Contains(out.String(), "21 tensors") {
		t.Errorf("exit status %d, output %q, errors %q", code, out.String(), errOut.String())
	}
	f, err := gguf.Open(path)
	if err != nil || f.String("tokenizer.chat_template") != "{{ x }}" {
		t.Errorf("the file: %v", err)
	}
}

func TestSynthWritesWhatBelongsToAModel(t *testing.T) {
	dir := t.TempDir()
	model, adapter := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "adapter.gguf")
	folder, projector := filepath.Join(dir, "published"), filepath.Join(dir, "projector.gguf")
	for _, args := range [][]string{
		{"tiny", model}, {"adapter", adapter, "--model", model}, {"projector", projector},
		{"safetensors", folder, "--model", model},
	} {
		var errOut bytes.Buffer
		if code := Main(append([]string{"synth"}, args...), &errOut, &errOut); code != 0 {
			t.Fatalf("%q: %s", args, errOut.String())
		}
	}
	f, err := gguf.Open(adapter)
	if err != nil || f.String("general.type") != "adapter" {
		t.Errorf("the adapter: %v", err)
	}
	if f, err = gguf.Open(projector); err != nil || f.Architecture() != "clip" {
		t.Errorf("the projector: %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "tokenizer.json")); err != nil {
		t.Error(err)
	}
}

func TestSynthSaysWhatIsWrong(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"llama9", out}, `no shape is named "llama9"`},
		{[]string{"qwen2.5-7b", out}, "pass --vocab ggml-vocab-qwen2.gguf"},
		{[]string{"qwen2.5-7b", out, "--vocab", out}, "no such file"},
		{[]string{"tiny", out, "--template", out}, "read the template"},
		{[]string{"tiny"}, "accepts 2 arg(s)"},
		{[]string{"adapter", out}, "pass --model FILE"},
	} {
		var errOut bytes.Buffer
		code := Main(append([]string{"synth"}, tt.args...), &bytes.Buffer{}, &errOut)
		if code != 1 || !strings.Contains(errOut.String(), tt.says) {
			t.Errorf("%q: exit status %d, errors %q; want 1 saying %q", tt.args, code,
				errOut.String(), tt.says)
		}
	}
}
