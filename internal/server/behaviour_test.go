package server

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/synth"
)

func TestThoughtsComeApartFromTheAnswer(t *testing.T) {
	const template = synth.ChatML + `{% if enable_thinking %}<think>
{% endif %}`
	s := newSiteOf(t, Config{}, synth.Options{Template: template})
	body := object{"model": "tiny", "messages": hello(), "stream": false, "options": greedy(5)}
	ask := func(think any) object {
		body["think"] = think
		return s.ok("POST", "/api/chat", body)["message"].(object)
	}
	for _, think := range []any{true, nil, "high"} {
		if m := ask(think); m["thinking"] == nil || m["content"] != "" {
			t.Errorf("think %v: %v", think, m)
		}
	}
	if m := ask(false); m["thinking"] != nil || m["content"] == "" {
		t.Errorf("without thinking: %v", m)
	}
	req := object{"model": "tiny", "messages": hello(), "temperature": 0, "max_tokens": 5}
	choice := firstChoice(t, s.ok("POST", "/v1/chat/completions", req))["message"].(object)
	if choice["reasoning"] == nil || choice["content"] != "" {
		t.Errorf("OpenAI's message is %v", choice)
	}
	req["reasoning_effort"] = "none"
	choice = firstChoice(t, s.ok("POST", "/v1/chat/completions", req))["message"].(object)
	if choice["reasoning"] != nil || choice["content"] == "" {
		t.Errorf("without reasoning the message is %v", choice)
	}
}

func TestThoughtsComeApartAsTheParserOfAModelHasThem(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/create", object{"model": "made", "stream": false, "from": "tiny",
		"parser":   "gemma4",
		"template": "{% for m in messages %}{{ m.content }}{% endfor %}<|channel>thought"})
	for path, body := range map[string]object{
		"/api/chat":     {"messages": hello()},
		"/api/generate": {"prompt": "hello"},
	} {
		body["model"], body["stream"], body["options"] = "made", false, greedy(5)
		for range 2 {
			text, _ := json.Marshal(s.ok("POST", path, body))
			thinks := strings.Contains(string(text), `"thinking":"`)
			if thinks == (body["think"] == false) {
				t.Errorf("%s with think %v: %s", path, body["think"], text)
			}
			body["think"] = false
		}
	}
	raw := object{"model": "made", "raw": true, "prompt": "a<|channel>thought\n", "stream": false,
		"options": greedy(5)}
	if got := s.ok("POST", "/api/generate", raw); got["thinking"] == nil || got["response"] != "" {
		t.Errorf("what follows a prompt that begins a thought is %v", got)
	}
	raw["prompt"] = "a"
	if got := s.ok("POST", "/api/generate", raw); got["thinking"] != nil || got["response"] == "" {
		t.Errorf("what follows another prompt is %v", got)
	}
}

func TestALongConversationIsCutAndSaysSo(t *testing.T) {
	s := newSite(t, Config{})
	messages := []object{{"role": "system", "content": "be kind"}}
	for range 20 {
		messages = append(messages, object{"role": "user", "content": strings.Repeat("word ", 40)},
			object{"role": "assistant", "content": "yes"})
	}
	messages = append(messages, object{"role": "user", "content": "last"})
	got := s.ok("POST", "/api/chat", object{"model": "tiny", "messages": messages,
		"stream": false, "options": greedy(4)})
	if got["truncated"] != true || got["dropped_messages"].(float64) < 10 ||
		got["dropped_tokens"].(float64) < 100 {
		t.Errorf("the answer says %v", got)
	}
}

func TestALongPromptIsCutAndSaysSo(t *testing.T) {
	s := newSite(t, Config{})
	for _, words := range []int{700, 50_000} { // of the second only a part becomes tokens
		for _, raw := range []bool{false, true} {
			req := object{"model": "tiny", "stream": false, "raw": raw,
				"prompt": strings.Repeat("word ", words), "options": greedy(4)}
			got := s.ok("POST", "/api/generate", req)
			if got["truncated"] != true || got["dropped_messages"] != nil ||
				got["dropped_tokens"].(float64) < float64(words/5) {
				delete(got, "context")
				t.Errorf("the answer to %d words, raw %v, says %v", words, raw, got)
			}
			req["truncate"] = false
			s.refused("POST", "/api/generate", req, 400, "context")
		}
	}
}

func TestAUnixSocketNeedsNoHost(t *testing.T) {
	s := newSite(t, Config{Local: true})
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.s.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(
		ctx context.Context, _, _ string,
	) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://whatever/api/tags")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("over a unix socket: %v %v", resp, err)
	}
	resp.Body.Close()
}

func TestAPanicIsAnswered(t *testing.T) {
	s := newSite(t, Config{})
	s.fake.panics = true
	s.refused("POST", "/api/generate", object{"model": "tiny", "prompt": "a"}, 500,
		"internal error")
	c := s.socket()
	c.send(chatMessage("a", 5))
	if m := c.receive(); m["status"] != 500.0 {
		t.Errorf("on a socket: %v", m)
	}
	s.fake.panics = false
	s.ok("GET", "/api/tags", nil)
}

func TestOddBoundsOfAnAnswer(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "a", "stream": false,
		"options": object{"num_predict": 400, "num_ctx": 0}})
	s.refused("POST", "/api/generate", object{"model": "tiny", "prompt": "a",
		"options": object{"num_ctx": -5}}, 400, "context")
}
