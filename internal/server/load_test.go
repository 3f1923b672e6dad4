package server

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAMixedLoadLeavesNothingBehind sends good, broken and abandoned requests from many clients.
func TestAMixedLoadLeavesNothingBehind(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/generate", object{"model": "tiny"})
	before := runtime.NumGoroutine()
	var clients sync.WaitGroup
	for seed := range uint64(32) {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 6 {
				s.anyRequest(t, random)
			}
		})
	}
	clients.Wait()
	s.Client().CloseIdleConnections()
	for i := 0; s.fake.busy() > 0 || runtime.NumGoroutine() > before+2; i++ {
		if i > 2000 {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d requests and %d goroutines are left, before %d\n%s", s.fake.busy(),
				runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// anyRequest sends one of many kinds of request, and may go away before it is answered.
func (s *site) anyRequest(t *testing.T, random *rand.Rand) {
	n := 1 + random.IntN(60)
	kinds := []struct {
		path   string
		body   object
		status int
		end    string // of a whole answer
	}{
		{"/api/generate", object{"model": "tiny", "prompt": "a", "options": greedy(n)}, 200,
			`"done":true`},
		{"/api/chat", object{"model": "tiny", "messages": hello(), "options": greedy(n)}, 200,
			`"done":true`},
		{"/v1/chat/completions", object{"model": "tiny", "messages": hello(), "max_tokens": n,
			"stream": true, "n": 2}, 200, "[DONE]"},
		{"/v1/completions", object{"model": "tiny", "prompt": "a", "max_tokens": n}, 200, "usage"},
		{"/tokenize", object{"model": "tiny", "content": "abc"}, 200, "tokens"},
		{"/api/chat", object{"model": "none", "messages": hello()}, 404, "not found"},
		{"/api/generate", object{"model": 5}, 400, "model"},
	}
	kind := kinds[random.IntN(len(kinds))]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	leaves := random.IntN(3) == 0
	if leaves {
		time.AfterFunc(time.Duration(random.IntN(20))*time.Millisecond, cancel)
	}
	data, err := json.Marshal(kind.body)
	if err != nil {
		t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+kind.path,
		strings.NewReader(string(data)))
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := s.Client().Do(req)
	if err == nil {
		defer resp.Body.Close()
		data, err = io.ReadAll(resp.Body)
	}
	if leaves {
		return
	}
	if err != nil || resp.StatusCode != kind.status || !strings.Contains(string(data), kind.end) {
		t.Errorf("%s %v: %v, %.200s", kind.path, kind.body, err, data)
	}
}
