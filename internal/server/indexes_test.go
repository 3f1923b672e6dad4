package server

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// newIndexSite is a site that keeps indexes in a folder.
func newIndexSite(t *testing.T) (*site, string) {
	t.Helper()
	s := newEmbedSite(t)
	folder := filepath.Join(t.TempDir(), "indexes")
	s.s.indexes.folder = folder
	t.Cleanup(s.s.indexes.forget)
	return s, folder
}

func TestDocumentsOfAnIndexAreFoundOverHTTP(t *testing.T) {
	s, folder := newIndexSite(t)
	if got := s.ok("GET", "/v1/indexes", nil); len(got["data"].([]any)) != 0 {
		t.Errorf("indexes before there are any: %v", got)
	}
	made := s.ok("POST", "/v1/indexes", object{"name": "docs", "model": "minilm",
		"vectors": "f32"})
	if made["dimensions"].(float64) < 1 || made["vectors"] != "f32" || made["documents"] != 0.0 ||
		made["model"] == "" {
		t.Fatalf("made %v", made)
	}
	added := s.ok("POST", "/v1/indexes/docs/documents", object{"model": "minilm",
		"documents": []any{object{"id": "long", "text": "a long text"},
			object{"id": "other", "text": "other"}}})
	if added["documents"] != 2.0 || added["tokens"].(float64) < 5 {
		t.Errorf("added %v", added)
	}
	got := s.ok("POST", "/v1/indexes/docs/search", object{"model": "minilm",
		"query": "a long text", "top_n": 1})
	results := got["results"].([]any)
	if len(results) != 1 || results[0].(object)["id"] != "long" ||
		results[0].(object)["score"].(float64) < 2.9 {
		t.Errorf("found %v", got)
	}
	if got := s.ok("POST", "/v1/indexes/docs/verify", nil); got["whole"] != true {
		t.Errorf("verified %v", got)
	}
	list := s.ok("GET", "/v1/indexes", nil)["data"].([]any)
	if len(list) != 1 || list[0].(object)["name"] != "docs" ||
		list[0].(object)["documents"] != 2.0 {
		t.Errorf("list %v", list)
	}
	s.ok("DELETE", "/v1/indexes/docs", nil)
	if _, err := os.Stat(filepath.Join(folder, "docs.index")); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
	s.refused("POST", "/v1/indexes/docs/search", object{"model": "minilm", "query": "a"}, 404,
		"there is no index docs")
}

func TestAnIndexTakesVectorsOfTheCallersOwn(t *testing.T) {
	s, _ := newIndexSite(t)
	s.ok("POST", "/v1/indexes", object{"name": "own", "dimensions": 2, "vectors": "f32"})
	s.ok("POST", "/v1/indexes/own/documents", object{"documents": []any{
		object{"id": "x", "vectors": [][]float32{{1, 0}}},
		object{"id": "y", "vectors": [][]float32{{0, 1}, {0, 2}}},
	}})
	got := s.ok("POST", "/v1/indexes/own/search", object{"vectors": [][]float32{{0, 1}}})
	first := got["results"].([]any)[0].(object)
	if first["id"] != "y" || first["score"] != 2.0 {
		t.Errorf("found %v", got)
	}
	s.refused("POST", "/v1/indexes/own/search", object{"vectors": [][]float32{{1, 2, 3}}}, 400,
		"3 numbers, not 2")
	s.refused("POST", "/v1/indexes/own/search", object{"model": "minilm", "query": "a"}, 400, "")
}

