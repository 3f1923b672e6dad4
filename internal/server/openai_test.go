package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

func hello() []object { return []object{{"role": "user", "content": "hello"}} }

// choicesOf returns the first choice of an answer.
func firstChoice(t testing.TB, answer object) object {
	t.Helper()
	list, _ := answer["choices"].([]any)
	if len(list) == 0 {
		t.Fatalf("no choices in %v", answer)
	}
	return list[0].(object)
}

func TestChatCompletionStreamsWhatItAnswersWhole(t *testing.T) {
	s := newSite(t, Config{})
	req := object{"model": "tiny", "messages": hello(), "temperature": 0,
		"max_completion_tokens": 9}
	whole := s.ok("POST", "/v1/chat/completions", req)
	choice := firstChoice(t, whole)
	message := choice["message"].(object)
	if choice["finish_reason"] != "length" || message["role"] != "assistant" ||
		message["content"] == "" || whole["object"] != "chat.completion" {
		t.Errorf("whole answer %v", whole)
	}
	usage := whole["usage"].(object)
	if usage["completion_tokens"] != 9.0 ||
		usage["total_tokens"] != usage["prompt_tokens"].(float64)+9 ||
		usage["prompt_tokens_details"].(object)["cached_tokens"] == nil {
		t.Errorf("usage %v", usage)
	}
	req["stream"], req["stream_options"] = true, object{"include_usage": true}
	parts := s.lines("/v1/chat/completions", req)
	var text strings.Builder
	for _, p := range parts[:len(parts)-1] {
		delta := firstChoice(t, p)["delta"].(object)
		content, _ := delta["content"].(string)
		text.WriteString(content)
		if value, ok := p["usage"]; !ok || value != nil || p["id"] != parts[0]["id"] {
			t.Errorf("part %v", p)
		}
	}
	first := firstChoice(t, parts[0])["delta"].(object)
	if first["role"] != "assistant" || text.String() != message["content"] {
		t.Errorf("streamed %q, whole %q", text.String(), message["content"])
	}
	if last := parts[len(parts)-1]; last["usage"].(object)["completion_tokens"] != 9.0 {
		t.Errorf("the last part is %v", last)
	}
	if last := firstChoice(t, parts[len(parts)-2]); last["finish_reason"] != "length" {
		t.Errorf("the last choice is %v", last)
	}
}

