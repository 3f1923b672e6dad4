package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

// badInput is what a model is asked for, with the names of the errors that may come; "" is none.
var badInput = []struct {
	name, op string
	request  map[string]any
	want     []string
}{
	{"no characters", "embed", map[string]any{"input": ""}, []string{""}},
	{"an object", "embed", map[string]any{"input": map[string]any{"a": 1}}, []string{"invalid"}},
	{"half a token", "embed", map[string]any{"input": []any{1.5}}, []string{"invalid"}},
	{"null", "embed", map[string]any{"input": nil}, []string{"invalid"}},
	{"5 MB", "embed", map[string]any{"input": fiveMB}, []string{"context_full"}},
	{"5 MB that may be cut", "embed", map[string]any{"input": fiveMB, "truncate": true},
		[]string{""}},
	{"5 MB of one word", "embed", map[string]any{"input": strings.Repeat("a", len(fiveMB)),
		"truncate": true}, []string{""}},
	{"a prefix of 5 MB", "embed", map[string]any{"input": "a", "prefix": fiveMB},
		[]string{"context_full"}},
	{"100,000 texts that are none", "embed", map[string]any{
		"input": slices.Repeat([]any{[]int{-1}}, 100_000)}, []string{"invalid"}},
	{"dimensions beyond all numbers", "embed", map[string]any{"input": "a", "dimensions": 1e300},
		[]string{"invalid"}},
	{"a query of 5 MB", "score", map[string]any{"query": fiveMB, "documents": []string{"a"}},
		[]string{"context_full"}},
	{"a document of 5 MB", "score", map[string]any{"query": "a", "documents": []string{fiveMB}},
		[]string{""}},
	{"no characters of a query", "score", map[string]any{"query": "", "documents": []string{"a"}},
		[]string{"", "invalid"}},
	{"documents of no kind", "score", map[string]any{"query": "a", "documents": []any{nil}},
		[]string{"invalid"}},
	{"ranking by an embedder", "rerank", map[string]any{"query": "a", "documents": []string{"b"}},
		[]string{"unsupported"}},
	{"an index of 5 MB", "add", documentOf("a", fiveMB), []string{""}},
	{"an id of 5 MB", "add", documentOf(fiveMB, "a"), []string{"invalid"}},
	{"no id", "add", documentOf("", "a"), []string{"invalid"}},
	{"other dimensions", "add", map[string]any{"documents": []any{
		map[string]any{"id": "b", "vectors": [][]float32{{1, 2}}}}}, []string{"invalid"}},
	{"a search for 5 MB", "search", map[string]any{"query": fiveMB}, []string{"context_full"}},
	{"a search that wants all", "search", map[string]any{"query": "a", "top_n": 1 << 40},
		[]string{"", "invalid"}},
	{"a search of an index without groups", "search", map[string]any{"query": "a", "probe": -1},
		[]string{"", "invalid"}},
}

var fiveMB = strings.Repeat("word ", 1<<20)

func documentOf(id, text string) map[string]any {
	return map[string]any{"documents": []any{map[string]any{"id": id, "text": text}}}
}

// TestBadInputIsAnErrorThatSaysSo asks a model of this process and one of a daemon.
func TestBadInputIsAnErrorThatSaysSo(t *testing.T) {
	here, err := openLocal(&runtimeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer here.close()
	d := testdaemon.Start(t, map[string]string{"minilm": "minilm"}, "--ctx-size", "512")
	there, err := openRemote(&runtimeOptions{URL: d.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer there.close()
	for name, e := range map[string]engine{testmodels.Path(t, "minilm"): here, "minilm": there} {
		m, err := loadWith(e, name, []byte(`{"ctx_size": 32}`))
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		x, err := openIndex(e, filepath.Join(t.TempDir(), "docs.index"), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for _, bad := range badInput {
			t.Run(filepath.Base(name)+": "+bad.name, func(t *testing.T) {
				request, err := json.Marshal(bad.request)
				if err != nil {
					t.Fatal(err)
				}
				askBadly(t, m, x, bad.op, request, bad.want)
			})
		}
	}
}

func askBadly(t *testing.T, m model, x *index, op string, request []byte, want []string) {
	t.Helper()
	var err error
	switch op {
	case "embed":
		result, failed := m.embed(request)
		if err = failed; err == nil {
			err = result.Err()
		}
	case "score":
		_, err = m.score(request)
	case "rerank":
		_, err = m.rerank(request)
	case "add":
		err = x.add(request)
	case "search":
		_, err = x.search(request)
	}
	got, message := "", ""
	if err != nil {
		code, text := explain(err)
		got, message = statusName(code), text
	}
	if !slices.Contains(want, got) {
		t.Errorf("the error is %q: %.300s; want one of %q", got, message, want)
	}
	if len(message) > 600 || strings.Contains(message, "\n") {
		t.Errorf("the error is no sentence, but %d bytes: %.300s", len(message), message)
	}
}