func TestRequestsThatAnIndexCannotServeAreRefused(t *testing.T) {
	s, folder := newIndexSite(t)
	s.ok("POST", "/v1/indexes", object{"name": "docs", "model": "minilm"})
	one := []any{object{"id": "1", "text": "a"}}
	s.ok("POST", "/v1/indexes/docs/documents", object{"model": "minilm", "documents": one})
	if err := os.Symlink("docs.index", filepath.Join(folder, "link.index")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		body         object
		status       int
		words        string
	}{
		{"POST", "/v1/indexes", object{"name": "../x", "dimensions": 2}, 400,
			"the name of an index"},
		{"POST", "/v1/indexes", object{"dimensions": 2}, 400, "the name of an index"},
		{"POST", "/v1/indexes", object{"name": "docs", "dimensions": 2}, 409, "already"},
		{"POST", "/v1/indexes", object{"name": "x"}, 400, "name the model"},
		{"POST", "/v1/indexes", object{"name": "x", "dimensions": 3, "model": "minilm"}, 400,
			"dimensions are 3"},
		{"POST", "/v1/indexes", object{"name": "x", "dimensions": 70000}, 400, "1 to 65536"},
		{"POST", "/v1/indexes", object{"name": "x", "vectors": "f8"}, 400, "use f32, f16 or int8"},
		{"GET", "/v1/indexes/..%2Fdocs", nil, 400, "the name of an index"},
		{"GET", "/v1/indexes/link", nil, 404, "there is no index link"},
		{"DELETE", "/v1/indexes/none", nil, 404, "there is no index none"},
		{"POST", "/v1/indexes/docs/documents", object{"documents": []any{}}, 400, "at least one"},
		{"POST", "/v1/indexes/docs/documents", object{"documents": []any{object{"id": "2"}}}, 400,
			"document 1 must have a text or vectors"},
		{"POST", "/v1/indexes/docs/documents", object{"model": "minilm", "documents": one}, 400,
			`is in index docs.index already`},
		{"POST", "/v1/indexes/docs/documents", object{"model": "tiny", "documents": []any{
			object{"id": "2", "text": "a"}}}, 400, "the index has vectors of"},
		{"POST", "/v1/indexes/docs/search", object{"model": "tiny", "query": "a"}, 400,
			"the index has vectors of"},
		{"POST", "/v1/indexes/docs/search", object{}, 400, "a query or vectors"},
		{"POST", "/v1/indexes/docs/search", object{"query": "a", "top_n": 0}, 400, "top_n is 0"},
	} {
		s.refused(c.method, c.path, c.body, c.status, c.words)
	}
	without := newEmbedSite(t)
	without.refused("GET", "/v1/indexes/docs", nil, 404, "keeps no indexes")
	if got := without.ok("GET", "/v1/indexes", nil); len(got["data"].([]any)) != 0 {
		t.Errorf("a server without indexes lists %v", got)
	}
}

func TestAnIndexThatIsCutWhileItIsUsedIsAnErrorAndNotTheEnd(t *testing.T) {
	s, folder := newIndexSite(t)
	s.ok("POST", "/v1/indexes", object{"name": "docs", "dimensions": 2})
	rows := make([][]float32, 5000)
	for i := range rows {
		rows[i] = []float32{1, 0}
	}
	s.ok("POST", "/v1/indexes/docs/documents", object{"documents": []any{
		object{"id": "a", "vectors": rows}}})
	search := object{"vectors": [][]float32{{1, 0}}}
	s.ok("POST", "/v1/indexes/docs/search", search)
	path := filepath.Join(folder, "docs.index")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				s.send("POST", "/v1/indexes/docs/search", search)
			}
		})
	}
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	s.refused("POST", "/v1/indexes/docs/search", search, 500, "5000 bytes of")
	s.refused("POST", "/v1/indexes/docs/verify", nil, 500, "build it anew")
	list := s.ok("GET", "/v1/indexes", nil)["data"].([]any)
	if text, _ := list[0].(object)["error"].(string); !strings.Contains(text, "5000 bytes of") {
		t.Errorf("the list says %v", list)
	}
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	s.ok("POST", "/v1/indexes/docs/search", search) // mended
	s.ok("DELETE", "/v1/indexes/docs", nil)
	s.ok("POST", "/v1/indexes", object{"name": "docs", "dimensions": 3})
	if got := s.ok("GET", "/v1/indexes/docs", nil); got["dimensions"] != 3.0 {
		t.Errorf("made anew: %v", got)
	}
}

func TestAnIndexThatNobodyUsesIsClosed(t *testing.T) {
	s, folder := newIndexSite(t)
	files := &s.s.indexes
	s.ok("POST", "/v1/indexes", object{"name": "docs", "dimensions": 2})
	x, release, err := files.use("docs")
	if err != nil {
		t.Fatal(err)
	}
	files.forget()
	if again, other, err := files.use("docs"); err != nil || again != x {
		t.Errorf("a second user has another index, %v", err)
	} else {
		other()
	}
	// Another file of this name is another index, and the first stays for who has it.
	path := filepath.Join(folder, "docs.index")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	next, done, err := files.use("docs")
	if err != nil || next == x {
		t.Errorf("the old index for a new file, %v", err)
	}
	if _, err := x.Info(); err != nil {
		t.Errorf("the first: %v", err)
	}
	release()
	if _, err := x.Info(); err == nil {
		t.Error("the first is open when its last user has gone")
	}
	done()
	files.mu.Lock()
	o := files.open["docs"]
	files.mu.Unlock()
	files.expire("docs", o)
	if _, err := next.Info(); err == nil {
		t.Error("it is open after its time")
	}
}
