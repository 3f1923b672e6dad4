package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// leavesNothing compares what is in use at the end of a test with what is in use now.
func (s *site) leavesNothing() (check func()) {
	s.t.Helper()
	s.ok("POST", "/api/generate", object{"model": "tiny"})
	s.Client().CloseIdleConnections()
	time.Sleep(2 * linger) // a lease that is held for the next tokenization
	before := runtime.NumGoroutine()
	return func() {
		s.t.Helper()
		s.Client().CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		for i := 0; s.fake.busy() > 0 || runtime.NumGoroutine() > before+2; i++ {
			if i > 4000 {
				stacks := make([]byte, 1<<16)
				s.t.Fatalf("%d requests and %d goroutines are left, before %d\n%s", s.fake.busy(),
					runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// sentence reads the error of an answer, which must be one line that is not too long to read.
func sentence(body string) (string, error) {
	var got struct {
		Error any `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		return "", fmt.Errorf("%.200q is not JSON: %w", body, err)
	}
	text, _ := got.Error.(string)
	if o, ok := got.Error.(object); ok {
		text, _ = o["message"].(string)
	}
	const long = 400
	if text == "" || len(text) > long || strings.ContainsAny(text, "\n\r") {
		return "", fmt.Errorf("%.600q is no sentence", text)
	}
	return text, nil
}

// bad is a request that must be refused.
type bad struct {
	name, path string
	body       any
	status     int
	word       string // in the sentence
}

// refusesAll sends requests that must be refused, each with a sentence.
func (s *site) refusesAll(t *testing.T, list []bad) {
	for _, b := range list {
		t.Run(b.name+" "+b.path, func(t *testing.T) {
			s.t = t
			status, body := s.send("POST", b.path, b.body)
			text, err := sentence(body)
			if err != nil {
				t.Fatalf("status %d: %v", status, err)
			}
			if status != b.status || !strings.Contains(text, b.word) {
				t.Errorf("status %d, want %d with %q: %s", status, b.status, b.word, text)
			}
		})
	}
}

// bodies are whole requests of all routes that take JSON.
var bodies = map[string]object{
	"/api/generate": {"model": "tiny", "prompt": "a"},
	"/api/chat":     {"model": "tiny", "messages": []object{{"role": "user", "content": "a"}}},
	"/api/show":     {"model": "tiny"},
	"/v1/chat/completions": {"model": "tiny",
		"messages": []object{{"role": "user", "content": "a"}}},
	"/chat/completions": {"model": "tiny",
		"messages": []object{{"role": "user", "content": "a"}}},
	"/v1/completions": {"model": "tiny", "prompt": "a"},
	"/completion":     {"model": "tiny", "prompt": "a"},
	"/completions":    {"model": "tiny", "prompt": "a"},
	"/tokenize":       {"model": "tiny", "content": "a"},
	"/detokenize":     {"model": "tiny", "tokens": []int{5}},
	"/apply-template": {"model": "tiny",
		"messages": []object{{"role": "user", "content": "a"}}},
}

// with is a request of a route with other fields.
func with(path string, fields object) object {
	body := object{}
	for name, value := range bodies[path] {
		body[name] = value
	}
	for name, value := range fields {
		body[name] = value
	}
	return body
}

func TestEveryRouteRefusesWhatIsNoRequest(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	for path := range bodies {
		s.refusesAll(t, []bad{
			{"nothing", path, "", 400, "missing request body"},
			{"blanks", path, " \n ", 400, "missing request body"},
			{"no JSON", path, "{\n \"model\": tiny}", 400, "line 2, column 12"},
			{"cut JSON", path, `{"model":"ti`, 400, "line 1, column 12"},
			{"NaN", path, `{"model":NaN}`, 400, "line 1, column 10"},
			{"two objects", path, `{"model":"tiny"}{}`, 400, "not valid JSON"},
			{"a list", path, "[]", 400, "object"},
			{"a text", path, `"model"`, 400, "object"},
			{"deep", path, strings.Repeat("[", 20000), 400, "not valid JSON"},
			{"wrong model", path, with(path, object{"model": 5}), 400, "model is a number"},
			{"a path", path, with(path, object{"model": "/etc/passwd"}), 400, "is a path"},
			{"an odd name", path, with(path, object{"model": "a b?c"}), 400, "name"},
			{"a long name", path, with(path, object{"model": strings.Repeat("x", 1<<20)}), 400,
				"name"},
			{"unknown", path, with(path, object{"model": "none"}), 404, "not found"},
			{"large", path, strings.Repeat(" ", maxBody+1), 413, "20 MB"},
		})
	}
	for path := range bodies {
		if path != "/detokenize" { // to which no tokens are an empty text
			s.refusesAll(t, []bad{{"null", path, `null`, 400, ""}})
		}
	}
	s.t = t
	check()
}

func TestEveryChatRefusesWrongMessages(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	message := func(m object) object { return object{"messages": []object{m}} }
	for _, path := range []string{
		"/api/chat", "/v1/chat/completions", "/chat/completions", "/apply-template",
	} {
		list := []bad{
			{"a text", path, with(path, object{"messages": "hello"}), 400, "messages is a string"},
			{"a text in the list", path, with(path, object{"messages": []string{"a"}}), 400,
				"messages"},
			{"a role", path, with(path, message(object{"role": "boss", "content": "a"})), 400,
				`message 1 has the role "boss"`},
			{"no role", path, with(path, message(object{"content": "a"})), 400, "message 1"},
			{"a role that is a number", path, with(path, message(object{"role": 5})), 400, "role"},
			{"content that is a number", path,
				with(path, message(object{"role": "user", "content": 5})), 400, "content"},
		}
		if path != "/api/chat" { // there it loads the model
			list = append(list, bad{"none", path, with(path, object{"messages": []object{}}), 400,
				"no messages"}, bad{"null", path, with(path, object{"messages": nil}), 400,
				"no messages"})
		}
		s.refusesAll(t, list)
	}
	s.t = t
	check()
}

// absurd are options with values that nobody can mean, as JSON.
var absurd = []struct{ name, value string }{
	{"temperature", "-1"}, {"temperature", "1e308"}, {"temperature", "1e999"},
	{"temperature", `"hot"`}, {"temperature", "[]"}, {"top_p", "7"}, {"top_p", "-0.5"},
	{"top_k", "1e308"}, {"top_k", "0.5"}, {"top_k", "123456789012345678901234567890"},
	{"min_p", "2"}, {"typical_p", "-3"}, {"repeat_penalty", "1e308"}, {"repeat_last_n", "-7"},
	{"repeat_last_n", "4000000000"}, {"presence_penalty", "-1e308"}, {"mirostat", "9"},
	{"seed", "0.5"}, {"seed", "1e308"}, {"stop", "5"}, {"stop", "[5]"}, {"logit_bias", "5"},
	{"logit_bias", `{"a":"b"}`}, {"logit_bias", `[[999999,1]]`}, {"samplers", "5"},
	{"samplers", `["luck"]`}, {"grammar", "5"}, {"grammar", `"root ::= ("`},
	{"num_predict", "1e308"}, {"num_predict", "0.5"}, {"num_keep", "1e30"},
	{"num_ctx", "-5"}, {"num_ctx", "1e30"}, {"num_ctx", "0.5"}, {"num_batch", "-1"},
	{"num_batch", "4294967295"}, {"num_thread", "-8"}, {"num_thread", "4294967295"},
	{"num_thread", "100000"}, {"num_gpu", "1e30"}, {"main_gpu", "-2"}, {"main_gpu", "4294967295"},
	{"use_mmap", "5"}, {"dry_multiplier", "1e308"}, {"dry_allowed_length", "-1"},
	{"min_keep", "-1"}, {"min_keep", "4294967295"}, {"xtc_probability", "2"},
	{"dynatemp_range", "1e308"}, {"ignore_eos", "5"},
}

func TestAbsurdOptionsAreRefused(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	for _, path := range []string{
		"/api/generate", "/api/chat", "/v1/chat/completions", "/v1/completions", "/completion",
	} {
		for _, o := range absurd {
			value := json.RawMessage(o.value)
			fields := object{o.name: value}
			if strings.HasPrefix(path, "/api/") {
				fields = object{"options": fields}
			}
			s.refusesAll(t, []bad{{o.name + "=" + o.value, path, with(path, fields), 400, ""}})
		}
	}
	s.t = t
	check()
}

func TestAbsurdFieldsAreRefused(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	for path, list := range map[string][]object{
		"/api/generate": {
			{"keep_alive": "soon"}, {"keep_alive": []int{}}, {"top_logprobs": -1},
			{"top_logprobs": 21, "logprobs": true}, {"format": "xml"}, {"format": 5},
			{"format": object{"type": "nothing"}}, {"think": 7}, {"stream": "yes"},
			{"context": []int{-1}}, {"context": []int{1 << 30}}, {"context": "a"},
			{"images": []string{"!"}}, {"suffix": "b"}, {"raw": true, "system": "c"},
			{"options": []int{}}, {"options": "fast"}, {"template": "{% for %}"}, {"prompt": 5},
			{"truncate": "no"},
		},
		"/api/chat": {
			{"tools": []object{{}}}, {"tools": 5}, {"think": true}, {"format": "xml"},
			{"keep_alive": "soon"}, {"options": 7},
		},
		"/v1/chat/completions": {
			{"n": 0}, {"n": -1}, {"n": 129}, {"n": 1.5}, {"max_tokens": 1.5},
			{"max_tokens": "many"}, {"max_tokens": json.RawMessage("1e308")}, {"top_logprobs": 3},
			{"logprobs": 5}, {"logprobs": true, "top_logprobs": -3},
			{"response_format": object{"type": "xml"}},
			{"response_format": object{"type": "json_schema"}}, {"tools": []object{{}}},
			{"stream_options": 5}, {"stream": 1}, {"chat_template_kwargs": 5},
		},
		"/v1/completions": {
			{"n": -1}, {"n": 100, "prompt": []string{"a", "b"}}, {"logprobs": -1},
			{"logprobs": 21}, {"prompt": nil}, {"prompt": 5}, {"prompt": []int{}},
			{"prompt": [][]int{{}}}, {"prompt": []int{-1}}, {"prompt": []int{1 << 30}},
			{"prompt": object{}}, {"suffix": "x"}, {"echo": "yes"},
		},
		"/completion": {
			{"prompt": nil}, {"prompt": []int{-1}}, {"n_probs": -1}, {"n_probs": 1 << 30},
			{"n_probs": "x"}, {"json_schema": object{"type": "nothing"}},
			{"stream": true, "prompt": []string{"a", "b"}},
		},
		"/tokenize": {
			{"content": nil}, {"content": 5}, {"content": []any{object{}}},
			{"content": []any{-1}}, {"content": []any{0.5}}, {"content": []any{1e308}},
			{"content": []any{1 << 30}, "with_pieces": true}, {"add_special": "x"},
		},
		"/detokenize": {
			{"tokens": []int{-1}}, {"tokens": []int{1 << 30}}, {"tokens": []float64{1e308}},
			{"tokens": "a"}, {"tokens": []string{"a"}},
		},
	} {
		for _, fields := range list {
			s.refusesAll(t, []bad{{fmt.Sprint(fields), path, with(path, fields), 400, ""}})
		}
	}
	s.t = t
	check()
}

func TestASocketRefusesBadInput(t *testing.T) {
	s := newSite(t, Config{})
	check := s.leavesNothing()
	c := s.socket()
	refuses := func(message string, status float64) {
		t.Helper()
		if err := c.conn.Write(t.Context(), 1, []byte(message)); err != nil {
			t.Fatal(err)
		}
		m := c.receive()
		text, err := sentence(fmt.Sprintf(`{"error":%q}`, m["error"]))
		if m["type"] != "error" || m["status"] != status || err != nil {
			t.Errorf("%.100s: %v, %v, %s", message, m, err, text)
		}
	}
	for _, message := range []string{"", "{", "[]", `{"type":NaN}`, strings.Repeat("[", 20000)} {
		refuses(message, 400)
	}
	for _, o := range absurd {
		for _, kind := range []string{"generate", "chat"} {
			body := with("/api/"+kind, object{"options": object{o.name: json.RawMessage(o.value)}})
			data, err := json.Marshal(object{"type": kind, "id": "a", "body": body})
			if err != nil {
				t.Fatal(err)
			}
			refuses(string(data), 400)
		}
	}
	refuses(`{"type":"chat","id":"a","body":{"model":"none","messages":[{"role":"user"}]}}`, 404)
	c.conn.CloseNow()
	check()
}
