package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestBadInputIsNamed(t *testing.T) {
	s := newSite(t, Config{})
	user := []object{{"role": "user", "content": "a"}}
	for _, tt := range []struct {
		name, path string
		body       any
		status     int
		words      []string
	}{
		{"nothing", "/api/chat", "", 400, []string{"missing request body"}},
		{"no JSON", "/api/chat", "{\n \"model\": tiny}", 400, []string{"line 2, column 12"}},
		{"cut JSON", "/api/chat", `{"model":"ti`, 400, []string{"unexpected end"}},
		{"two objects", "/api/chat", `{"model":"tiny"} {}`, 400, []string{"not valid JSON"}},
		{"a list", "/api/chat", "[]", 400, []string{"send an object"}},
		{"wrong type", "/api/chat", object{"model": 5}, 400,
			[]string{"model is a number; it must be a string"}},
		{"wrong inner type", "/api/chat", object{"messages": []object{{"content": 5}}}, 400,
			[]string{"messages.content is a number"}},
		{"no model", "/api/chat", object{"messages": user}, 400, []string{"model is required"}},
		{"unknown model", "/api/chat", object{"model": "x", "messages": user}, 404,
			[]string{`model \"x\" not found`}},
		{"unknown role", "/api/chat",
			object{"model": "tiny", "messages": []object{{"role": "boss"}}}, 400,
			[]string{"boss", "message 1"}},
		{"bad keep_alive", "/api/chat", object{"model": "tiny", "keep_alive": "soon"}, 400,
			[]string{"soon"}},
		{"bad format", "/api/chat", object{"model": "tiny", "messages": user, "format": "xml"}, 400,
			[]string{"format"}},
		{"bad schema", "/api/chat", object{"model": "tiny", "messages": user,
			"format": object{"type": "nothing"}}, 400, nil},
		{"thinking", "/api/chat", object{"model": "tiny", "messages": user, "think": true}, 400,
			[]string{"does not support thinking"}},
		{"tools", "/api/chat",
			object{"model": "tiny", "messages": user, "tools": []object{{}}}, 400,
			[]string{"does not support tools"}},
		{"bad option", "/api/generate", object{"model": "tiny", "prompt": "a",
			"options": object{"temperature": "hot"}}, 400,
			[]string{"temperature", "hot", "number"}},
		{"absurd option", "/api/generate", object{"model": "tiny", "prompt": "a",
			"options": object{"top_p": 7}}, 400, []string{"top_p is 7"}},
		{"absurd number", "/api/generate", object{"model": "tiny", "prompt": "a",
			"options": object{"num_ctx": 1e30}}, 400, []string{"num_ctx"}},
		{"many logprobs", "/api/generate", object{"model": "tiny", "prompt": "a",
			"logprobs": true, "top_logprobs": 21}, 400, []string{"between 0 and 20"}},
		{"bad context", "/api/generate", object{"model": "tiny", "prompt": "a",
			"context": []int{1 << 30}}, 400, []string{"context"}},
		{"too long", "/api/chat", object{"model": "tiny", "truncate": false, "messages": []object{
			{"role": "user", "content": strings.Repeat("word ", 3000)}}}, 400, []string{"context"}},
		{"large", "/api/chat", strings.Repeat(" ", maxBody+1), 413, []string{"20 MB"}},
		{"a pulled file", "/api/pull", object{"model": "file:/etc/passwd"}, 400,
			[]string{"is a file of the server"}},
		{"a pushed path", "/api/push", object{"model": "../x"}, 400, []string{"is a path"}},
		{"made of a file", "/api/create", object{"model": "x", "from": "/etc/passwd"}, 400,
			[]string{"is a path"}},
		{"made of nothing", "/api/create", object{"model": "x", "stream": false}, 400,
			[]string{"neither from nor files"}},
		{"no digest", "/api/blobs/sha256:x", "text", 400, []string{"64 hexadecimal digits"}},
		{"another digest", "/api/blobs/sha256:" + strings.Repeat("0", 64), "text", 400,
			[]string{"digest mismatch"}},
		{"no route", "/api/none", object{}, 404, []string{"/api/none"}},
		{"no route of OpenAI", "/v1/none", object{}, 404, []string{`"message":`}},
		{"wrong method", "/api/tags", object{}, 405, []string{"GET"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.refused("POST", tt.path, tt.body, tt.status, tt.words...)
		})
	}
}

func TestPathsAreNoNames(t *testing.T) {
	s := newSite(t, Config{})
	for _, name := range []string{
		"/etc/passwd", "./tiny.gguf", "../x", "~/x", "a/../b", `C:\x`, "x.GGUF", s.fake.path,
	} {
		s.refused("POST", "/api/generate", object{"model": name, "prompt": "a"}, 400, "is a path")
		s.refused("POST", "/api/show", object{"model": name}, 400, "is a path")
		s.refused("DELETE", "/api/delete", object{"model": name}, 400, "is a path")
		s.refused("POST", "/api/copy", object{"source": "tiny", "destination": name}, 400)
	}
}

func TestKindsOfErrorHaveAStatus(t *testing.T) {
	s := New(nil, Config{})
	for _, tt := range []struct {
		err    error
		status int
	}{
		{&mullama.Error{Kind: mullama.ErrNotFound, Err: fmt.Errorf("x")}, 404},
		{&mullama.Error{Kind: mullama.ErrOutOfMemory, Err: fmt.Errorf("x")}, 500},
		{fmt.Errorf("x: %w", mullama.ErrBusy), 503},
		{mullama.ErrClosed, 503},
		{fmt.Errorf("what"), 500},
	} {
		for _, form := range []face{ollama, openAI} {
			w := httptest.NewRecorder()
			s.fail(w, httptest.NewRequest(http.MethodGet, "/", nil), form, tt.err)
			if w.Code != tt.status || (w.Header().Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("%v: status %d, Retry-After %q", tt.err, w.Code,
					w.Header().Get("Retry-After"))
			}
		}
	}
}

// statusLog keeps the statuses that a handler gives net/http, which complains of a second one.
type statusLog struct {
	http.ResponseWriter
	all []int
}

func (s *statusLog) WriteHeader(status int) { s.all = append(s.all, status) }

func TestAnAnswerThatBreaksOffKeepsItsStatus(t *testing.T) {
	sent := &statusLog{ResponseWriter: httptest.NewRecorder()}
	w := &statusWriter{ResponseWriter: sent, control: http.NewResponseController(sent)}
	w.WriteHeader(http.StatusCreated)
	w.WriteHeader(http.StatusInternalServerError)
	if w.status != http.StatusCreated || fmt.Sprint(sent.all) != "[201]" {
		t.Errorf("statuses %v were sent, %d is logged", sent.all, w.status)
	}
	begun := &statusLog{ResponseWriter: httptest.NewRecorder()}
	w = &statusWriter{ResponseWriter: begun, control: http.NewResponseController(begun)}
	_, _ = w.Write([]byte("the beginning"))
	New(nil, Config{}).fail(w, httptest.NewRequest(http.MethodGet, "/", nil), ollama,
		refuse(statusCancelled, "the client went away"))
	if len(begun.all) > 0 || w.status != http.StatusOK {
		t.Errorf("after the beginning of an answer the status %v was sent", begun.all)
	}
}
