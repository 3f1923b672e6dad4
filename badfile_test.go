package mullama_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// wantRefused checks what Load and Inspect say of a file. The path stands in the message once.
func wantRefused(t *testing.T, rt *mullama.Runtime, path string, kind error, words ...string) {
	t.Helper()
	m, err := rt.Load(t.Context(), path, nil)
	if m != nil {
		m.Close()
	}
	wantKind(t, err, kind, words...)
	if n := strings.Count(err.Error(), path); path != "" && n != 1 {
		t.Errorf("error %q has the path %d times; want once", err, n)
	}
}

func TestFilesThatAreNoModel(t *testing.T) {
	rt := openRuntime(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, path string
		kind       error
		says       []string
	}{
		{"text", write("text", "hello"), mullama.ErrNotGGUF, []string{"not a GGUF file"}},
		{"zip", write("zip", "PK\x03\x04....."), mullama.ErrNotGGUF, []string{"archive"}},
		{"binary", write("bin", "\x01\x02\x03\xff"), mullama.ErrNotGGUF, []string{"starts with"}},
		{"empty", write("empty", ""), mullama.ErrNotGGUF, []string{"is empty"}},
		{"magic only", write("magic", "GGUF"), mullama.ErrNotGGUF, nil},
		{"directory", dir, mullama.ErrNotGGUF, []string{"is a directory; name the .gguf file"}},
		{"missing", filepath.Join(dir, "none.gguf"), mullama.ErrNotFound, []string{"no such file"}},
		{"below a file", filepath.Join(write("file", "x"), "y"), mullama.ErrNotFound, nil},
		{"long name", filepath.Join(dir, strings.Repeat("x", 5000)), mullama.ErrNotFound, nil},
		{"no name", "", mullama.ErrNotFound, []string{"the path is empty"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantRefused(t, rt, tt.path, tt.kind, tt.says...)
			_, err := mullama.Inspect(tt.path)
			wantKind(t, err, tt.kind, tt.says...)
		})
	}
	_, err := rt.Load(t.Context(), "a\x00b", nil)
	if err == nil {
		t.Error("a path with a NUL byte was loaded")
	}
}

func TestFileWithoutPermission(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("this user may read every file")
	}
	path := tinyFile(t, synth.Options{})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := mullama.Inspect(path)
	wantKind(t, err, mullama.ErrNotFound, path, "no permission")
}

func TestTruncatedModel(t *testing.T) {
	rt := openRuntime(t)
	whole := tinyFile(t, synth.Options{})
	stat, err := os.Stat(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []int64{
		5, 12, 23, 24, 100, 1000, 20000, stat.Size() / 2, stat.Size() - 100000, stat.Size() - 1,
	} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			path := tinyFile(t, synth.Options{})
			if err := synth.Truncate(path, stat.Size()-keep); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, rt, path, mullama.ErrNotGGUF, "truncated")
		})
	}
}

func TestModelsOfAnotherVersionOrKind(t *testing.T) {
	rt := openRuntime(t)
	future := tinyFile(t, synth.Options{Version: 99})
	wantRefused(t, rt, future, mullama.ErrUnsupported, "GGUF version 99", "update mullama")

	swapped := tinyFile(t, synth.Options{})
	if err := synth.SwapByteOrder(swapped); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, rt, swapped, mullama.ErrUnsupported, "big-endian")

	arch := tinyFile(t, synth.Options{Declare: "nonsense"})
	wantRefused(t, rt, arch, mullama.ErrUnsupported, "unknown model architecture", "nonsense")

	torn := tinyFile(t, synth.Options{Omit: []string{"blk.1.ffn_up.weight"}})
	wantRefused(t, rt, torn, mullama.ErrUnsupported, "blk.1.ffn_up.weight")
}

func TestModelsThatContradictThemselves(t *testing.T) {
	rt := openRuntime(t)
	for _, tt := range []struct {
		key   string
		value any
	}{
		{"llama.embedding_length", uint32(63)},
		{"llama.block_count", uint32(1000)},
		{"llama.block_count", uint32(1 << 31)},
		{"llama.attention.head_count", uint32(0)},
		{"llama.attention.head_count_kv", uint32(7)},
		{"llama.rope.dimension_count", uint32(7)},
		{"llama.attention.layer_norm_rms_epsilon", float32(math.NaN())},
		{"tokenizer.ggml.model", "strange"},
		{"tokenizer.ggml.tokens", []string{"a"}},
	} {
		t.Run(fmt.Sprint(tt.key, "=", tt.value), func(t *testing.T) {
			path := tinyFile(t, synth.Options{Keys: map[string]any{tt.key: tt.value}})
			wantRefused(t, rt, path, mullama.ErrUnsupported)
		})
	}
}

func TestPartsOfASplitModel(t *testing.T) {
	dir := t.TempDir()
	name := func(n int) string { return filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", n)) }
	for n := 1; n <= 2; n++ {
		if err := synth.TinyFile(name(n), synth.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	one, err := mullama.Inspect(tinyFile(t, synth.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	both, err := mullama.Inspect(name(1))
	if err != nil {
		t.Fatal(err)
	}
	if both.SizeBytes != 2*one.SizeBytes || both.Parameters != 2*one.Parameters {
		t.Errorf("two parts have %d bytes and %d parameters; want twice %d and %d",
			both.SizeBytes, both.Parameters, one.SizeBytes, one.Parameters)
	}
	if err := os.Remove(name(2)); err != nil {
		t.Fatal(err)
	}
	_, err = mullama.Inspect(name(1))
	wantKind(t, err, mullama.ErrNotFound, name(2), "no such file")
}
