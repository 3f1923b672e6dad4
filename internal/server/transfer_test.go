package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama/internal/testregistry"
)

// steps are the statuses of lines, without digests, each once in a row.
func steps(lines []object) []string {
	var all []string
	for _, l := range lines {
		status, _ := l["status"].(string)
		status, _, _ = strings.Cut(status, " sha256:")
		if len(all) == 0 || all[len(all)-1] != status {
			all = append(all, status)
		}
	}
	return all
}

// uploaded sends the tiny model's file as a blob, in Ollama's way, and returns its digest.
func (s *site) uploaded() string {
	s.t.Helper()
	file, err := os.ReadFile(s.fake.path)
	if err != nil {
		s.t.Fatal(err)
	}
	file = append(file, make([]byte, maxBody)...) // longer than other requests may be
	sum := sha256.Sum256(file)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	for i, want := range []struct {
		method string
		status int
	}{{"HEAD", 404}, {"POST", 201}, {"HEAD", 200}, {"POST", 200}} {
		req, err := http.NewRequestWithContext(s.t.Context(), want.method,
			s.URL+"/api/blobs/"+digest, bytes.NewReader(file))
		if err != nil {
			s.t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want.status {
			s.t.Errorf("request %d: status %d, want %d", i, resp.StatusCode, want.status)
		}
	}
	return digest
}

func TestPullsWithPacesThatSayNothingAreRefused(t *testing.T) {
	s := newSite(t, Config{})
	for field, value := range map[string]int{"parallel": 65, "bytes_per_second": -1} {
		for _, path := range []string{"/api/pull", "/api/push"} {
			s.refused("POST", path, object{"model": "m", field: value}, 400, field)
		}
	}
}

func TestAModelIsCreatedPushedPulledAndAsked(t *testing.T) {
	s := newSite(t, Config{})
	registry := testregistry.New(t)
	name := registry.Host() + "/some/model:1"
	digest := s.uploaded()
	made := s.lines("/api/create", object{"model": name, "files": object{"tiny.gguf": digest},
		"system": "Be brief.", "parameters": object{"num_predict": 3, "temperature": 0},
		"license": "MIT", "messages": []object{{"role": "user", "content": "Hi"},
			{"role": "assistant", "content": "Hello"}}})
	want := []string{"parsing GGUF", "creating new layer", "writing manifest", "success"}
	if got := steps(made); !reflect.DeepEqual(got, want) {
		t.Errorf("create says %q, want %q", got, want)
	}
	s.lines("/api/push", object{"model": name, "insecure": true})
	s.ok("POST", "/api/pull", object{"model": name, "insecure": true, "stream": false})
	if status, text := s.send("DELETE", "/api/delete", object{"model": name}); status != 200 {
		t.Fatal(text)
	}
	pulled := s.lines("/api/pull", object{"name": name, "insecure": true})
	got := steps(pulled)
	if got[0] != "pulling manifest" || got[1] != "pulling "+digest[7:19] ||
		!reflect.DeepEqual(got[len(got)-3:],
			[]string{"verifying sha256 digest", "writing manifest", "success"}) {
		t.Errorf("pull says %q", got)
	}
	for _, line := range pulled {
		if line["digest"] == digest && line["completed"] == line["total"] {
			digest = ""
		}
	}
	if digest != "" {
		t.Errorf("the end of the blob is not told: %v", pulled)
	}
	shown := s.ok("POST", "/api/show", object{"model": name})
	if shown["system"] != "Be brief." || shown["license"] != "MIT" ||
		!strings.Contains(shown["modelfile"].(string), "MESSAGE assistant Hello\n") {
		t.Errorf("show says %v", shown)
	}
	answer := s.ok("POST", "/api/chat", object{"model": name, "stream": false,
		"messages": []object{{"role": "user", "content": "a"}}})
	if answer["eval_count"] != 3.0 {
		t.Errorf("the model's parameters do not count: %v", answer)
	}
	debug := s.ok("POST", "/api/chat", object{"model": name, "_debug_render_only": true,
		"messages": []object{{"role": "user", "content": "a"}}})
	text := debug["_debug_info"].(object)["rendered_template"].(string)
	if !strings.Contains(text, "Be brief.") || !strings.Contains(text, "Hello") {
		t.Errorf("the prompt is %q", text)
	}
}

func TestWhatGoesWrongWithinAPullIsItsLastLine(t *testing.T) {
	s := newSite(t, Config{})
	registry := testregistry.New(t)
	name := registry.Host() + "/no/model"
	lines := s.lines("/api/pull", object{"model": name, "insecure": true})
	last := lines[len(lines)-1]
	if text, _ := last["error"].(string); !strings.Contains(text, "404") ||
		last["kind"] != "not_found" {
		t.Errorf("the last line is %v", last)
	}
	s.refused("POST", "/api/pull", object{"model": name, "insecure": true, "stream": false}, 404,
		"is it spelled right")
	s.refused("POST", "/api/pull", object{"model": "http://" + name, "stream": false}, 400,
		"without encryption")
	s.refused("POST", "/api/push", object{"model": "unknown", "stream": false}, 404, "not found")
	s.refused("POST", "/api/create", object{"model": "x", "from": "tiny", "stream": false,
		"quantize": "Q9"}, 400, "Q4_K_M")
	s.refused("POST", "/api/create", object{"model": "x", "from": "tiny", "stream": false,
		"quantization": "Q9"}, 400, "Q4_K_M") // the old word
}

func TestAModelHasTheTemplateAndTheTagsOfItsMaker(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/create", object{"model": "made", "from": "tiny", "stream": false,
		"template":    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}",
		"think_start": "[[", "think_end": "]]", "capabilities": object{"thinking": true}})
	debug := s.ok("POST", "/api/chat", object{"model": "made", "_debug_render_only": true,
		"messages": []object{{"role": "user", "content": "a"}}})
	text := debug["_debug_info"].(object)["rendered_template"].(string)
	if text != "<user>a" {
		t.Errorf("the prompt is %q", text)
	}
	s.ok("POST", "/api/create", object{"model": "deep", "from": "made", "stream": false,
		"template": "{% for m in messages %}{{ m.content }}{% endfor %}[["})
	ask := object{"model": "deep", "messages": []object{{"role": "user", "content": "a"}},
		"stream": false, "options": object{"num_predict": 4, "temperature": 0}}
	message := s.ok("POST", "/api/chat", ask)["message"].(object)
	if message["content"] != "" || message["thinking"] == nil {
		t.Errorf("what begins in a thought is %v", message)
	}
	ask["think"] = false
	message = s.ok("POST", "/api/chat", ask)["message"].(object)
	if message["content"] == "" || message["thinking"] != nil {
		t.Errorf("without thoughts it is %v", message)
	}
	s.ok("POST", "/api/create", object{"model": "made", "from": "tiny", "stream": false,
		"template": "{{ if .System }}[{{ .System }}]{{ end }}<{{ .Prompt }}>{{ .Response }}",
		"system":   "S"})
	for path, body := range map[string]object{
		"/api/chat":     {"messages": []object{{"role": "user", "content": "a"}}},
		"/api/generate": {"prompt": "a"},
	} {
		body["model"], body["_debug_render_only"] = "made", true
		debug := s.ok("POST", path, body)
		text := debug["_debug_info"].(object)["rendered_template"].(string)
		if text != "[S]<a>" {
			t.Errorf("%s: the prompt is %q", path, text)
		}
	}
}
