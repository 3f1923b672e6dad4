package mullama_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/testmodels"
)

// loadNamed loads a pinned test model.
func loadNamed(t testing.TB, name string) *mullama.Model {
	t.Helper()
	return load(t, openRuntime(t), testmodels.Path(t, name), mullama.LoadOptions{})
}

func vectors(t testing.TB, m *mullama.Model, r *mullama.EmbedRequest) [][]float32 {
	t.Helper()
	result, err := m.Embed(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	var all [][]float32
	for _, e := range result.Embeddings {
		all = append(all, e.Vector)
	}
	return all
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestEmbeddingsHaveLengthOneAndFindWhatIsMeant(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	rows := vectors(t, m, &mullama.EmbedRequest{Texts: []string{
		"How do I bake bread?", "Mix flour, water and yeast, and put it into the oven.",
		"The parliament passed the budget.", "",
	}})
	for i, row := range rows {
		if length := dot(row, row); math.Abs(length-1) > 1e-5 {
			t.Errorf("row %d has length %g", i, length)
		}
	}
	if near, far := dot(rows[0], rows[1]), dot(rows[0], rows[2]); near < far+0.2 {
		t.Errorf("the answer is at %.3f, something else at %.3f", near, far)
	}
}

func TestDimensionsAreCutBeforeTheLengthIsSet(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	texts := []string{"one text"}
	raw := vectors(t, m, &mullama.EmbedRequest{Texts: texts,
		EmbedOptions: mullama.EmbedOptions{Raw: true}})[0]
	cut := vectors(t, m, &mullama.EmbedRequest{Texts: texts,
		EmbedOptions: mullama.EmbedOptions{Dimensions: 100}})[0]
	if len(raw) != 384 || len(cut) != 100 || math.Abs(dot(cut, cut)-1) > 1e-5 {
		t.Fatalf("%d and %d numbers", len(raw), len(cut))
	}
	if ratio := raw[0] / cut[0]; math.Abs(float64(raw[99]/cut[99]-ratio)) > 1e-3 {
		t.Error("the shorter row has another direction")
	}
	for _, n := range []int{-1, 385} {
		_, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts,
			EmbedOptions: mullama.EmbedOptions{Dimensions: n}})
		if !errors.Is(err, mullama.ErrInvalidOption) {
			t.Errorf("%d dimensions: %v", n, err)
		}
	}
}

func TestWithoutPoolingEachTokenHasAnEmbedding(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	result, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"three little words"},
		EmbedOptions: mullama.EmbedOptions{Pooling: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	if e := result.Embeddings[0]; len(e.Rows) != 5 || e.Tokens != 5 || e.Vector != nil ||
		math.Abs(dot(e.Rows[2], e.Rows[2])-1) > 1e-5 {
		t.Errorf("%d rows for %d tokens", len(e.Rows), e.Tokens)
	}
}

