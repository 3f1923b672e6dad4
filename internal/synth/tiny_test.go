package synth

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
)

func tinyFile(t *testing.T, o Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := TinyFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func openTiny(t *testing.T, o Options) *gguf.File {
	t.Helper()
	f, err := gguf.Open(tinyFile(t, o))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// findTensor returns the index of a tensor, or -1.
func findTensor(f *gguf.File, name string) int {
	return slices.IndexFunc(f.Tensors, func(x gguf.Tensor) bool { return x.Name == name })
}

func TestTinyModelsAreSmallAndComplete(t *testing.T) {
	for _, tt := range []struct {
		options Options
		arch    string
		quant   string
		tensor  string // one that only this architecture has
	}{
		{Options{}, "llama", "F16", "output.weight"},
		{Options{FullPrecision: true}, "llama", "F32", "output.weight"},
		{Options{Arch: "qwen2"}, "qwen2", "F16", "blk.1.attn_k.bias"},
		{Options{Arch: "gemma3"}, "gemma3", "F16", "blk.5.post_ffw_norm.weight"},
	} {
		t.Run(tt.arch+" "+tt.quant, func(t *testing.T) {
			f := openTiny(t, tt.options)
			if f.Size > 1<<20 || f.Architecture() != tt.arch || f.Quantization() != tt.quant {
				t.Errorf("%d bytes, %s, %s", f.Size, f.Architecture(), f.Quantization())
			}
			if findTensor(f, tt.tensor) < 0 {
				t.Errorf("no tensor %s", tt.tensor)
			}
			tokens, err := f.Strings("tokenizer.ggml.tokens")
			rows, _ := f.Uint(f.ArchKey("vocab_size"))
			if err != nil || uint64(len(tokens)) != rows {
				t.Errorf("%d tokens, %v; want %d", len(tokens), err, rows)
			}
		})
	}
}

func TestTinyVocabularyHoldsItsParts(t *testing.T) {
	v := newVocabulary()
	for id, want := range map[int]string{
		TokenUnknown: "<unk>", TokenStart: "<s>", TokenEnd: "</s>", TokenByte0: "<0x00>",
		TokenByte0 + 255: "<0xFF>", TokenChatStart: "<|im_start|>", TokenChatEnd: "<|im_end|>",
	} {
		if got := v.tokens[id]; got != want {
			t.Errorf("token %d = %q, want %q", id, got, want)
		}
	}
	for _, want := range []string{"▁", "~", "世", "▁capital", "▁capi", "▁France"} {
		if !slices.Contains(v.tokens, want) {
			t.Errorf("no token %q", want)
		}
	}
	if len(v.tokens) != len(v.scores) || len(v.tokens) != len(v.kinds) || len(v.tokens) < 900 {
		t.Errorf("%d tokens, %d scores, %d kinds", len(v.tokens), len(v.scores), len(v.kinds))
	}
}

func TestTinyIsReproducible(t *testing.T) {
	var a, b, c bytes.Buffer
	for _, x := range []struct {
		out  *bytes.Buffer
		seed uint64
	}{{&a, 1}, {&b, 1}, {&c, 2}} {
		if err := Tiny(x.out, Options{Seed: x.seed}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same seed gave other bytes")
	}
	if bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("another seed gave the same bytes")
	}
}

func TestTinyOptions(t *testing.T) {
	f := openTiny(t, Options{
		Context: 128, NoTemplate: true, Declare: "unheard-of", Omit: []string{"output.weight"},
		Keys: map[string]any{"general.name": "renamed", "split.count": uint16(2)},
	})
	if n, _ := f.Uint("llama.context_length"); n != 128 {
		t.Errorf("context = %d, want 128", n)
	}
	if _, ok := f.Value("tokenizer.chat_template"); ok {
		t.Error("there is a template")
	}
	if f.Architecture() != "unheard-of" || f.String("general.name") != "renamed" {
		t.Errorf("architecture %q, name %q", f.Architecture(), f.String("general.name"))
	}
	if findTensor(f, "output.weight") >= 0 {
		t.Error("the omitted tensor is there")
	}
	f = openTiny(t, Options{Template: "{{ a }}"})
	if got := f.String("tokenizer.chat_template"); got != "{{ a }}" {
		t.Errorf("template = %q", got)
	}
	if err := Tiny(&bytes.Buffer{}, Options{Arch: "mamba"}); err == nil {
		t.Error("an architecture without a plan was accepted")
	}
}

func TestControlTokensAreNeverTheBestChoice(t *testing.T) {
	var b bytes.Buffer
	if err := Tiny(&b, Options{}); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	i := findTensor(f, "output.weight")
	row := int64(f.Tensors[i].Dims[0] * 2)
	at := func(token int64) []byte {
		start := f.DataOffset + f.Tensors[i].Offset + token*row
		return b.Bytes()[start : start+row]
	}
	isZero := func(b []byte) bool { // either zero
		return !slices.ContainsFunc(b, func(c byte) bool { return c&0x7f != 0 })
	}
	if !isZero(at(TokenEnd)) || !isZero(at(TokenChatEnd)) || isZero(at(TokenByte0)) {
		t.Error("rows of the output matrix: want zeros for control tokens only")
	}
}

func TestBrokenFilesAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		want  error
	}{
		{"truncated", func(p string) error { return Truncate(p, 100) }, gguf.ErrTruncated},
		{"future version", func(p string) error { return SetVersion(p, 9) }, gguf.ErrVersion},
		{"byte order", SwapByteOrder, gguf.ErrVersion},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tinyFile(t, Options{})
			if err := tt.spoil(path); err != nil {
				t.Fatal(err)
			}
			if _, err := gguf.Open(path); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
	if err := Truncate(tinyFile(t, Options{}), 1<<40); err == nil {
		t.Error("more was cut off than the file has")
	}
	if err := SetVersion(filepath.Join(t.TempDir(), "absent"), 9); err == nil {
		t.Error("an absent file was patched")
	}
}

func TestFailedWriteLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := TinyFile(filepath.Join(dir, "x.gguf"), Options{Arch: "mamba"}); err == nil {
		t.Fatal("no error")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
