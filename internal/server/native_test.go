package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTokensThereAndBack(t *testing.T) {
	s := newSite(t, Config{})
	const text = "hello wörld 😀"
	got := s.ok("POST", "/tokenize", object{"content": text})
	back := s.ok("POST", "/detokenize", object{"tokens": got["tokens"], "model": "tiny"})
	if back["content"] != text {
		t.Errorf("%v reads back as %v", got, back)
	}
	control := s.ok("POST", "/tokenize", object{"content": "<|im_end|>"})
	plain := s.ok("POST", "/tokenize", object{"content": "<|im_end|>", "parse_special": false})
	if len(control["tokens"].([]any)) != 1 || len(plain["tokens"].([]any)) < 5 {
		t.Errorf("a control token is %v, as text %v", control, plain)
	}
	pieces := s.ok("POST", "/tokenize", object{"content": text, "with_pieces": true})
	var joined []byte
	for _, p := range pieces["tokens"].([]any) {
		switch piece := p.(object)["piece"].(type) {
		case string:
			joined = append(joined, piece...)
		case []any:
			for _, b := range piece {
				joined = append(joined, byte(b.(float64)))
			}
		}
	}
	if strings.TrimPrefix(string(joined), " ") != text { // this vocabulary begins with a space
		t.Errorf("the pieces are %q", joined)
	}
	mixed := s.ok("POST", "/tokenize", object{"content": []any{5, "a", 6}})
	if list := mixed["tokens"].([]any); list[0] != 5.0 || list[len(list)-1] != 6.0 {
		t.Errorf("mixed content: %v", mixed)
	}
	s.refused("POST", "/tokenize", object{"content": 5}, 400, "content")
	s.refused("POST", "/tokenize", object{}, 400, "content is required")
	s.refused("POST", "/tokenize", object{"content": strings.Repeat("a", maxTokenize+1)}, 413)
	s.refused("POST", "/detokenize", object{"tokens": []string{"a"}}, 400, "tokens")
}

func TestTemplatesPropsAndSlots(t *testing.T) {
	s := newSite(t, Config{})
	got := s.ok("POST", "/apply-template", object{"messages": hello()})
	if got["prompt"] != "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n" {
		t.Errorf("prompt %v", got)
	}
	props := s.ok("GET", "/props", nil)
	if props["total_slots"].(float64) < 1 || props["model_alias"] != "tiny:latest" ||
		!strings.Contains(props["chat_template"].(string), "im_start") {
		t.Errorf("props %v", props)
	}
	_, text := s.send("GET", "/slots", nil)
	var slots []slotInfo
	if err := json.Unmarshal([]byte(text), &slots); err != nil || len(slots) != 4 {
		t.Errorf("slots %s", text)
	}
	if got := s.ok("GET", "/health", nil); got["status"] != "ok" {
		t.Errorf("health %v", got)
	}
}

func TestAModelIsHeldBetweenTokenizations(t *testing.T) {
	s := newSite(t, Config{})
	s.s.borrowed.linger = time.Hour // longer than any pause between two requests
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				status, _ := s.send("POST", "/tokenize", object{"content": "a", "model": "tiny"})
				if status != http.StatusOK {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	all.Wait()
	if n := len(s.fake.keep); n > 8 {
		t.Errorf("160 requests took %d leases", n)
	}
	s.ok("POST", "/api/generate", object{"model": "tiny", "keep_alive": 0})
	for i := 0; len(s.fake.Running()) > 0; i++ {
		if i > 400 {
			t.Fatal("the model stays after it was unloaded")
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.s.borrowed.linger = linger
	s.ok("POST", "/tokenize", object{"content": "a", "model": "tiny"})
	for i := 0; s.fake.busy() > 0; i++ {
		if i > 400 {
			t.Fatalf("%d leases are held for nobody", s.fake.busy())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestLlamaServersCompletion(t *testing.T) {
	s := newSite(t, Config{})
	req := object{"prompt": "hello", "n_predict": 6, "temperature": 0, "n_probs": 2,
		"return_tokens": true}
	whole := s.ok("POST", "/completion", req)
	if whole["stop"] != true || whole["stop_type"] != "limit" || whole["tokens_predicted"] != 6.0 ||
		len(whole["tokens"].([]any)) != 6 || len(whole["completion_probabilities"].([]any)) != 6 ||
		whole["timings"].(object)["predicted_n"] != 6.0 {
		t.Errorf("whole %v", whole)
	}
	req["stream"] = true
	var text strings.Builder
	parts := s.lines("/completion", req)
	for i, p := range parts {
		text.WriteString(p["content"].(string))
		if p["stop"] != (i == len(parts)-1) {
			t.Errorf("part %d: %v", i, p)
		}
	}
	if text.String() != whole["content"] {
		t.Errorf("streamed %q, whole %q", text.String(), whole["content"])
	}
	_, list := s.send("POST", "/completions", object{"prompt": []string{"a", "b"}, "n_predict": 1})
	var results []object
	if err := json.Unmarshal([]byte(list), &results); err != nil || len(results) != 2 ||
		results[1]["prompt"] != "b" {
		t.Errorf("two prompts: %s", list)
	}
	s.refused("POST", "/completion", object{"n_predict": 1}, 400, "prompt is required")
	s.refused("POST", "/completion", object{"prompt": "a", "grammar": "root ::= ("}, 400)
}

func TestAModelForRequestsThatNameAnotherOrNone(t *testing.T) {
	s := newSite(t, Config{Model: "tiny", Template: "{{ messages[0].content }}!",
		Options: object{"temperature": 0.0, "num_predict": 3.0}})
	if err := s.s.Preload(t.Context()); err != nil || len(s.fake.Running()) != 1 {
		t.Fatalf("after Preload: %v, %v", err, s.fake.Running())
	}
	for _, name := range []string{"", "gpt-9", "a/b:c", "./x.gguf"} {
		got := s.ok("POST", "/v1/chat/completions", object{"model": name, "messages": hello()})
		if got["model"] != "tiny" || got["usage"].(object)["completion_tokens"] != 3.0 {
			t.Errorf("model %q: %v", name, got)
		}
		s.ok("POST", "/tokenize", object{"model": name, "content": "a"})
		s.ok("POST", "/completion", object{"model": name, "prompt": "a"})
	}
	got := s.ok("POST", "/apply-template", object{"messages": hello()})
	if got["prompt"] != "hello!" {
		t.Errorf("with a template of the server: %v", got)
	}
	s.refused("POST", "/api/generate", object{"model": "gpt-9", "prompt": "a"}, 404, "not found")
}

func TestHealthWaitsForThePreloadedModel(t *testing.T) {
	s := newSite(t, Config{Model: "tiny"})
	s.fake.gate = make(chan struct{})
	done := make(chan error)
	go func() { done <- s.s.Preload(t.Context()) }()
	for !s.s.loading.Load() {
		time.Sleep(time.Millisecond)
	}
	s.refused("GET", "/health", nil, 503, "being loaded")
	close(s.fake.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.ok("GET", "/health", nil)
}

func TestDefaultOptionsAreChecked(t *testing.T) {
	if err := CheckOptions(object{"temperature": 1.0, "shift": true}); err != nil {
		t.Error(err)
	}
	for _, wrong := range []object{{"tempature": 1.0}, {"top_k": "x"}, {"top_p": 3.0}} {
		if CheckOptions(wrong) == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}
