package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mullama/mullama/api"
)

func TestGenerateStreamsWhatItAnswersWhole(t *testing.T) {
	s := newSite(t, Config{})
	req := object{"model": "tiny", "prompt": "hello", "options": greedy(12)}
	parts := s.lines("/api/generate", req)
	var text strings.Builder
	for i, p := range parts {
		text.WriteString(p["response"].(string))
		if last := i == len(parts)-1; p["done"].(bool) != last || p["model"] != "tiny" {
			t.Errorf("part %d is %v", i, p)
		}
	}
	last := parts[len(parts)-1]
	if last["done_reason"] != "length" || last["eval_count"] != 12.0 || last["response"] != "" {
		t.Errorf("the last part is %v", last)
	}
	if last["prompt_eval_count"].(float64) < 3 || len(last["context"].([]any)) < 12 {
		t.Errorf("the last part counts %v", last)
	}
	req["stream"] = false
	whole := s.ok("POST", "/api/generate", req)
	if whole["response"] != text.String() || whole["done"] != true {
		t.Errorf("whole answer %v, streamed %q", whole, text.String())
	}
}

func TestChatStreamsWhatItAnswersWhole(t *testing.T) {
	s := newSite(t, Config{})
	req := object{"model": "tiny:latest", "options": greedy(9),
		"messages": []object{{"role": "user", "content": "hello"}}}
	var text strings.Builder
	parts := s.lines("/api/chat", req)
	for _, p := range parts {
		m := p["message"].(object)
		if m["role"] != "assistant" {
			t.Errorf("the message is %v", m)
		}
		text.WriteString(m["content"].(string))
	}
	req["stream"] = false
	whole := s.ok("POST", "/api/chat", req)
	if got := whole["message"].(object)["content"]; got != text.String() || got == "" {
		t.Errorf("whole answer %q, streamed %q", got, text.String())
	}
	var typed api.ChatResponse
	_, body := s.send("POST", "/api/chat", req)
	if err := json.Unmarshal([]byte(body), &typed); err != nil || typed.EvalCount != 9 ||
		typed.TotalDuration <= 0 {
		t.Errorf("as a type it is %+v, %v", typed, err)
	}
}

func TestLogprobsOfBothRoutes(t *testing.T) {
	s := newSite(t, Config{})
	for path, body := range map[string]object{
		"/api/generate": {"prompt": "a"},
		"/api/chat":     {"messages": []object{{"role": "user", "content": "a"}}},
	} {
		body["model"], body["stream"], body["options"] = "tiny", false, greedy(4)
		body["logprobs"], body["top_logprobs"] = true, 3
		list := s.ok("POST", path, body)["logprobs"].([]any)
		first := list[0].(object)
		if len(list) != 4 || len(first["top_logprobs"].([]any)) != 3 || first["bytes"] == nil {
			t.Errorf("%s: logprobs are %v", path, list)
		}
	}
}

func TestAnEmptyPromptLoadsAndUnloads(t *testing.T) {
	s := newSite(t, Config{})
	for _, path := range []string{"/api/generate", "/api/chat"} {
		got := s.ok("POST", path, object{"model": "tiny", "keep_alive": "90s"})
		if got["done_reason"] != "load" || got["done"] != true {
			t.Errorf("%s: %v", path, got)
		}
		got = s.ok("POST", path, object{"model": "tiny", "keep_alive": 0})
		if got["done_reason"] != "unload" {
			t.Errorf("%s: %v", path, got)
		}
	}
	if s.fake.unloads != 2 || len(s.fake.keep) != 2 || s.fake.keep[0].Seconds() != 90 {
		t.Errorf("%d unloads, keep-alive %v", s.fake.unloads, s.fake.keep)
	}
}

func TestFormatConstrainsTheAnswer(t *testing.T) {
	s := newSite(t, Config{})
	schema := object{"type": "object", "properties": object{"a": object{"type": "boolean"}},
		"required": []string{"a"}, "additionalProperties": false}
	got := s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "x", "stream": false,
		"format": schema, "options": greedy(60)})
	var answer struct{ A *bool }
	if err := json.Unmarshal([]byte(got["response"].(string)), &answer); err != nil ||
		answer.A == nil {
		t.Errorf("the answer is %v: %v", got, err)
	}
}

func TestTheContextOfAnAnswerContinuesIt(t *testing.T) {
	s := newSite(t, Config{})
	first := s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "x",
		"stream": false, "options": greedy(4)})
	second := s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "y",
		"stream": false, "options": greedy(4), "context": first["context"]})
	if a, b := first["context"].([]any), second["context"].([]any); len(b) < len(a)+8 {
		t.Errorf("contexts have %d and %d tokens", len(a), len(b))
	}
}

func TestRawPromptsAreNotFormatted(t *testing.T) {
	s := newSite(t, Config{})
	raw := s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "x", "raw": true,
		"stream": false, "options": greedy(1)})
	chat := s.ok("POST", "/api/generate", object{"model": "tiny", "prompt": "x",
		"stream": false, "options": greedy(1)})
	if raw["prompt_eval_count"].(float64) >= chat["prompt_eval_count"].(float64) {
		t.Errorf("raw %v, formatted %v", raw, chat)
	}
}

func TestModelRoutes(t *testing.T) {
	s := newSite(t, Config{})
	if got := s.ok("GET", "/api/version", nil); got["version"] != "1.2.3" {
		t.Errorf("version %v", got)
	}
	tags := s.ok("GET", "/api/tags", nil)["models"].([]any)[0].(object)
	if tags["name"] != "tiny:latest" || tags["size"].(float64) < 1e5 {
		t.Errorf("tags %v", tags)
	}
	s.ok("POST", "/api/generate", object{"model": "tiny", "keep_alive": -1})
	ps := s.ok("GET", "/api/ps", nil)["models"].([]any)[0].(object)
	if ps["model"] != "tiny:latest" || ps["context_length"] != 512.0 {
		t.Errorf("ps %v", ps)
	}
	show := s.ok("POST", "/api/show", object{"model": "tiny"})
	info := show["model_info"].(object)
	if info["general.architecture"] != "llama" || !strings.Contains(show["template"].(string),
		"im_start") || info["tokenizer.ggml.tokens"] != nil {
		t.Errorf("show %v", show)
	}
	status, _ := s.send("POST", "/api/copy", object{"source": "tiny", "destination": "b"})
	if _, err := s.fake.Find("b"); status != http.StatusOK || err != nil {
		t.Errorf("copy: %d, %v", status, err)
	}
	status, _ = s.send("DELETE", "/api/delete", object{"model": "b"})
	if _, err := s.fake.Find("b"); status != http.StatusOK || err == nil {
		t.Errorf("delete: %d, %v", status, err)
	}
	if status, body := s.send("GET", "/", nil); status != 200 || body != "Ollama is running" {
		t.Errorf("greeting %d %q", status, body)
	}
	if status, _ := s.send("HEAD", "/api/tags", nil); status != http.StatusOK {
		t.Errorf("HEAD: %d", status)
	}
}
