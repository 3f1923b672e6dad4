package synth

import (
	"bytes"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/testmodels"
)

// TestPlansHaveThePublishedSizes compares with the sizes of the published Q4_K_M files' tensors.
func TestPlansHaveThePublishedSizes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		tensors       int
		params, bytes uint64
	}{
		{"llama3.2-1b", 147, 1_235_814_432, 799_862_912},
		{"llama3.2-3b", 255, 3_212_749_888, 2_011_539_712},
		{"qwen2.5-7b", 339, 7_615_616_512, 4_677_120_000},
		{"llama2-13b", 363, 13_015_864_320, 7_865_210_880},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, ok := FindShape(tt.name)
			if !ok {
				t.Fatal("no such shape")
			}
			var params, size uint64
			plan := s.plan(mixQ4KM)
			for _, x := range plan {
				n := (&gguf.Tensor{Dims: x.dims}).Elements()
				elements, bytes := x.kind.Block()
				params += n
				size += n / uint64(elements) * uint64(bytes)
			}
			if len(plan) != tt.tensors || params != tt.params || size != tt.bytes {
				t.Errorf("%d tensors, %d parameters, %d bytes; want %d, %d, %d", len(plan), params,
					size, tt.tensors, tt.params, tt.bytes)
			}
		})
	}
}

func TestShortRowsFallBackToSmallerBlocks(t *testing.T) {
	s := Shape{Layers: 8}
	for _, tt := range []struct {
		role       role
		layer, row int
		want       gguf.TensorType
	}{
		{matrix, 0, 256, gguf.Q4K},
		{matrix, 0, 96, gguf.Q50},
		{down, 0, 256, gguf.Q6K},
		{down, 1, 256, gguf.Q4K},
		{down, 0, 96, gguf.Q80},
		{output, 0, 96, gguf.Q80},
	} {
		if got := mixQ4KM(s, tt.role, tt.layer, tt.row); got != tt.want {
			t.Errorf("role %d in layer %d with rows of %d: %s, want %s", tt.role, tt.layer, tt.row,
				got, tt.want)
		}
	}
}

// vocabFile is a small vocabulary, as a file that a shape can take its tokenizer from.
func vocabFile(t *testing.T, tokens []string) *gguf.File {
	t.Helper()
	var g gguf.Writer
	g.Set("general.architecture", "llama")
	g.Set("tokenizer.ggml.model", "llama")
	g.Set("tokenizer.ggml.tokens", tokens)
	g.Set("tokenizer.ggml.scores", make([]float32, len(tokens)))
	g.Set("tokenizer.ggml.token_type", make([]int32, len(tokens)))
	var b bytes.Buffer
	if _, err := g.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), gguf.KeepArrays(0))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// small has every tensor of the 1B shape in two layers of 256, and rows that are no whole blocks.
var small = Shape{
	Name: "small", Arch: "llama", Layers: 2, Embedding: 256, FeedForward: 544, Heads: 4,
	KVHeads: 2, HeadDim: 64, Vocab: 6, Context: 512, RopeBase: 500000, RopeFactor: 32,
	Epsilon: 1e-5,
}

func TestExactFileIsPaddedAndReproducible(t *testing.T) {
	o := ExactOptions{Vocab: vocabFile(t, []string{"a", "b", "c", "d"}), Template: "{{ x }}"}
	path := filepath.Join(t.TempDir(), "small.gguf")
	if err := ExactFile(path, small, o); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tokens, _ := f.Strings("tokenizer.ggml.tokens")
	if got := strings.Join(tokens, " "); got != "a b c d [PAD4] [PAD5]" {
		t.Errorf("tokens = %q", got)
	}
	kinds, _ := f.Ints("tokenizer.ggml.token_type")
	scores, _ := f.Floats("tokenizer.ggml.scores")
	if len(kinds) != 6 || kinds[5] != 5 || len(scores) != 6 {
		t.Errorf("token types %v, scores %v; want 6 of each, padding unused", kinds, scores)
	}
	if f.String("tokenizer.chat_template") != "{{ x }}" || f.Quantization() != "Q4_K_M" {
		t.Errorf("template %q, quantisation %s", f.String("tokenizer.chat_template"),
			f.Quantization())
	}
	var first, second bytes.Buffer
	if Exact(&first, small, o) != nil || Exact(&second, small, o) != nil {
		t.Fatal("write again")
	}
	if int64(first.Len()) != f.Size || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same options gave other bytes")
	}
}

