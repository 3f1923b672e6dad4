package server

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocumentNamesEveryRouteAndOption(t *testing.T) {
	data, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	for _, r := range New(&fake{}, Config{}).routes() {
		name := strings.NewReplacer("{$}", "", "...", "").Replace(r.pattern)
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/api.md does not name %s", name)
		}
	}
	for name := range optionSetters {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/api.md does not name the option %s", name)
		}
	}
}

func TestTheDescriptionHasEveryRoute(t *testing.T) {
	s := newSite(t, Config{})
	got := s.ok("GET", "/openapi.json", nil)
	paths := got["paths"].(object)
	for pattern, o := range operations {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{$}", "", "...", "").Replace(path)
		described, _ := paths[path].(object)
		if described[strings.ToLower(method)] == nil {
			t.Errorf("%s is not described", pattern)
		}
		for _, value := range []any{o.request, o.answer} {
			if value == nil {
				continue
			}
			if schema := schemaOf(value, true); schema.Type == "" && len(schema.Types) == 0 {
				t.Errorf("%s: %T has no schema", pattern, value)
			}
		}
	}
	for _, r := range s.s.routes() {
		if _, described := operations[r.pattern]; !described {
			t.Errorf("%s is not described", r.pattern)
		}
	}
	chat := paths["/v1/chat/completions"].(object)["post"].(object)["requestBody"].(object)
	schema := chat["content"].(object)["application/json"].(object)["schema"].(object)
	properties := schema["properties"].(object)
	if properties["messages"] == nil || properties["max_tokens"] == nil ||
		properties["top_k"] == nil || schema["required"] != nil {
		t.Errorf("a chat is described as %v", schema)
	}
}

func TestThePageConnectsOnlyHere(t *testing.T) {
	s := newSite(t, Config{Keys: []string{"x"}})
	resp := s.do("GET", "/ws/try", nil, nil)
	var body strings.Builder
	if _, err := copyBody(&body, resp); err != nil || resp.StatusCode != 200 ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "connect-src 'self'") ||
		!strings.Contains(body.String(), "/ws") {
		t.Errorf("the page: %d %v", resp.StatusCode, resp.Header)
	}
}