func TestALongTextIsRefusedOrCut(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	long := strings.Repeat("a long text ", 1000)
	request := &mullama.EmbedRequest{Texts: []string{"short", long, strings.Repeat("字", 100_000)}}
	result, err := m.Embed(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if result.Embeddings[0].Err != nil {
		t.Errorf("the short text: %v", result.Embeddings[0].Err)
	}
	for _, e := range result.Embeddings[1:] {
		wantKind(t, e.Err, mullama.ErrContextFull, "size of 512; shorten it, or set truncate")
	}
	if err := result.Err(); !errors.Is(err, mullama.ErrContextFull) ||
		!strings.Contains(err.Error(), "input[1]") {
		t.Errorf("the error is %v", err)
	}
	request.Truncate = true
	result, err = m.Embed(t.Context(), request)
	if err != nil || result.Err() != nil {
		t.Fatal(err, result.Err())
	}
	if e := result.Embeddings[1]; e.Tokens != 512 || !e.Cut || result.Embeddings[0].Cut {
		t.Errorf("%d tokens are left, cut: %v", e.Tokens, e.Cut)
	}
}

func TestTextsAsTokensGiveTheSame(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	tokens, err := m.Tokenize("the same text", mullama.TokenizeOptions{AddSpecial: true})
	if err != nil {
		t.Fatal(err)
	}
	rows := vectors(t, m, &mullama.EmbedRequest{Texts: []string{"the same text"},
		Tokens: [][]mullama.Token{tokens}})
	if got := dot(rows[0], rows[1]); got < 0.9999 {
		t.Errorf("similarity %.6f", got)
	}
	for name, bad := range map[string][]mullama.Token{
		"none": {}, "unknown": {1 << 20}, "negative": {-1},
	} {
		result, err := m.Embed(t.Context(), &mullama.EmbedRequest{Tokens: [][]mullama.Token{bad}})
		if err != nil || !errors.Is(result.Err(), mullama.ErrInvalidOption) {
			t.Errorf("%s: %v, %v", name, err, result.Err())
		}
	}
}

func TestManyTextsKeepTheirOrder(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	text := func(i int) string { return strings.Repeat(fmt.Sprint("number ", i, " "), 1+i%7) }
	const n = 1200 // more than two windows
	i := 0
	for e, err := range m.EmbedStream(t.Context(), func(yield func(string) bool) {
		for i := range n {
			if !yield(text(i)) {
				return
			}
		}
	}, nil) {
		if err != nil || e.Err != nil {
			t.Fatal(err, e.Err)
		}
		if i%300 == 7 {
			alone := vectors(t, m, &mullama.EmbedRequest{Texts: []string{text(i)}})[0]
			if got := dot(alone, e.Vector); got < 0.999 {
				t.Errorf("text %d: similarity %.5f to the same alone", i, got)
			}
		}
		i++
	}
	if i != n {
		t.Errorf("%d embeddings, want %d", i, n)
	}
}

func TestAStreamOfTextsEndsWithItsContext(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range m.EmbedStream(ctx, func(yield func(string) bool) {
		for yield("without an end") {
			continue
		}
	}, nil) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, mullama.ErrCancelled) {
		t.Errorf("it ended after %d with %v", n, last)
	}
}

func TestAModelThatChatsEmbedsBeside(t *testing.T) {
	m := loadNamed(t, "smollm2")
	texts := []string{"The cat sleeps.", "A cat is sleeping.", "Interest rates rose."}
	var calls sync.WaitGroup
	calls.Go(func() {
		if ask(t, m, "What is the capital of France?") == "" {
			t.Error("there is no answer")
		}
	})
	for _, pooling := range []string{"", "mean"} {
		calls.Go(func() {
			rows := vectors(t, m, &mullama.EmbedRequest{Texts: texts,
				EmbedOptions: mullama.EmbedOptions{Pooling: pooling}})
			if near, far := dot(rows[0], rows[1]), dot(rows[0], rows[2]); near <= far {
				t.Errorf("pooling %q: %.3f and %.3f", pooling, near, far)
			}
		})
	}
	calls.Wait()
}

// ask returns the answer to a question.
func ask(t *testing.T, m *mullama.Model, question string) string {
	greedy := mullama.DefaultSampling()
	greedy.Temperature = 0
	stream, err := m.Chat(t.Context(), []mullama.Message{{Role: "user", Content: question}},
		&mullama.ChatOptions{GenerateOptions: mullama.GenerateOptions{MaxTokens: 16,
			Sampling: &greedy}})
	if err != nil {
		t.Error(err)
		return ""
	}
	result, err := stream.Collect()
	if err != nil {
		t.Error(err)
		return ""
	}
	return result.Text
}

func TestASmallContextEmbedsShortTexts(t *testing.T) {
	path := testmodels.Path(t, "minilm-q8")
	m := load(t, openRuntime(t), path, mullama.LoadOptions{ContextSize: 16})
	rows := vectors(t, m, &mullama.EmbedRequest{Texts: slices.Repeat([]string{"a"}, 40)})
	if len(rows) != 40 || m.ContextSize() != 16 {
		t.Errorf("%d rows from a context of %d", len(rows), m.ContextSize())
	}
}