func TestNoTwoTokensHaveTheSameLogits(t *testing.T) {
	for _, name := range []string{"llama3.2-1b", "llama3.2-3b", "qwen2.5-7b", "llama2-13b"} {
		s, _ := FindShape(name)
		for _, x := range s.plan(mixQ4KM) {
			if x.name != "output.weight" && x.name != "token_embd.weight" {
				continue
			}
			elements, size := x.kind.Block()
			blocks, perRow := poolBlocks(size), int(x.dims[0])/elements
			seen := make(map[int]bool)
			for row := range int(x.dims[1]) {
				seen[row*perRow%blocks] = true
			}
			if len(seen) != int(x.dims[1]) {
				t.Errorf("%s: %s has %d different rows of %d", name, x.name, len(seen), x.dims[1])
			}
		}
	}
}

func TestVocabularyLargerThanTheModelIsRefused(t *testing.T) {
	o := ExactOptions{Vocab: vocabFile(t, make([]string, 7))}
	err := Exact(io.Discard, small, o)
	if err == nil || !strings.Contains(err.Error(), "7 tokens") {
		t.Errorf("got error %v, want one naming 7 tokens", err)
	}
}

func TestExactHeaderOfARealShape(t *testing.T) {
	dir := testmodels.Vocabs(t)
	var vocab *gguf.File
	for _, v := range dir {
		if v.Name == "llama-bpe" {
			f, err := gguf.Open(v.Path)
			if err != nil {
				t.Fatal(err)
			}
			vocab = f
		}
	}
	s, _ := FindShape("llama3.2-1b")
	count := &counting{}
	if err := Exact(count, s, ExactOptions{Vocab: vocab}); err != nil {
		t.Fatal(err)
	}
	if count.n != 807_689_920 {
		t.Errorf("%d bytes, want 807689920", count.n)
	}
}

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func TestHalfRoundsToNearest(t *testing.T) {
	for _, tt := range []struct {
		in   float64
		want uint16
	}{
		{0, 0}, {1, 0x3c00}, {-2, 0xc000}, {0.5, 0x3800}, {65504, 0x7bff},
		{1.0 / (1 << 14), 0x0400}, {1.0 / (1 << 24), 0x0001}, {1.0 / (1 << 25), 0x0000},
		{1 + 1.0/2048, 0x3c00}, {1 + 3.0/2048, 0x3c02}, {0.1, 0x2e66},
		{1.0/(1<<14) - 1.0/(1<<26), 0x0400},
	} {
		if got := gguf.Half(float32(tt.in)); got != tt.want {
			t.Errorf("half(%g) = %#04x, want %#04x", tt.in, got, tt.want)
		}
	}
}

func TestLlama3FrequenciesGoFromOneToTheFactor(t *testing.T) {
	s, _ := FindShape("llama3.2-1b")
	last := 0.0
	for i := range s.HeadDim / 2 {
		x := llama3Divisor(s, i)
		if x < last || x < 1 || x > 32 {
			t.Fatalf("divisor %d = %g after %g", i, x, last)
		}
		last = x
	}
	if llama3Divisor(s, 0) != 1 || last != 32 {
		t.Errorf("divisors go from %g to %g, want 1 to 32", llama3Divisor(s, 0), last)
	}
}

func TestPoolScalesAreFinite(t *testing.T) {
	for _, k := range []gguf.TensorType{gguf.Q4K, gguf.Q6K, gguf.Q80, gguf.Q50} {
		_, size := k.Block()
		pool := blockPool(k, 1/math.Sqrt(2048))
		at := 0
		if k == gguf.Q6K {
			at = size - 2
		}
		bits := uint16(pool[at]) | uint16(pool[at+1])<<8
		if len(pool)%size != 0 || bits == 0 || bits>>10 == 31 {
			t.Errorf("%s: pool of %d bytes, scale %#04x", k, len(pool), bits)
		}
	}
}
