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
