package server

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

// newEmbedSite is a site with MiniLM as minilm and a random ranker as ranker beside tiny.
func newEmbedSite(t testing.TB) *site {
	t.Helper()
	minilm, ranker := testmodels.Path(t, "minilm-q8"), testmodels.Path(t, "minilm-rank")
	s := newSite(t, Config{})
	for name, path := range map[string]string{"minilm": minilm, "ranker": ranker} {
		if _, err := s.fake.Import(t.Context(), name, path); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// numbers reads a list of numbers.
func numbers(value any) []float64 {
	var row []float64
	for _, x := range value.([]any) {
		row = append(row, x.(float64))
	}
	return row
}

func length(row []float64) float64 {
	sum := 0.0
	for _, x := range row {
		sum += x * x
	}
	return math.Sqrt(sum)
}

func TestOllamaClientsGetEmbeddings(t *testing.T) {
	s := newEmbedSite(t)
	one := s.ok("POST", "/api/embed", object{"model": "minilm", "input": "why is the sky blue?"})
	rows := one["embeddings"].([]any)
	row := numbers(rows[0])
	if len(rows) != 1 || len(row) != 384 || math.Abs(length(row)-1) > 1e-5 ||
		one["prompt_eval_count"] != 8.0 || one["model"] != "minilm" ||
		one["total_duration"] == nil {
		t.Errorf("%d rows, %d numbers of length %g; %v", len(rows), len(row), length(row),
			one["prompt_eval_count"])
	}
	list := s.ok("POST", "/api/embed", object{"model": "minilm", "dimensions": 100,
		"input": []string{"why is the sky blue?", "", "a third"}})
	rows = list["embeddings"].([]any)
	if row := numbers(rows[0]); len(rows) != 3 || len(row) != 100 ||
		math.Abs(length(row)-1) > 1e-5 {
		t.Errorf("%d rows of %d numbers", len(rows), len(row))
	}
	more := s.ok("POST", "/api/embed", object{"model": "minilm", "input": "a",
		"dimensions": 1000})
	if row := numbers(more["embeddings"].([]any)[0]); len(row) != 384 {
		t.Errorf("1000 dimensions are %d, want the 384 that there are", len(row))
	}
	old := s.ok("POST", "/api/embeddings", object{"model": "minilm",
		"prompt": "why is the sky blue?"})
	for i, x := range numbers(old["embedding"]) {
		if math.Abs(x-row[i]) > 1e-3 {
			t.Fatalf("number %d is %g by the older route, %g by the newer", i, x, row[i])
		}
	}
}

func TestEmbeddingNothingIsNoError(t *testing.T) {
	s := newEmbedSite(t)
	for _, input := range []any{nil, "", []string{}} {
		got := s.ok("POST", "/api/embed", object{"model": "minilm", "input": input})
		if rows := got["embeddings"].([]any); len(rows) != 0 {
			t.Errorf("%v has %d embeddings", input, len(rows))
		}
	}
	got := s.ok("POST", "/api/embed", object{"model": "minilm", "input": []string{""}})
	if rows := got["embeddings"].([]any); len(rows) != 1 || got["truncated"] != nil {
		t.Errorf("a list with an empty text has %d embeddings", len(rows))
	}
	got = s.ok("POST", "/api/embeddings", object{"model": "minilm", "prompt": ""})
	if rows := got["embedding"].([]any); len(rows) != 0 {
		t.Errorf("an empty prompt has %d numbers", len(rows))
	}
}

func TestLongTextsAreCutForOllamaAlone(t *testing.T) {
	s := newEmbedSite(t)
	long := strings.Repeat("a long text ", 400_000) // 5 MB
	got := s.ok("POST", "/api/embed", object{"model": "minilm", "input": long})
	if cut := got["truncated"].([]any); got["prompt_eval_count"] != 512.0 || cut[0] != true {
		t.Errorf("%v tokens, want 512; cut: %v", got["prompt_eval_count"], cut)
	}
	s.refused("POST", "/api/embed",
		object{"model": "minilm", "input": long, "truncate": false}, 400,
		"the input length exceeds the context length")
	s.refused("POST", "/v1/embeddings", object{"model": "minilm", "input": long}, 400,
		"context_length_exceeded", "512")
}

func TestOpenAIClientsGetEmbeddings(t *testing.T) {
	s := newEmbedSite(t)
	texts := []string{"first", "the second text"}
	got := s.ok("POST", "/v1/embeddings", object{"model": "minilm", "input": texts})
	coded := s.ok("POST", "/v1/embeddings", object{"model": "minilm", "input": texts,
		"encoding_format": "base64"})
	for i, item := range got["data"].([]any) {
		plain := item.(object)
		row := numbers(plain["embedding"])
		text := coded["data"].([]any)[i].(object)["embedding"].(string)
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(data) != 4*384 || plain["index"] != float64(i) {
			t.Fatalf("item %d: %d bytes, %v", i, len(data), err)
		}
		for j, x := range row {
			bits := binary.LittleEndian.Uint32(data[4*j:])
			if math.Abs(float64(math.Float32frombits(bits))-x) > 1e-3 {
				t.Fatalf("number %d of item %d differs", j, i)
			}
		}
	}
	usage := got["usage"].(object)
	if got["object"] != "list" || usage["prompt_tokens"] != 8.0 || usage["total_tokens"] != 8.0 {
		t.Errorf("usage %v", usage)
	}
	short := s.ok("POST", "/v1/embeddings", object{"model": "minilm", "input": "a",
		"dimensions": 2})
	if row := numbers(short["data"].([]any)[0].(object)["embedding"]); len(row) != 2 {
		t.Errorf("2 dimensions are %v", row)
	}
}

func TestTokensAreTexts(t *testing.T) {
	s := newEmbedSite(t)
	tokens := s.ok("POST", "/tokenize", object{"model": "minilm", "content": "one text",
		"add_special": true})["tokens"]
	for name, input := range map[string]any{
		"a text": "one text", "tokens": tokens, "lists": []any{tokens},
		"an object": object{"prompt_string": "one text"},
		"parts": object{"content": []object{
			{"type": "text", "text": "one "}, {"type": "text", "text": "text"}}},
	} {
		got := s.ok("POST", "/v1/embeddings", object{"model": "minilm", "input": input})
		if n := got["usage"].(object)["prompt_tokens"]; n != 4.0 || len(got["data"].([]any)) != 1 {
			t.Errorf("%s: %v tokens", name, n)
		}
	}
}

func TestTextsAndTokensKeepTheirOrder(t *testing.T) {
	s := newEmbedSite(t)
	tokens := s.ok("POST", "/tokenize", object{"model": "minilm", "content": "the second",
		"add_special": true})["tokens"]
	mixed := s.ok("POST", "/api/embed", object{"model": "minilm",
		"input": []any{"the first", tokens, object{"prompt_string": "a third"}}})
	texts := s.ok("POST", "/api/embed", object{"model": "minilm",
		"input": []any{"the first", "the second", "a third"}})
	for i, row := range texts["embeddings"].([]any) {
		a, b := numbers(row), numbers(mixed["embeddings"].([]any)[i])
		dot := 0.0
		for j := range a {
			dot += a[j] * b[j]
		}
		if dot < 0.999 {
			t.Errorf("input %d has similarity %g to its text", i, dot)
		}
	}
}

func TestLlamaServersRouteHasRows(t *testing.T) {
	s := newEmbedSite(t)
	for pooling, want := range map[string]int{"": 1, "none": 4} {
		status, text := s.send("POST", "/embedding", object{"model": "minilm",
			"content": "one text", "pooling": pooling})
		var got []struct {
			Index     int         `json:"index"`
			Embedding [][]float64 `json:"embedding"`
		}
		err := json.Unmarshal([]byte(text), &got)
		if status != 200 || err != nil || len(got) != 1 || len(got[0].Embedding) != want {
			t.Errorf("pooling %q: status %d, %v, %.80s", pooling, status, err, text)
		}
	}
	got := s.ok("POST", "/api/embed", object{"model": "minilm", "input": "one text",
		"pooling": "none"})
	if rows := got["token_embeddings"].([]any)[0].([]any); len(rows) != 4 {
		t.Errorf("%d rows, want 4", len(rows))
	}
}

func TestRequestsThatCannotBeEmbeddedAreRefused(t *testing.T) {
	s := newEmbedSite(t)
	many := slices.Repeat([]string{"a"}, 100_000)
	for _, c := range []struct {
		path   string
		body   object
		status int
		words  string
	}{
		{"/api/embed", object{"model": "minilm", "input": 1}, 400, "invalid input type"},
		{"/api/embed", object{"model": "minilm", "input": []any{"a", true}}, 400, "invalid input"},
		{"/v1/embeddings", object{"model": "minilm", "input": object{"content": "a"}}, 400,
			"invalid input"},
		{"/api/embed", object{"model": "minilm", "input": many}, 400, "at most 4096"},
		{"/api/embed", object{"model": "nothing", "input": "a"}, 404, "not found"},
		{"/api/embed", object{"model": "minilm", "input": "a", "pooling": "max"}, 400, "mean"},
		{"/api/embed", object{"model": "ranker", "input": "a"}, 400, "ranks documents"},
		{"/api/embeddings", object{"model": "", "prompt": "a"}, 400, "model is required"},
		{"/api/generate", object{"model": "minilm", "prompt": "a"}, 400, "does not support"},
		{"/v1/embeddings", object{"model": "minilm"}, 400, "input is required"},
		{"/v1/embeddings", object{"model": "minilm", "input": []string{}}, 400, "empty list"},
		{"/v1/embeddings", object{"model": "minilm", "input": ""}, 400, "is empty"},
		{"/v1/embeddings", object{"model": "minilm", "input": "a", "dimensions": 385}, 400, "384"},
		{"/v1/embeddings", object{"model": "minilm", "input": "a", "dimensions": 0}, 400, "1"},
		{"/v1/embeddings", object{"model": "minilm", "input": "a", "encoding_format": "hex"}, 400,
			"base64"},
		{"/v1/embeddings", object{"model": "minilm", "input": []int{1 << 20}}, 400, "vocabulary"},
		{"/v1/embeddings", object{"model": "minilm", "input": "a", "pooling": "none"}, 400,
			"/embedding"},
		{"/v1/rerank", object{"model": "minilm", "query": "a", "documents": []string{"b"}}, 400,
			"does not rank"},
	} {
		s.refused("POST", c.path, c.body, c.status, c.words)
	}
}

// The forms of OpenAI and Ollama have no place for an error of one input, so it names the input.
func TestABadInputIsNamed(t *testing.T) {
	s := newEmbedSite(t)
	long := strings.Repeat("long ", 600)
	spoilt := []int{101, 1 << 20, 102} // a token that there is not
	for _, c := range []struct {
		path  string
		body  object
		words []string
	}{
		{"/api/embed", object{"input": []string{"a", "b", "c", long}, "truncate": false},
			[]string{"input[3]: the input length exceeds the context length"}},
		{"/api/embed", object{"input": []any{"a", spoilt}}, []string{"input[1]: ", "vocabulary"}},
		{"/api/embed", object{"input": []any{"a", true}}, []string{"input[1]: invalid input type"}},
		{"/api/embed", object{"input": long, "truncate": false},
			[]string{`input: the input length exceeds`}},
		{"/api/embeddings", object{"prompt": "a", "options": object{"num_ctx": 2}},
			[]string{"prompt: "}},
		{"/v1/embeddings", object{"input": []string{"a", long}},
			[]string{"input[1]: ", `"param":"input[1]"`, `"code":"context_length_exceeded"`}},
		{"/v1/embeddings", object{"input": []string{"a", ""}},
			[]string{"input[1]: the text is empty", `"param":"input[1]"`}},
		{"/v1/embeddings", object{"input": ""}, []string{`"param":"input"`}},
		{"/v1/embeddings", object{"input": [][]int{{101}, {1, 1 << 20}}}, []string{"input[1]: "}},
		{"/embedding", object{"content": []string{"a", long}}, []string{"content[1]: "}},
		{"/v1/score", object{"query": long, "documents": []string{"a"}},
			[]string{`"query: score: the query: `, "shorten the query"}},
	} {
		c.body["model"] = "minilm"
		for _, words := range c.words {
			s.refused("POST", c.path, c.body, 400, words)
		}
	}
	texts := object{"model": "ranker", "query": "a", "texts": []string{"b", ""}}
	s.refused("POST", "/rerank", texts, 400, "texts[1]: ")
	s.ok("POST", "/v1/score", object{"model": "minilm", "query": "a",
		"documents": []string{"b", "", long}}) // which are cut, and none of which is nothing
}

func TestAClientThatAsksForItGetsTheErrorOfEachText(t *testing.T) {
	s := newEmbedSite(t)
	long := strings.Repeat("long ", 600)
	for _, pooling := range []string{"", "none"} {
		got := s.ok("POST", "/api/embed", object{"model": "minilm", "pooling": pooling,
			"input": []string{long, "a", "b"}, "truncate": false, "item_errors": true})
		rows, errs := got["embeddings"].([]any), got["errors"].([]any)
		if pooling == "none" {
			rows = got["token_embeddings"].([]any)
		}
		bad, _ := errs[0].(object)
		if len(rows) != 3 || len(rows[1].([]any)) == 0 || len(errs) != 3 || errs[1] != nil ||
			bad["kind"] != "context_full" || !strings.Contains(fmt.Sprint(bad["error"]), "602") {
			t.Errorf("pooling %q: %d rows, errors %v", pooling, len(rows), errs)
		}
	}
}

func TestAModelThatChatsEmbedsToo(t *testing.T) {
	s := newSite(t, Config{})
	got := s.ok("POST", "/api/embed", object{"model": "tiny", "input": []string{"a", "b c"}})
	if rows := got["embeddings"].([]any); len(rows) != 2 || len(numbers(rows[1])) != 64 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestDocumentsAreRanked(t *testing.T) {
	s := newEmbedSite(t)
	documents := []any{"one", object{"text": "another"}, "a third, which is longer"}
	for _, path := range []string{"/v1/rerank", "/rerank", "/v1/reranking", "/reranking"} {
		got := s.ok("POST", path, object{"model": "ranker", "query": "which?",
			"documents": documents, "return_documents": true, "top_n": 2})
		results := got["results"].([]any)
		if len(results) != 2 || got["method"] != "head" ||
			got["usage"].(object)["total_tokens"] == 0.0 {
			t.Fatalf("%s: %v", path, got)
		}
		first, second := results[0].(object), results[1].(object)
		if first["relevance_score"].(float64) < second["relevance_score"].(float64) ||
			first["document"].(object)["text"] == "" {
			t.Errorf("%s: %v", path, results)
		}
	}
	status, text := s.send("POST", "/rerank", object{"model": "ranker", "query": "which?",
		"texts": []string{"one", "two"}, "return_text": true})
	var list []teiResult
	if err := json.Unmarshal([]byte(text), &list); status != 200 || err != nil || len(list) != 2 {
		t.Errorf("texts: status %d, %s", status, text)
	}
}

func TestDocumentsAreScoredByTheirTokens(t *testing.T) {
	s := newEmbedSite(t)
	answer := s.ok("POST", "/v1/score", object{"model": "minilm", "query": "a long text",
		"documents": []string{"other", "a long text"}})
	results := answer["results"].([]any)
	best := results[0].(object)
	if answer["method"] != "tokens" || len(results) != 2 || best["index"].(float64) != 1 ||
		best["relevance_score"].(float64) < 2.9 {
		t.Errorf("%v", answer)
	}
	s.refused("POST", "/v1/score", object{"model": "minilm", "query": "",
		"documents": []string{"a"}}, 400, "query is required")
}

func TestRankingsThatCannotBeMadeAreRefused(t *testing.T) {
	s := newEmbedSite(t)
	for words, body := range map[string]object{
		"query is required":  {"documents": []string{"a"}},
		"documents must be":  {"query": "a", "documents": []string{}},
		"top_n is 0":         {"query": "a", "documents": []string{"a"}, "top_n": 0},
		"documents[1]: nei":  {"query": "a", "documents": []any{"a", 1}},
		"documents[0]: rer":  {"query": "a", "documents": []string{"", "b"}},
		"query: rerank: the": {"query": strings.Repeat("long ", 600), "documents": []string{"a"}},
		"query: rerank: of ": {"query": strings.Repeat("long ", 99999), "documents": []string{"a"}},
	} {
		body["model"] = "ranker"
		s.refused("POST", "/v1/rerank", body, 400, words)
	}
	cannot := object{"model": "minilm", "query": "a", "documents": []string{"b"}}
	s.refused("POST", "/v1/rerank", cannot, 400, `"kind":"unsupported"`)
}

func TestEmbeddingsOfManyCallersAreTheirOwn(t *testing.T) {
	s := newEmbedSite(t)
	t.Run("all", func(t *testing.T) {
		for i := range 8 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				text := strings.Repeat(fmt.Sprint("text ", i), i+1)
				body := object{"model": "minilm", "input": []string{text, text}}
				rows := s.ok("POST", "/api/embed", body)["embeddings"].([]any)
				a, b := numbers(rows[0]), numbers(rows[1])
				dot := 0.0
				for i := range a {
					dot += a[i] * b[i]
				}
				if dot < 0.999 {
					t.Errorf("the same text twice has similarity %g", dot)
				}
			})
		}
	})
}

func TestATextOfWhichNothingFitsIsRefused(t *testing.T) {
	s := newEmbedSite(t)
	body := object{"model": "minilm", "input": "why is the sky blue?",
		"options": object{"num_ctx": 3}}
	if got := s.ok("POST", "/api/embed", body); got["prompt_eval_count"] != 3.0 {
		t.Errorf("cut to three tokens: %v", got["prompt_eval_count"])
	}
	for _, size := range []int{1, 2} {
		body["options"] = object{"num_ctx": size}
		s.refused("POST", "/api/embed", body, 400, "input after truncation exceeds maximum")
	}
}