func TestEventStreamsEndWithDone(t *testing.T) {
	s := newSite(t, Config{})
	resp := s.do("POST", "/v1/completions", object{"model": "tiny", "prompt": "a",
		"stream": true, "max_tokens": 3}, nil)
	defer resp.Body.Close()
	for key, want := range map[string]string{"Content-Type": "text/event-stream",
		"X-Accel-Buffering": "no", "Cache-Control": "no-cache"} {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
	var body strings.Builder
	if _, err := copyBody(&body, resp); err != nil ||
		!strings.HasSuffix(body.String(), "}\n\ndata: [DONE]\n\n") {
		t.Errorf("the stream is %q, %v", body.String(), err)
	}
}

func TestSeveralChoicesDiffer(t *testing.T) {
	s := newSite(t, Config{})
	req := object{"model": "tiny", "messages": hello(), "n": 3, "seed": 5, "max_tokens": 8}
	whole := s.ok("POST", "/v1/chat/completions", req)
	texts := map[string]bool{}
	for i, c := range whole["choices"].([]any) {
		choice := c.(object)
		texts[choice["message"].(object)["content"].(string)] = true
		if choice["index"] != float64(i) {
			t.Errorf("choice %d is %v", i, choice)
		}
	}
	if len(texts) != 3 || whole["usage"].(object)["completion_tokens"] != 24.0 {
		t.Errorf("%d texts, usage %v", len(texts), whole["usage"])
	}
	req["stream"] = true
	ends := 0
	for _, p := range s.lines("/v1/chat/completions", req) {
		if firstChoice(t, p)["finish_reason"] != nil {
			ends++
		}
	}
	if ends != 3 {
		t.Errorf("%d choices ended", ends)
	}
}

func TestCompletionsOfEveryKindOfPrompt(t *testing.T) {
	s := newSite(t, Config{})
	for prompt, n := range map[string]int{
		`"one"`: 1, `["one","two"]`: 2, `[5,6,7]`: 1, `[[5,6],[7]]`: 2,
	} {
		got := s.ok("POST", "/v1/completions", object{"model": "tiny", "temperature": 0,
			"prompt": json.RawMessage(prompt), "max_tokens": 2, "n": 2})
		if list := got["choices"].([]any); len(list) != 2*n {
			t.Errorf("%s: %v", prompt, got)
		}
	}
	echo := s.ok("POST", "/v1/completions", object{"model": "tiny", "prompt": "one", "echo": true,
		"max_tokens": 2, "logprobs": 2})
	choice := firstChoice(t, echo)
	if !strings.HasPrefix(choice["text"].(string), "one") {
		t.Errorf("echo %v", choice)
	}
	probs := choice["logprobs"].(object)
	if len(probs["tokens"].([]any)) != 2 || probs["text_offset"].([]any)[0] != 3.0 ||
		len(probs["top_logprobs"].([]any)[0].(object)) < 1 {
		t.Errorf("logprobs %v", probs)
	}
}

func TestOpenAIOptionsReachTheModel(t *testing.T) {
	s := newSite(t, Config{})
	biased := s.ok("POST", "/v1/chat/completions", object{"model": "tiny", "messages": hello(),
		"temperature": 0, "max_tokens": 2, "logprobs": true, "top_logprobs": 1,
		"logit_bias": object{"300": 100}})
	content := firstChoice(t, biased)["logprobs"].(object)["content"].([]any)
	if len(content) != 2 || content[0].(object)["token"] != content[1].(object)["token"] {
		t.Errorf("with a bias the tokens are %v", content)
	}
	s.ok("POST", "/v1/chat/completions", object{"model": "tiny", "messages": hello(),
		"num_ctx": 128, "keep_alive": "5m", "max_tokens": 1, "options": object{"top_k": 5}})
	if !s.fake.hasContext(128) || s.fake.keep[1].Minutes() != 5 {
		t.Errorf("models %v, keep %v", s.fake.Running(), s.fake.keep)
	}
	stopped := s.ok("POST", "/v1/completions", object{"model": "tiny", "prompt": "a",
		"temperature": 0, "max_tokens": 20, "stop": []string{"zzzzz"}, "ignore_eos": true})
	if firstChoice(t, stopped)["finish_reason"] != "length" {
		t.Errorf("with an unseen stop text: %v", stopped)
	}
	strict := s.ok("POST", "/v1/chat/completions", object{"model": "tiny", "messages": hello(),
		"temperature": 0, "max_tokens": 40, "response_format": object{"type": "json_schema",
			"json_schema": object{"name": "x", "schema": object{"enum": []string{"yes"}}}}})
	if got := firstChoice(t, strict)["message"].(object)["content"]; got != `"yes"` {
		t.Errorf("with a schema: %v", got)
	}
}

func TestOpenAIErrorsHaveTheirForm(t *testing.T) {
	s := newSite(t, Config{})
	long := strings.Repeat("word ", 3000)
	for _, tt := range []struct {
		body   object
		status int
		words  []string
	}{
		{object{"model": "none", "messages": hello()}, 404, []string{`"code":"model_not_found"`}},
		{object{"model": "tiny"}, 400, []string{`"param":"messages"`, "invalid_request_error"}},
		{object{"model": "tiny", "messages": hello(), "n": 0}, 400, []string{`"param":"n"`}},
		{object{"model": "tiny", "messages": hello(), "temperature": "x"}, 400,
			[]string{`"param":"temperature"`}},
		{object{"model": "tiny", "messages": []object{{"role": "user", "content": long}}}, 400,
			[]string{"context_length_exceeded", "invalid_request_error", `"n_ctx":512`}},
		{object{"model": "tiny", "messages": []object{{"role": "user", "content": []object{
			{"type": "image_url"}}}}}, 400, []string{"only text"}},
		{object{"model": "tiny", "messages": hello(), "logit_bias": object{"x": "y"}}, 400,
			[]string{"logit_bias"}},
		{object{"model": "tiny", "messages": hello(), "response_format": object{"type": "x"}}, 400,
			[]string{"response_format"}},
	} {
		s.refused("POST", "/v1/chat/completions", tt.body, tt.status, tt.words...)
		tt.body["stream"] = true
		s.refused("POST", "/v1/chat/completions", tt.body, tt.status, tt.words...)
	}
	got := s.ok("GET", "/v1/models", nil)
	if got["data"].([]any)[0].(object)["id"] != "tiny:latest" {
		t.Errorf("models %v", got)
	}
	s.ok("GET", "/v1/models/tiny", nil)
	s.refused("GET", "/v1/models/none", nil, http.StatusNotFound, "not found")
}

func TestCommentsKeepASilentStreamAlive(t *testing.T) {
	s := newSite(t, Config{})
	s.s.ping = 5 * time.Millisecond
	s.fake.delay = 60 * time.Millisecond
	resp := s.do("POST", "/v1/chat/completions", object{"model": "tiny", "messages": hello(),
		"stream": true, "max_tokens": 2}, nil)
	defer resp.Body.Close()
	var body strings.Builder
	if _, err := copyBody(&body, resp); err != nil ||
		!strings.HasPrefix(body.String(), ": keep-alive\n\n") {
		t.Errorf("the stream is %q, %v", body.String(), err)
	}
	s.fake.err = mullama.ErrBusy
	_, text := s.send("POST", "/v1/chat/completions", object{"model": "tiny", "stream": true,
		"messages": hello()})
	if !strings.Contains(text, `data: {"error":{"message":"busy"`) {
		t.Errorf("an error within the stream is %q", text)
	}
}
