package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkTokenize is a round trip on one kept connection.
func BenchmarkTokenize(b *testing.B) {
	s := newSite(b, Config{})
	s.ok("POST", "/tokenize", object{"model": "tiny", "content": "a"})
	for b.Loop() {
		resp, err := s.Client().Post(s.URL+"/tokenize", "application/json",
			strings.NewReader(`{"model":"tiny","content":"hello world, how are you?"}`))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// BenchmarkTokenizeHandler is the part of it that is ours.
func BenchmarkTokenizeHandler(b *testing.B) {
	s := newSite(b, Config{})
	s.ok("POST", "/tokenize", object{"model": "tiny", "content": "a"})
	h := s.s.Handler()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/tokenize",
			strings.NewReader(`{"model":"tiny","content":"hello world, how are you?"}`))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// BenchmarkPart is what a token of a stream costs besides the write.
func BenchmarkPart(b *testing.B) {
	e := newOllamaEncoder("tiny", true)
	buf := make([]byte, 0, 1024)
	p := &part{text: "hello"}
	b.ReportAllocs()
	for b.Loop() {
		buf = e.append(buf[:0], p)
	}
}
