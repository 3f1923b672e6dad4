package llama_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/testmodels"
)

// embedder makes a context for embeddings.
func embedder(t testing.TB, m *llama.Model, pooling int) *llama.Context {
	t.Helper()
	return newContext(t, m, embedderParams(t, pooling))
}

func embedderParams(t testing.TB, pooling int) llama.ContextParams {
	p := library(t).DefaultContextParams()
	p.Ctx, p.Batch, p.UBatch, p.Sequences = 512, 512, 512, 32
	p.Embeddings, p.Pooling = true, pooling
	return p
}

// minilm returns a MiniLM by its name in testmodels.
func minilm(t testing.TB, name string) *llama.Model {
	t.Helper()
	path := testmodels.Path(t, name)
	return shared(t, path, func() string { return path })
}

// embed returns the rows of texts, each on its own.
func embed(t testing.TB, m *llama.Model, c *llama.Context, texts ...string) [][]float32 {
	t.Helper()
	var tokens []llama.Token
	var lengths []int32
	for _, text := range texts {
		more := tokenize(t, m, text)
		tokens = append(tokens, more...)
		lengths = append(lengths, int32(len(more)))
	}
	out, err := c.Embed(tokens, lengths, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float32
	for row := range slices.Chunk(slices.Clone(out.Rows), out.Width) {
		rows = append(rows, row)
	}
	return rows
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func TestMiniLMGivesThePublishedSimilarities(t *testing.T) {
	m := minilm(t, "minilm")
	c := embedder(t, m, llama.PoolingModel)
	if pooling, width := c.Pooling(); pooling != llama.PoolingMean || width != 384 {
		t.Errorf("pooling %d of width %d, want the mean of 384", pooling, width)
	}
	rows := embed(t, m, c, "That is a happy person", "That is a happy dog",
		"That is a very happy person", "Today is a sunny day")
	for i, want := range map[int]float64{1: 0.695, 2: 0.943, 3: 0.257} {
		if got := cosine(rows[0], rows[i]); math.Abs(got-want) > 0.005 {
			t.Errorf("similarity %d is %.4f, want %.3f", i, got, want)
		}
	}
}

func TestABatchEmbedsAsSingleTextsDo(t *testing.T) {
	texts := []string{
		"a", "The quick brown fox jumps over the lazy dog.", strings.Repeat("long text ", 40),
		"b c",
	}
	for name, model := range map[string]struct {
		*llama.Model
		least float64 // products of quantised weights round otherwise for few tokens
	}{"minilm": {minilm(t, "minilm"), 0.9999}, "smollm2": {smol(t), 0.999}} {
		m := model.Model
		for _, pooling := range []int{llama.PoolingMean, llama.PoolingCLS, llama.PoolingLast} {
			c := embedder(t, m, pooling)
			all := embed(t, m, c, texts...)
			for i, text := range texts {
				if got := cosine(all[i], embed(t, m, c, text)[0]); got < model.least {
					t.Errorf("%s, pooling %d, text %d: similarity %.6f", name, pooling, i, got)
				}
			}
		}
	}
}

func TestWithoutPoolingEachTokenHasARow(t *testing.T) {
	m := minilm(t, "minilm")
	tokens := embed(t, m, embedder(t, m, llama.PoolingNone), "three little words", "one")
	want := len(tokenize(t, m, "three little words")) + len(tokenize(t, m, "one"))
	if len(tokens) != want {
		t.Fatalf("%d rows, want %d", len(tokens), want)
	}
	mean := make([]float32, len(tokens[0]))
	for _, row := range tokens[:len(tokens)-3] {
		for i, x := range row {
			mean[i] += x
		}
	}
	pooled := embed(t, m, embedder(t, m, llama.PoolingMean), "three little words")[0]
	if got := cosine(mean, pooled); got < 0.9999 {
		t.Errorf("the mean of the rows has similarity %.6f to the pooled row", got)
	}
}

func TestARankerScoresPairs(t *testing.T) {
	m := minilm(t, "minilm-rank")
	c := embedder(t, m, llama.PoolingModel)
	if pooling, width := c.Pooling(); pooling != llama.PoolingRank || width != 1 {
		t.Fatalf("pooling %d of width %d, want one score", pooling, width)
	}
	rows := embed(t, m, c, "a question", "a question with an answer")
	if len(rows) != 2 || rows[0][0] == rows[1][0] {
		t.Errorf("scores %v", rows)
	}
}

func TestAModelWithoutAHeadDoesNotRank(t *testing.T) {
	for _, m := range []*llama.Model{minilm(t, "minilm"), tiny(t)} {
		_, err := m.NewContext(embedderParams(t, llama.PoolingRank))
		if !errors.Is(err, llama.ErrUnsupported) {
			t.Errorf("a context that ranks: %v", err)
		}
	}
}

func TestABatchHasRoomForSequencesOfTheSameLength(t *testing.T) {
	p := embedderParams(t, llama.PoolingMean)
	p.Ctx, p.Batch, p.UBatch = 300, 300, 300
	_, err := minilm(t, "minilm").NewContext(p)
	if !errors.Is(err, llama.ErrInvalid) || !strings.Contains(err.Error(), "multiple of its 32") {
		t.Errorf("300 tokens for 32 sequences: %v", err)
	}
}

func TestBatchesThatCannotBeEmbeddedAreRefused(t *testing.T) {
	m := minilm(t, "minilm")
	c := embedder(t, m, llama.PoolingModel)
	for name, batch := range map[string]struct {
		tokens  []llama.Token
		lengths []int32
	}{
		"nothing":         {nil, nil},
		"empty text":      {[]llama.Token{1}, []int32{1, 0}},
		"wrong sum":       {[]llama.Token{1, 2, 3}, []int32{1, 1}},
		"unknown token":   {[]llama.Token{1 << 20}, []int32{1}},
		"negative token":  {[]llama.Token{-1}, []int32{1}},
		"too many tokens": {make([]llama.Token, 513), []int32{300, 213}},
		"too many texts":  {make([]llama.Token, 33), slices.Repeat([]int32{1}, 33)},
	} {
		if _, err := c.Embed(batch.tokens, batch.lengths, nil); !errors.Is(err, llama.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	text := newContext(t, tiny(t), smallContext(t))
	if _, err := text.Embed([]llama.Token{1}, []int32{1}, nil); err == nil {
		t.Error("a context for text made embeddings")
	}
	p := embedderParams(t, llama.PoolingModel)
	p.UBatch = 256
	if _, err := m.NewContext(p); !errors.Is(err, llama.ErrInvalid) {
		t.Errorf("a context whose batches are computed in parts: %v", err)
	}
}

func TestATextLongerThanItsPositionsIsRefused(t *testing.T) {
	m := minilm(t, "minilm")
	if n := m.Info().Positions; n != 512 {
		t.Fatalf("%d positions, want 512", n)
	}
	p := embedderParams(t, llama.PoolingModel)
	p.Ctx, p.Batch, p.UBatch = 1024, 1024, 1024
	_, err := newContext(t, m, p).Embed(make([]llama.Token, 513), []int32{513}, nil)
	if !errors.Is(err, llama.ErrInvalid) {
		t.Errorf("513 tokens: %v, want ErrInvalid", err)
	}
}

func TestAnAbortedEmbeddingIsCancelled(t *testing.T) {
	for _, m := range []*llama.Model{minilm(t, "minilm"), smol(t)} {
		c := embedder(t, m, llama.PoolingMean)
		c.Abort(true)
		tokens := make([]llama.Token, 100)
		if _, err := c.Embed(tokens, []int32{100}, nil); !errors.Is(err, llama.ErrCancelled) {
			t.Errorf("aborted: %v", err)
		}
		c.Abort(false)
		if _, err := c.Embed(tokens, []int32{100}, nil); err != nil {
			t.Errorf("after that: %v", err)
		}
	}
}

func TestModelsSayWhatTheyAreFor(t *testing.T) {
	text, bert := smol(t).Info(), minilm(t, "minilm").Info()
	ranker := minilm(t, "minilm-rank").Info()
	if !text.Generates || bert.Generates || ranker.Generates {
		t.Errorf("generate: %v, %v, %v", text.Generates, bert.Generates, ranker.Generates)
	}
	if text.Pooling != llama.PoolingModel || bert.Pooling != llama.PoolingMean ||
		ranker.ClassifierWidth != 1 || bert.ClassifierWidth != 0 {
		t.Errorf("pooling %d, %d; heads %d, %d", text.Pooling, bert.Pooling,
			ranker.ClassifierWidth, bert.ClassifierWidth)
	}
	if text.EmbeddingWidth != 576 || bert.EmbeddingWidth != 384 || bert.Causal || !text.Causal {
		t.Errorf("%+v\n%+v", text, bert)
	}
}

// Embeddings of a model that also generates are those of its last layer; no logits are computed, so
// the compute buffer has no room for those of all tokens.
func TestNoLogitsAreComputedForEmbeddings(t *testing.T) {
	memory, _, err := embedder(t, smol(t), llama.PoolingMean).Memory()
	if err != nil {
		t.Fatal(err)
	}
	compute := uint64(0)
	for _, m := range memory {
		compute += m.Compute
	}
	logits := uint64(512 * smol(t).Info().Vocab * 4)
	if compute > logits {
		t.Errorf("compute buffers take %d bytes, logits alone would be %d", compute, logits)
	}
}

// Both ways of attention have masks of their own kind.
func TestTokensThatNoTokenPaysAttentionToChangeNoOther(t *testing.T) {
	m := minilm(t, "minilm")
	text, other := tokenize(t, m, "a llama"), tokenize(t, m, "another text")
	const mask = 103
	tokens := slices.Concat(text, []llama.Token{mask, mask}, other)
	unseen := make([]bool, len(tokens))
	unseen[len(text)], unseen[len(text)+1] = true, true
	lengths := []int32{int32(len(text) + 2), int32(len(other))}
	for _, flash := range []int{0, 1} {
		p := embedderParams(t, llama.PoolingNone)
		p.FlashAttention = flash
		c := newContext(t, m, p)
		alone := slices.Concat(embed(t, m, c, "a llama"), embed(t, m, c, "another text"))
		out, err := c.Embed(tokens, lengths, unseen)
		if err != nil {
			t.Fatal(err)
		}
		rows := slices.Collect(slices.Chunk(slices.Clone(out.Rows), out.Width))
		masked := rows[len(text)]
		rows = slices.Delete(rows, len(text), len(text)+2)
		for i, row := range rows {
			if near := cosine(row, alone[i]); near < 0.9999 {
				t.Errorf("flash attention %d, token %d: cosine %.6f", flash, i, near)
			}
		}
		if out, err = c.Embed(tokens, lengths, nil); err != nil {
			t.Fatal(err)
		}
		if near := cosine(masked, out.Rows[len(text)*out.Width:][:out.Width]); near > 0.9999 {
			t.Errorf("flash attention %d: it makes no difference (%f)", flash, near)
		}
	}
}

func TestAModelWithACacheCannotKeepTokensFromAttention(t *testing.T) {
	c := newContext(t, tiny(t), embedderParams(t, llama.PoolingNone))
	_, err := c.Embed([]llama.Token{1, 2}, []int32{2}, []bool{false, true})
	wantError(t, err, llama.ErrUnsupported, "tokens cannot be kept from attention")
	c = embedder(t, minilm(t, "minilm"), llama.PoolingNone)
	_, err = c.Embed([]llama.Token{1, 2}, []int32{2}, []bool{true})
	wantError(t, err, llama.ErrInvalid, "1 tokens are unseen or not, of 2")
}
