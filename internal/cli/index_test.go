package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testmodels"
)

const someDocuments = `{"id": "animals", "text": "llamas and alpacas"}
{"id": "cars", "text": "engine wheel"}
`

func TestDocumentsAreKeptAndFound(t *testing.T) {
	needEngine(t)
	path := filepath.Join(t.TempDir(), "docs.index")
	do := func(stdin string, args ...string) outcome {
		return run(newFake(), stdin, append([]string{"index", args[0], path}, args[1:]...)...)
	}
	if got := do("", "create", "m.gguf", "--vectors", "f32"); got != (outcome{}) {
		t.Fatalf("create: %+v", got)
	}
	got := do(someDocuments, "add", "m.gguf")
	if got.code != 0 || got.out != "added 2 documents to "+path+"\n" {
		t.Fatalf("add: %+v", got)
	}
	got = do("", "search", "m.gguf", "every wheel")
	if got.code != 0 || !strings.HasPrefix(got.out, "2.0000  cars\n") {
		t.Errorf("search: %+v", got)
	}
	got = do("", "search", "m.gguf", "--top", "1", "--json", "llama")
	if !strings.HasPrefix(got.out, `{"id":"animals","score":`) ||
		strings.Count(got.out, "\n") != 1 {
		t.Errorf("search for JSON: %+v", got)
	}
	got = do("", "search", "m.gguf", "--index-device", "CPU", "--top", "1", "every wheel")
	if got.out != "2.0000  cars\n" {
		t.Errorf("search on a device: %+v", got)
	}
	got = do("", "search", "m.gguf", "--index-device", "TPU7", "every wheel")
	if got.code != exitUsage || !strings.Contains(got.err, "no device named TPU7; this machine") {
		t.Errorf("search on a device that is not there: %+v", got)
	}
	if got := do("", "train", "--groups", "2"); got != (outcome{}) {
		t.Errorf("train: %+v", got)
	}
	got = do("", "search", "m.gguf", "--probe", "1", "--top", "1", "llama")
	if got.out != "1.0000  animals\n" {
		t.Errorf("search by groups: %+v", got)
	}
	got = do("", "info")
	for _, want := range []string{"vectors    f32, 2 numbers", "documents  2", "tokens     5",
		"groups     2, of 2 documents"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("info lacks %q: %+v", want, got)
		}
	}
	if got := do("", "info", "--json"); !strings.Contains(got.out, `"documents":2,`) {
		t.Errorf("info as JSON: %+v", got)
	}
	if got := do("", "verify"); got.out != path+" is whole\n" {
		t.Errorf("verify: %+v", got)
	}
	if got := do("", "verify", "--json"); got.out != `{"file":"`+path+`","ok":true}`+"\n" {
		t.Errorf("verify for JSON: %+v", got)
	}
	got = do(strings.ReplaceAll(someDocuments, `"id": "`, `"id": "new `), "add", "m.gguf", "--json")
	if got.out != `{"file":"`+path+`","added":2}`+"\n" {
		t.Errorf("add for JSON: %+v", got)
	}
}

func TestWhatAnIndexCannotTakeIsSaid(t *testing.T) {
	needEngine(t)
	path := filepath.Join(t.TempDir(), "docs.index")
	do := func(fake *fakeEngine, stdin string, args ...string) outcome {
		return run(fake, stdin, append([]string{"index", args[0], path}, args[1:]...)...)
	}
	expect := func(got outcome, words ...string) {
		t.Helper()
		for _, word := range words {
			if got.code == 0 || !strings.Contains(got.err, word) {
				t.Errorf("got %+v, want %q", got, word)
			}
		}
	}
	expect(do(newFake(), "", "info"), "no such file")
	if got := do(newFake(), "", "create", "m.gguf"); got.code != 0 {
		t.Fatalf("create: %+v", got)
	}
	expect(do(newFake(), "", "create", "m.gguf"), "is there already")
	expect(do(newFake(), "no JSON\n", "add", "m.gguf"), "line 1 of stdin is not a JSON object")
	expect(do(newFake(), `{"id": 1, "text": "a"}`, "add", "m.gguf"), `no text in the field "id"`)
	var many strings.Builder
	for i := range addDocuments {
		fmt.Fprintf(&many, "{\"id\": \"%d\", \"text\": \"a\"}\n", i)
	}
	got := do(newFake(), many.String()+`{"id": "x", "text": "bad"}`, "add", "m.gguf")
	expect(got, `document "x": that text again`, "256 documents were added before the error")
	expect(do(newFake(), `{"id": "7", "text": "a"}`, "add", "m.gguf"), `"7" is in index`)
	expect(do(newFake(), "", "search", "m.gguf"),
		"search needs the file of an index, a model and a query")
	expect(do(newFake(), "", "search", "m.gguf", ""), "search needs a query")
	other := newFake()
	other.model.info.Name = "Another"
	expect(do(other, "", "search", "m.gguf", "a"), "not of Another")
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	expect(do(newFake(), "", "verify"), "5000 bytes of", "build it anew")
}

func TestARealIndexFindsWhatAQueryMeans(t *testing.T) {
	needEngine(t)
	model := testmodels.Path(t, "minilm-q8")
	path := filepath.Join(t.TempDir(), "docs.index")
	for _, step := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"create", path, model, "--vectors", "int8"}},
		{someDocuments, []string{"add", path, model}},
		{"", []string{"verify", path}},
	} {
		got := realRun(t, step.stdin, append([]string{"index"}, step.args...)...)
		if got.code != 0 {
			t.Fatalf("%s: %+v", step.args[0], got)
		}
	}
	got := realRun(t, "", "index", "search", path, model, "motor vehicle", "--top", "1")
	if got.code != 0 || !strings.HasSuffix(got.out, "  cars\n") {
		t.Errorf("got %+v", got)
	}
}