// llama.cpp ends the process over a context whose tokens are no multiple of its sequences.
func TestAContextOfAnySizeEmbedsTextsThatFillIt(t *testing.T) {
	path := testmodels.Path(t, "minilm-q8")
	for _, size := range []int{7, 100, 257, 300, 384, 511} {
		m := load(t, openRuntime(t), path, mullama.LoadOptions{ContextSize: size})
		result, err := m.Embed(t.Context(), &mullama.EmbedRequest{
			Texts:        []string{"a", strings.Repeat("word ", 600)},
			EmbedOptions: mullama.EmbedOptions{Truncate: true}})
		if err != nil || result.Err() != nil || result.Embeddings[1].Tokens != size {
			t.Errorf("a context of %d: %v, %+v", size, err, result)
		}
	}
}

func TestAModelForEmbeddingsDoesNotGenerate(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	if _, err := m.Generate(t.Context(), "Hello", nil); !errors.Is(err, mullama.ErrUnsupported) {
		t.Errorf("generate: %v", err)
	}
	if m.ContextSize() != 512 || m.Slots() == 0 || m.Plan() == nil {
		t.Errorf("context %d, %d slots, plan %v", m.ContextSize(), m.Slots(), m.Plan())
	}
	_, err := m.Rerank(t.Context(), &mullama.RerankRequest{Query: "a", Documents: []string{"b"}})
	if !errors.Is(err, mullama.ErrUnsupported) {
		t.Errorf("rerank: %v", err)
	}
}

