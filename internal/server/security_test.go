package server

import (
	"bytes"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = []string{pairs[i+1]}
	}
	return h
}

// status sends a request with a header and returns what came.
func (s *site) status(method, path string, h http.Header) (int, http.Header) {
	s.t.Helper()
	resp := s.do(method, path, nil, h)
	resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestKeysAreNeeded(t *testing.T) {
	s := newSite(t, Config{Keys: []string{"one", "two"}})
	for _, tt := range []struct {
		path, name, value string
		want              int
	}{
		{"/api/tags", "Authorization", "Bearer one", 200},
		{"/api/tags", "Authorization", "bearer two", 200},
		{"/v1/models", "X-Api-Key", "two", 200},
		{"/api/tags", "Authorization", "Bearer three", 401},
		{"/api/tags", "Authorization", "Bearer ", 401},
		{"/v1/models", "Authorization", "Basic one", 401},
		{"/metrics", "X-Other", "one", 401},
		{"/health", "X-Other", "one", 200},
		{"/api/none", "X-Other", "one", 401},
	} {
		if got, _ := s.status("GET", tt.path, header(tt.name, tt.value)); got != tt.want {
			t.Errorf("%s with %s %s: %d, want %d", tt.path, tt.name, tt.value, got, tt.want)
		}
	}
}

func TestOriginsOfOtherSitesAreRefused(t *testing.T) {
	s := newSite(t, Config{Origins: []string{"https://*.example.org"}})
	for origin, want := range map[string]int{
		"http://localhost:3000": 200, "http://127.0.0.1": 200, "app://x": 200,
		"https://a.example.org": 200, s.URL: 200, "vscode-webview://abc": 200,
		"http://evil.example": 403, "null": 403, "http://localhost:@evil.example": 403,
		"http://localhost.evil.example": 403, "https://example.org.evil": 403,
	} {
		got, h := s.status("GET", "/api/tags", header("Origin", origin))
		if got != want {
			t.Errorf("origin %s: %d, want %d", origin, got, want)
		}
		if echoed := h.Get("Access-Control-Allow-Origin"); echoed != "" && echoed != origin ||
			want == 403 && echoed != "" {
			t.Errorf("origin %s may do as %q", origin, echoed)
		}
	}
	for site, want := range map[string]int{"cross-site": 403, "same-origin": 200, "none": 200} {
		if got, _ := s.status("GET", "/api/tags", header("Sec-Fetch-Site", site)); got != want {
			t.Errorf("a picture of a %s page: %d, want %d", site, got, want)
		}
	}
	got, h := s.status("OPTIONS", "/api/chat", header("Origin", "http://localhost",
		"Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "x-stainless-os, authorization"))
	if got != 204 || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "x-stainless-os") ||
		!strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") {
		t.Errorf("preflight: %d %v", got, h)
	}
}

func TestALocalServerKnowsItsNames(t *testing.T) {
	s := newSite(t, Config{Local: true})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:99": 200, "127.0.0.1:1": 200, "[::1]:5": 200, "a.local": 200,
		"10.0.0.1": 200, "host.docker.internal": 200, "evil.example": 403, "8.8.8.8": 403,
		"localhost.evil.example": 403,
	} {
		if got, _ := s.status("GET", "/api/tags", header("Host", host)); got != want {
			t.Errorf("host %s: %d, want %d", host, got, want)
		}
	}
}

func TestADrainingServerFinishesWhatRuns(t *testing.T) {
	s := newSite(t, Config{})
	resp := s.do("POST", "/api/generate", object{"model": "tiny", "prompt": "a",
		"options": greedy(300)}, nil)
	defer resp.Body.Close()
	s.s.Drain()
	s.refused("POST", "/api/generate", object{"model": "tiny", "prompt": "a"}, 503, "shutting down")
	s.refused("POST", "/v1/completions", object{"model": "tiny"}, 503, "shutting down")
	s.refused("GET", "/health", nil, 503)
	var body strings.Builder
	if _, err := copyBody(&body, resp); err != nil || !strings.Contains(body.String(),
		`"done":true`) {
		t.Errorf("the running request ended with %v: %.200s", err, body.String())
	}
}

func TestEachRequestHasALineInTheLog(t *testing.T) {
	var log bytes.Buffer
	s := newSite(t, Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "stream": false,
		"options": greedy(3)})
	s.refused("POST", "/api/show", object{"model": "none"}, 404)
	s.Close() // waits for the handlers
	text := log.String()
	if strings.Count(text, "\n") != 2 {
		t.Fatalf("the log is %s", text)
	}
	for _, word := range []string{`"generated_tokens":3`, `"model":"tiny:latest"`, `"status":200`,
		`"status":404`, `"path":"/api/show"`, `"first_token":`, `not found`} {
		if !strings.Contains(text, word) {
			t.Errorf("the log does not have %s: %s", word, text)
		}
	}
}

func TestMetricsCount(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "stream": false,
		"options": greedy(5)})
	s.ok("POST", "/v1/chat/completions", object{"model": "tiny", "messages": hello(),
		"max_tokens": 2, "n": 2})
	_, text := s.send("GET", "/metrics", nil)
	for _, line := range []string{
		`mullama_generated_tokens_total{model="tiny:latest"} 9`,
		`mullama_requests_total{code="200",route="POST /api/generate"} 1`,
		`mullama_first_token_seconds_count{model="tiny:latest"} 2`,
		`mullama_slots{context="512",model="tiny:latest"} 4`,
		"mullama_inter_token_seconds_bucket", "mullama_queue_seconds_count",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("metrics do not have %s", line)
		}
	}
}

func TestClientsThatVanishFreeTheirSlots(t *testing.T) {
	s := newSite(t, Config{})
	warm := object{"model": "tiny", "prompt": "a", "stream": false,
		"options": object{"num_predict": 1, "num_ctx": 2048}}
	s.ok("POST", "/api/generate", warm)
	before := runtime.NumGoroutine()
	for i := range 12 {
		path, body := "/api/generate", object{"model": "tiny", "prompt": "a",
			"options": object{"num_ctx": 2048}}
		if i%2 == 1 {
			path, body = "/v1/completions", object{"model": "tiny", "prompt": "a", "n": 2,
				"stream": true, "num_ctx": 2048}
		}
		resp := s.do("POST", path, body, nil)
		some := make([]byte, 100)
		_, _ = resp.Body.Read(some)
		resp.Body.Close()
	}
	s.Client().CloseIdleConnections()
	deadline := time.Now().Add(10 * time.Second)
	for s.fake.busy() > 0 || runtime.NumGoroutine() > before+2 {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d leases are held and %d goroutines run, before %d\n%s",
				s.fake.busy(), runtime.NumGoroutine(), before,
				stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.ok("POST", "/api/generate", warm)
}
