package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/mullama/mullama/api"
)

func TestCompletionTellsItsSettings(t *testing.T) {
	s := newSite(t, Config{Options: object{"seed": 42.0}})
	got := s.ok("POST", "/completion", object{"prompt": "hello", "n_predict": 3, "top_k": 7,
		"logit_bias": []any{[]any{300, false}, []any{301, 1.5}}, "n_probs": 1})
	settings := got["generation_settings"].(object)
	if settings["n_predict"] != 3.0 || settings["top_k"] != 7.0 || settings["seed"] != 42.0 {
		t.Errorf("settings %v", settings)
	}
	biases, _ := json.Marshal(settings["logit_bias"])
	if string(biases) != `[{"bias":null,"token":300},{"bias":1.5,"token":301}]` {
		t.Errorf("biases %s", biases)
	}
	if got["truncated"] != false || got["has_new_line"] == nil {
		t.Errorf("answer %v", got)
	}
	first := got["completion_probabilities"].([]any)[0].(object)
	if first["id"] == nil || first["top_logprobs"].([]any)[0].(object)["id"] == nil {
		t.Errorf("probabilities have no ids: %v", first)
	}
	picked := s.ok("POST", "/completion", object{"prompt": "hello", "n_predict": 3,
		"response_fields": []string{"content", "generation_settings/n_predict", "none"}})
	if len(picked) != 2 || picked["generation_settings/n_predict"] != 3.0 {
		t.Errorf("picked fields %v", picked)
	}
}

func TestCompletionSaysThatTheContextIsFull(t *testing.T) {
	s := newSite(t, Config{})
	full := s.ok("POST", "/completion", object{"prompt": "hello", "ignore_eos": true})
	if full["truncated"] != true || full["stop_type"] != "limit" {
		t.Errorf("without a limit: %v %v", full["truncated"], full["stop_type"])
	}
	shifted := s.ok("POST", "/completion", object{"prompt": "hello", "ignore_eos": true,
		"shift": true, "n_predict": 600})
	if shifted["truncated"] != true || shifted["tokens_predicted"] != 600.0 {
		t.Errorf("with shift: %v tokens", shifted["tokens_predicted"])
	}
	long := strings.Repeat("word ", 3000)
	s.refused("POST", "/completion", object{"prompt": long}, 400, "exceed_context_size_error",
		`"n_ctx":512`, "exceeds the available context size")
}

func TestCompletionReadsAllOfThePromptWhereItIsAskedTo(t *testing.T) {
	s := newSite(t, Config{})
	prompt := strings.Repeat("one two three ", 20)
	cached := func(more object) float64 {
		request := object{"prompt": prompt, "n_predict": 2, "temperature": 0}
		maps.Copy(request, more)
		got := s.ok("POST", "/completion", request)
		settings := got["generation_settings"].(object)
		if settings["cache_prompt"] != (more["cache_prompt"] != false) {
			t.Errorf("the settings say otherwise: %v", settings)
		}
		return got["tokens_cached"].(float64)
	}
	cached(nil)
	if n := cached(object{"cache_prompt": true}); n < 20 {
		t.Errorf("%v tokens were cached", n)
	}
	if n := cached(object{"cache_prompt": false}); n != 0 {
		t.Errorf("%v tokens were cached although none were to be", n)
	}
}

func TestCompletionTakesEveryKindOfPrompt(t *testing.T) {
	s := newSite(t, Config{})
	for prompt, n := range map[string]int{
		`"one"`: 1, `["one","two"]`: 2, `[5,6,7]`: 1, `[[5,6],"two"]`: 2, `[5,"a",6]`: 1,
		`{"prompt_string":"one"}`: 1, `[[5,6],{"prompt_string":"one"}]`: 2,
	} {
		status, text := s.send("POST", "/completion", object{"temperature": 0, "n_predict": 2,
			"prompt": json.RawMessage(prompt)})
		if !strings.HasPrefix(text, "[") {
			text = "[" + text + "]"
		}
		var got []object
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got) != n || status != 200 {
			t.Errorf("%s: %d %s", prompt, status, text)
		}
	}
	for _, wrong := range []string{`5`, `[]`, `{}`, `[true]`, `[[]]`, `[null]`,
		`{"prompt_string":"a","multimodal_data":["x"]}`} {
		s.refused("POST", "/completion", object{"prompt": json.RawMessage(wrong)}, 400, `"prompt"`)
	}
}