func TestOptionsOfEmbeddingsAreChecked(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	for _, o := range []mullama.EmbedOptions{{Pooling: "max"}, {Task: "poetry"}} {
		_, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"}, EmbedOptions: o})
		if !errors.Is(err, mullama.ErrInvalidOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	ranker := loadNamed(t, "minilm-rank")
	_, err := ranker.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"}})
	if !errors.Is(err, mullama.ErrUnsupported) {
		t.Errorf("embed with a ranker: %v", err)
	}
}

func TestAClosedModelDoesNotEmbed(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	if _, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	_, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: []string{"a"}})
	if !errors.Is(err, mullama.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestE5FindsAcrossLanguages(t *testing.T) {
	m := loadNamed(t, "e5")
	queries := vectors(t, m, &mullama.EmbedRequest{
		Texts:        []string{"Wie backe ich Brot?", "¿Qué aprobó el parlamento?", "那只猫在沙发上睡觉吗？"},
		EmbedOptions: mullama.EmbedOptions{Task: "query"}})
	documents := vectors(t, m, &mullama.EmbedRequest{
		Texts: []string{"Mix flour, water and yeast, and put it into the oven.",
			"The parliament passed the budget.", "The cat is sleeping on the sofa."},
		EmbedOptions: mullama.EmbedOptions{Task: "document"}})
	for i, query := range queries {
		best := 0
		for j := range documents {
			if dot(query, documents[j]) > dot(query, documents[best]) {
				best = j
			}
		}
		if best != i {
			t.Errorf("query %d finds document %d", i, best)
		}
	}
	plain := vectors(t, m, &mullama.EmbedRequest{Texts: []string{"query: Wie backe ich Brot?"}})
	if got := dot(plain[0], queries[0]); got < 0.9999 {
		t.Errorf("the task's words by hand have similarity %.6f", got)
	}
}

// A row of the table of tokens is no number here, as in a damaged file. Attention sees all texts of
// a batch, if only to give others no weight.
func TestATextOfNumbersThatAreNoneLeavesOthersAlone(t *testing.T) {
	path := testmodels.Path(t, "minilm")
	header, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const token = 2222 // of llama
	i := slices.IndexFunc(header.Tensors, func(x gguf.Tensor) bool {
		return x.Name == "token_embd.weight"
	})
	table := header.Tensors[i]
	row := data[header.DataOffset+table.Offset:][token*2*table.Dims[0]:]
	copy(row[:2*table.Dims[0]], slices.Repeat([]byte{0xff, 0x7f}, int(table.Dims[0])))
	damaged := filepath.Join(t.TempDir(), "damaged.gguf")
	if err := os.WriteFile(damaged, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m := load(t, openRuntime(t), damaged, mullama.LoadOptions{})
	texts := []string{"a word", "the llama", "another one", "more words", "and more words"}
	got, err := m.Embed(t.Context(), &mullama.EmbedRequest{Texts: texts})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got.Embeddings {
		if bad := i == 1; (e.Err != nil) != bad || (e.Vector == nil) != bad {
			t.Errorf("%q: error %v, %d numbers", texts[i], e.Err, len(e.Vector))
		}
	}
}

func TestAHeadRanksDocuments(t *testing.T) {
	m := loadNamed(t, "minilm-rank")
	documents := []string{"one", "another one", strings.Repeat("a long one ", 1000), "", "one"}
	result, err := m.Rerank(t.Context(), &mullama.RerankRequest{Query: "which?",
		Documents: documents})
	if err != nil {
		t.Fatal(err)
	}
	s := result.Scores
	if result.Method != mullama.RankedByHead || s[0].Score == s[1].Score ||
		math.Abs(s[0].Score-s[4].Score) > 1e-3 || s[2].Err != nil || s[3].Err == nil {
		t.Errorf("scores %+v", result)
	}
	for _, score := range s {
		if score.Score < 0 || score.Score > 1 {
			t.Errorf("score %g", score.Score)
		}
	}
	if err := result.Err(); !errors.Is(err, mullama.ErrInvalidOption) {
		t.Errorf("the error of an empty document is %v", err)
	}
	if best := result.Best(); len(best) != 5 || s[best[0]].Score < s[best[1]].Score {
		t.Errorf("the best are %v", best)
	}
}

func TestAQueryThatCannotBeRankedForIsRefusedAsAWhole(t *testing.T) {
	m := loadNamed(t, "minilm-rank")
	for query, says := range map[string]string{
		"":                             "rerank: the query is empty",
		strings.Repeat("word ", 600):   "rerank: the query has 600 tokens, which exceeds",
		strings.Repeat("word ", 1<<20): "rerank: of the query the first ",
	} {
		_, err := m.Rerank(t.Context(), &mullama.RerankRequest{Query: query,
			Documents: []string{"a", "b"}})
		if err == nil || !strings.HasPrefix(err.Error(), says) ||
			query != "" && !strings.HasSuffix(err.Error(), "shorten the query") {
			t.Errorf("a query of %d bytes: %v, want %q", len(query), err, says)
		}
	}
}

func TestAModelThatChatsJudgesDocuments(t *testing.T) {
	m := loadNamed(t, "qwen05")
	result, err := m.Rerank(t.Context(), &mullama.RerankRequest{
		Query: "What is the capital of France?",
		Documents: []string{"Bananas are rich in potassium.",
			"Paris is the capital of France.", "The engine has four cylinders."},
	})
	if err != nil || result.Err() != nil {
		t.Fatal(err, result.Err())
	}
	if result.Method != mullama.RankedByJudge || result.Best()[0] != 1 || result.Tokens == 0 {
		t.Errorf("ranked %v: %+v", result.Best(), result)
	}
	if slices.ContainsFunc(result.Scores, func(s mullama.DocumentScore) bool {
		return s.Score < 0 || s.Score > 1
	}) {
		t.Errorf("scores %+v", result.Scores)
	}
}

func TestAnyNumberOfTextsHasAsManyEmbeddings(t *testing.T) {
	m := loadNamed(t, "minilm-q8")
	for _, n := range []int{0, 1, 16, 17, 600} {
		rows := vectors(t, m, &mullama.EmbedRequest{Texts: slices.Repeat([]string{"a"}, n)})
		if len(rows) != n || n > 0 && dot(rows[0], rows[n-1]) < 0.999 {
			t.Errorf("%d texts have %d embeddings", n, len(rows))
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.Embed(cancelled, &mullama.EmbedRequest{Texts: []string{"a"}})
	if !errors.Is(err, mullama.ErrCancelled) {
		t.Errorf("a call that was cancelled before: %v", err)
	}
}
