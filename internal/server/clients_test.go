package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// raw opens a connection on which a test sends what it likes.
func (s *site) raw(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// rawRequest is a request as bytes.
func rawRequest(path string, body object, headers ...string) string {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", path,
		len(data))
	return head + strings.Join(append(headers, ""), "\r\n") + "\r\n" + string(data)
}

func TestClientsMayVanishAtAnyTime(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	long := strings.Repeat("word ", 300)
	for path := range bodies {
		body := with(path, object{"stream": true, "num_predict": 200, "max_tokens": 200})
		if body["prompt"] != nil {
			body["prompt"] = long
		}
		request := rawRequest(path, body)
		head := strings.Index(request, "\r\n\r\n") + 4
		for _, length := range []int{
			0, 9, head - 2, head, (head + len(request)) / 2, len(request) - 1, len(request),
		} {
			for _, reset := range []bool{false, true} {
				conn := s.raw(t)
				if reset {
					_ = conn.SetLinger(0)
				}
				fmt.Fprint(conn, request[:length])
				if length == len(request) && reset { // or while the prompt is computed
					time.Sleep(3 * time.Millisecond)
				}
				conn.Close()
			}
		}
	}
	check()
}

func TestClientsMayVanishWhileTheyWaitForAModel(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	s.fake.delay = 50 * time.Millisecond
	for path := range bodies {
		conn := s.raw(t)
		fmt.Fprint(conn, rawRequest(path, with(path, object{"num_ctx": 1024})))
		time.Sleep(5 * time.Millisecond)
		conn.Close()
	}
	check()
}

func TestASlowRequestIsRefusedOnEveryRoute(t *testing.T) {
	s := newSite(t, Config{Keys: []string{"key"}})
	s.s.bodyTimeout = 50 * time.Millisecond
	check := func(path string, status int, headers ...string) {
		t.Helper()
		conn := s.raw(t)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		request := rawRequest(path, bodies["/api/chat"], headers...)
		fmt.Fprint(conn, request[:len(request)-5])
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		text, bad := sentence(string(body))
		if err != nil || bad != nil || resp.StatusCode != status {
			t.Errorf("%s: status %d, want %d, %q, %v, %v", path, resp.StatusCode, status, text, err,
				bad)
		}
	}
	for path := range bodies {
		check(path, http.StatusRequestTimeout, "X-Api-Key: key")
		check(path, http.StatusUnauthorized)
	}
	check("/api/none", 404, "X-Api-Key: key")
	check("/api/tags", 405, "X-Api-Key: key")
	check("/api/pull", http.StatusRequestTimeout, "X-Api-Key: key")
	check("/api/chat", 403, "Origin: http://evil.example")
}

func TestAClientThatDoesNotReadIsCutOffOnEveryRoute(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	s.s.patience = 100 * time.Millisecond
	// Answers of some MB: more than a socket takes in.
	options := object{"num_ctx": 2048, "ignore_eos": true, "num_predict": 1500}
	for name, request := range map[string]string{
		"Ollama": rawRequest("/api/generate", object{"model": "tiny", "prompt": "a",
			"logprobs": true, "top_logprobs": 20, "options": options}),
		"a whole answer of Ollama": rawRequest("/api/generate", object{"model": "tiny",
			"prompt": "a", "logprobs": true, "top_logprobs": 20, "options": options,
			"stream": false}),
		"OpenAI": rawRequest("/v1/completions", object{"model": "tiny", "prompt": "a",
			"logprobs": 20, "n": 4, "stream": true, "options": options}),
		"a whole answer of OpenAI": rawRequest("/v1/completions", object{"model": "tiny",
			"prompt": "a", "logprobs": 20, "n": 8, "options": options}),
		"llama-server": rawRequest("/completion", object{"model": "tiny", "prompt": "a",
			"n_probs": 20, "stream": true, "options": options}),
		"tokens": rawRequest("/tokenize", object{"model": "tiny", "with_pieces": true,
			"content": strings.Repeat("a", maxTokenize-10)}),
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			conn := s.raw(t)
			_ = conn.SetReadBuffer(4096)
			fmt.Fprint(conn, request)
			if _, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			check()
		})
	}
}

func TestASocketWhoseClientDoesNotReadIsCutOff(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	s.s.patience = 100 * time.Millisecond
	c := s.socket()
	body := with("/api/generate", object{"logprobs": true, "top_logprobs": 20, "options": object{
		"num_ctx": 2048, "ignore_eos": true, "num_predict": 1500}})
	for i := range 4 {
		c.send(object{"type": "generate", "id": fmt.Sprint(i), "body": body})
	}
	check()
}

func TestTooManyRequestsAreRefusedAndTheRestIsAnswered(t *testing.T) {
	const requests, queue = 2000, 100
	f := newFakeOf(t, mullama.Options{MaxQueue: queue}, synth.Options{})
	handler := New(f, Config{Defaults: testLoad}).Handler()
	var answered, refused atomic.Int32
	var all sync.WaitGroup
	begin := make(chan struct{})
	paths := []string{"/api/generate", "/v1/completions", "/completion"}
	for i := range requests {
		path := paths[i%len(paths)]
		body, err := json.Marshal(with(path, object{"stream": i%2 == 0, "max_tokens": 8,
			"options": greedy(8)}))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			<-begin
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", path,
				strings.NewReader(string(body))))
			text := w.Body.String()
			whole := strings.Contains(text, `"done":true`) || strings.Contains(text, "[DONE]") ||
				strings.Contains(text, `"usage"`) || strings.Contains(text, `"stop":true`)
			_, bad := sentence(text)
			switch {
			case w.Code == http.StatusOK && whole:
				answered.Add(1)
			case w.Code == http.StatusServiceUnavailable && bad == nil &&
				w.Header().Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("%s: status %d, %v, %.200s", path, w.Code, w.Header(), text)
			}
		})
	}
	close(begin)
	all.Wait()
	if answered.Load() < queue || refused.Load() == 0 ||
		answered.Load()+refused.Load() != requests {
		t.Errorf("of %d requests %d were answered and %d refused", requests, answered.Load(),
			refused.Load())
	}
}