func TestBiasesOfTexts(t *testing.T) {
	s := newSite(t, Config{})
	for _, bias := range []any{object{" fam": 100}, []any{[]any{" fam", 100}}} {
		got := s.ok("POST", "/completion", object{"prompt": "a", "temperature": 0, "n_predict": 12,
			"logit_bias": bias})
		if !strings.Contains(got["content"].(string), "fam") {
			t.Errorf("with %v: %q", bias, got["content"])
		}
	}
}

func TestConversationsThatAreNotAnswered(t *testing.T) {
	s := newSite(t, Config{})
	got := s.ok("POST", "/apply-template", object{"messages": hello(),
		"add_generation_prompt": false})
	if got["prompt"] != "<|im_start|>user\nhello<|im_end|>\n" {
		t.Errorf("without the answer's beginning: %q", got["prompt"])
	}
	counted := s.ok("POST", "/v1/chat/completions/input_tokens", object{"messages": hello()})
	answer := s.ok("POST", "/v1/chat/completions", object{"messages": hello(), "max_tokens": 1,
		"model": "tiny"})
	if counted["input_tokens"] != answer["usage"].(object)["prompt_tokens"] {
		t.Errorf("%v counted, used %v", counted, answer["usage"])
	}
}

func TestAnAnswerThatHasBegunGoesOn(t *testing.T) {
	s := newSite(t, Config{})
	begun := append(hello(), object{"role": "assistant", "content": "well <|im_end|>"})
	const want = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\nwell <|im_end|>"
	if got := s.ok("POST", "/apply-template", object{"messages": begun}); got["prompt"] != want {
		t.Errorf("prompt %q", got["prompt"])
	}
	req := object{"model": "tiny", "messages": begun, "temperature": 0, "max_tokens": 4,
		"verbose": true}
	whole := s.ok("POST", "/v1/chat/completions", req)
	if got := whole["__verbose"].(object)["prompt"]; got != want {
		t.Errorf("prompt %q", got)
	}
	chat := s.ok("POST", "/api/chat", object{"model": "tiny", "messages": begun, "stream": false,
		"options": greedy(4)})
	said := firstChoice(t, whole)["message"].(object)["content"]
	if got := chat["message"].(object)["content"]; got != said {
		t.Errorf("the routes go on with %q and %q", said, got)
	}
	req["continue_final_message"] = false
	apart := s.ok("POST", "/v1/chat/completions", req)["__verbose"].(object)["prompt"].(string)
	if !strings.HasSuffix(apart, "<|im_end|>\n<|im_start|>assistant\n") {
		t.Errorf("as a turn of its own: %q", apart)
	}
}

func TestThinkingIsChosenByWhoSaysIt(t *testing.T) {
	on, off := true, false
	for _, tt := range []struct {
		request string
		option  *bool
		want    *bool
	}{
		{`{}`, nil, nil}, {`{}`, &off, &off}, {`{"reasoning_effort":"high"}`, &off, &on},
		{`{"reasoning_effort":"none"}`, nil, &off},
		{`{"chat_template_kwargs":{"enable_thinking":false}}`, &on, &off},
	} {
		var req chatCompletionRequest
		if err := json.Unmarshal([]byte(tt.request), &req); err != nil {
			t.Fatal(err)
		}
		var option *api.Think
		if tt.option != nil {
			option = &api.Think{Enabled: *tt.option}
		}
		got := req.thinks(option)
		if (got == nil) != (tt.want == nil) || (got != nil && *got != *tt.want) {
			t.Errorf("%s: %v", tt.request, got)
		}
	}
}

func TestTimingsLeaveTheFirstTokenOut(t *testing.T) {
	s := newSite(t, Config{})
	for n, steps := range map[int]float64{1: 0, 9: 8} {
		got := s.ok("POST", "/completion", object{"prompt": "hello", "n_predict": n,
			"ignore_eos": true})
		timings := got["timings"].(object)
		pace, took := timings["predicted_per_second"].(float64), timings["predicted_ms"].(float64)
		if diff := pace*took/1e3 - steps; diff > 1e-6 || diff < -1e-6 {
			t.Errorf("%d tokens: %v", n, timings)
		}
	}
}

func TestMetricsOfLlamaServer(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/completion", object{"prompt": "hello", "n_predict": 3, "ignore_eos": true})
	resp := s.do("GET", "/metrics", nil, http.Header{})
	var text strings.Builder
	_, err := copyBody(&text, resp)
	if err != nil || resp.Header.Get("Process-Start-Time-Unix") == "" {
		t.Errorf("header %v, %v", resp.Header, err)
	}
	for _, want := range []string{"\nllamacpp:tokens_predicted_total 3\n",
		"# TYPE llamacpp:n_decode_total counter\n", "\nllamacpp:requests_processing 0\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}
