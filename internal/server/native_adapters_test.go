package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// blob puts a file into the store and returns its digest.
func (s *site) blob(path string) string {
	s.t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if err := s.fake.AddBlob(s.t.Context(), digest, bytes.NewReader(file)); err != nil {
		s.t.Fatal(err)
	}
	return digest
}

// adapted makes a model "adapted" with two adapters, of which the second is not applied.
func adapted(t *testing.T) *site {
	t.Helper()
	s := newSite(t, Config{})
	adapters := object{}
	for i, name := range []string{"a.gguf", "b.gguf"} {
		path := filepath.Join(t.TempDir(), name)
		o := synth.AdapterOptions{Seed: uint64(i), Scale: 0.5}
		if err := synth.AdapterFile(path, s.fake.path, o); err != nil {
			t.Fatal(err)
		}
		adapters[name] = s.blob(path)
	}
	s.ok("POST", "/api/create", object{"model": "plain", "stream": false,
		"files": object{"tiny.gguf": s.blob(s.fake.path)}})
	s.ok("POST", "/api/create", object{"model": "adapted", "from": "plain", "stream": false,
		"adapters": adapters, "adapter_scales": object{"b.gguf": 0}})
	return s
}

func (s *site) completed(model string, more object) string {
	s.t.Helper()
	request := object{"model": model, "prompt": "once upon", "n_predict": 12, "temperature": 0}
	for name, value := range more {
		request[name] = value
	}
	return s.ok("POST", "/completion", request)["content"].(string)
}

func TestAdaptersOfAModelAndOfRequests(t *testing.T) {
	s := adapted(t)
	plain, own := s.completed("plain", nil), s.completed("adapted", nil)
	other := s.completed("adapted", object{"lora": []object{{"id": 1, "scale": 1}}})
	if plain == own || own == other || plain == other {
		t.Errorf("plain %q, adapted %q, with the other adapter %q", plain, own, other)
	}
	none := object{"lora": []object{{"id": 0, "scale": 0}}}
	if got := s.completed("adapted", none); got != plain {
		t.Errorf("without its adapter the model says %q, want %q", got, plain)
	}
	answer := s.ok("POST", "/api/generate", object{"model": "adapted", "prompt": "once upon",
		"raw": true, "stream": false, "options": object{"temperature": 0, "num_predict": 12,
			"lora": none["lora"]}})
	if answer["response"] != plain {
		t.Errorf("Ollama's route says %q, want %q", answer["response"], plain)
	}
	for _, wrong := range []any{
		1, []int{1}, []object{{"id": 0}}, []object{{"id": 0.5, "scale": 1}},
	} {
		s.refused("POST", "/completion", object{"model": "adapted", "prompt": "a", "lora": wrong},
			400, "option lora is")
	}
	s.refused("POST", "/completion", object{"model": "adapted", "prompt": "a",
		"lora": []object{{"id": 7, "scale": 1}}}, 400, "there is no adapter 7")
}

func TestScalesForAllRequestsAreShownAndSet(t *testing.T) {
	s := adapted(t)
	want := s.completed("adapted", object{"lora": []object{{"id": 1, "scale": 0.5}}})
	set := []mullama.AdapterScale{{ID: 1, Scale: 0.5}}
	if got := s.ok("POST", "/lora-adapters?model=adapted", set); got["success"] != true {
		t.Errorf("POST /lora-adapters says %v", got)
	}
	if got := s.completed("adapted", nil); got != want {
		t.Errorf("with the scales that were set the model says %q, want %q", got, want)
	}
	status, text := s.send("GET", "/lora-adapters?model=adapted", nil)
	var list []adapterInfo
	if err := json.Unmarshal([]byte(text), &list); err != nil || status != 200 || len(list) != 2 ||
		list[0].Scale != 0 || list[1] != (adapterInfo{1, "Random adapter", 0.5}) {
		t.Errorf("GET /lora-adapters says %d %s", status, text)
	}
	if _, text := s.send("GET", "/lora-adapters?model=plain", nil); text != "[]\n" && text != "[]" {
		t.Errorf("a model without adapters has %q", text)
	}
	s.refused("POST", "/lora-adapters?model=plain", set, 400, "adapter")
}

func TestAnAdapterOfAnotherModelIsNoPartOfOne(t *testing.T) {
	s := newSite(t, Config{})
	dir := t.TempDir()
	other, adapter := filepath.Join(dir, "other.gguf"), filepath.Join(dir, "adapter.gguf")
	if err := synth.TinyFile(other, synth.Options{Arch: "qwen2"}); err != nil {
		t.Fatal(err)
	}
	if err := synth.AdapterFile(adapter, other, synth.AdapterOptions{}); err != nil {
		t.Fatal(err)
	}
	files := object{"tiny.gguf": s.blob(s.fake.path)}
	s.refused("POST", "/api/create", object{"model": "x", "stream": false, "files": files,
		"adapters": object{"adapter.gguf": s.blob(adapter)}}, 400, "adapter.gguf", "Tiny qwen2",
		"Tiny llama")
	s.refused("POST", "/api/create", object{"model": "x", "stream": false, "files": files,
		"adapter_scales": object{"adapter.gguf": 1}}, 400, "adapter.gguf")
}
