package server

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// blobOf is blob for what a function writes to a file.
func (s *site) blobOf(write func(path string) error) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "file")
	if err := write(path); err != nil {
		s.t.Fatal(err)
	}
	return s.blob(path)
}

// bytesBlob is blob for what is no file yet.
func (s *site) bytesBlob(data []byte) string {
	return s.blobOf(func(path string) error { return os.WriteFile(path, data, 0o600) })
}

func (s *site) tinyBlob(o synth.Options) string {
	return s.blobOf(func(path string) error { return synth.TinyFile(path, o) })
}

// matrix is an importance matrix in the form from before GGUF, for one tensor of tiny.
func matrix(width int) []byte {
	const tensor = "blk.0.attn_q.weight"
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(tensor)))
	b = append(b, tensor...)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(width))
	for i := range width {
		b = binary.LittleEndian.AppendUint32(b, 0x3f800000+uint32(i)<<16) // 1 and more
	}
	return b
}

func TestAModelIsQuantisedByAnImportanceMatrix(t *testing.T) {
	s := newSite(t, Config{})
	request := object{"model": "small", "from": "tiny", "quantize": "q4_0", "stream": false}
	entries := func() any {
		s.ok("POST", "/api/create", request)
		info := s.ok("POST", "/api/show", object{"model": "small"})["model_info"].(object)
		return info["quantize.imatrix.entries_count"]
	}
	if n := entries(); n != nil {
		t.Errorf("without a matrix it has %v", n)
	}
	request["imatrix"] = s.bytesBlob(matrix(64))
	if n := entries(); n != 1.0 {
		t.Errorf("with a matrix of one tensor it has %v", n)
	}
	request["imatrix"] = s.bytesBlob([]byte("nothing"))
	s.refused("POST", "/api/create", request, 400, "not an importance matrix")
	request["imatrix"] = "sha256:" + strings.Repeat("0", 64)
	s.refused("POST", "/api/create", request, 400, "importance matrix")
	delete(request, "quantize")
	s.refused("POST", "/api/create", request, 400, "no type to quantise to")
}

func TestAModelWithARendererIsRenderedByItsFile(t *testing.T) {
	s := newSite(t, Config{})
	ask := object{"model": "made", "messages": []object{{"role": "user", "content": "a"}},
		"_debug_render_only": true}
	s.ok("POST", "/api/create", object{"model": "made", "from": "tiny", "stream": false,
		"renderer": "qwen3-coder", "parser": "qwen3-coder", "template": "{{ .Prompt }}!"})
	shown := s.ok("POST", "/api/show", object{"model": "made"})
	if shown["renderer"] != "qwen3-coder" || shown["parser"] != "qwen3-coder" {
		t.Errorf("show says %v", shown)
	}
	debug := s.ok("POST", "/api/chat", ask)["_debug_info"].(object)
	if text := debug["rendered_template"].(string); !strings.Contains(text, "<|im_start|>user\na") {
		t.Errorf("the prompt is %q", text)
	}
	s.ok("POST", "/api/create", object{"model": "made", "stream": false, "renderer": "someone's",
		"files": object{"a.gguf": s.tinyBlob(synth.Options{NoTemplate: true})}})
	for path, request := range map[string]object{
		"/api/chat": ask, "/api/generate": {"model": "made", "prompt": "a"},
		"/v1/chat/completions": {"model": "made", "messages": ask["messages"]},
	} {
		s.refused("POST", path, request, 400, "Ollama's renderer", "someone's", "TEMPLATE")
	}
	s.ok("POST", "/api/generate", object{"model": "made", "prompt": "a", "raw": true,
		"stream": false, "options": object{"num_predict": 1}})
	ask["template"] = "{% for m in messages %}{{ m.content }}{% endfor %}"
	s.ok("POST", "/api/chat", ask)
}

func TestADraftModelIsQuantizedWhenAModelIsCreated(t *testing.T) {
	s := newSite(t, Config{})
	request := object{"model": "made", "from": "tiny", "stream": false, "draft_quantize": "q8_0"}
	s.refused("POST", "/api/create", request, 400, "no draft model", "DRAFT")
	request["draft_files"] = object{"d.gguf": s.tinyBlob(synth.Options{Seed: 7})}
	s.ok("POST", "/api/create", request)
	stored, err := s.fake.Find("made")
	if err != nil {
		t.Fatal(err)
	}
	draft, err := mullama.Inspect(stored.Draft)
	if err != nil || draft.Quantization != "Q8_0" ||
		stored.Details.QuantizationLevel == "Q8_0" {
		t.Errorf("the draft model is %+v, %v; the model has %s", draft, err,
			stored.Details.QuantizationLevel)
	}
	request["draft_quantize"] = "Q9"
	s.refused("POST", "/api/create", request, 400, "Q9")
}

func TestADraftModelMustFitItsModel(t *testing.T) {
	s := newSite(t, Config{})
	request := object{"model": "made", "from": "tiny", "stream": false,
		"draft_files": object{"d.gguf": s.tinyBlob(synth.Options{Seed: 7})}}
	s.ok("POST", "/api/create", request)
	stored, err := s.fake.Find("made")
	if err != nil || stored.Draft == "" {
		t.Errorf("the draft model is at %q: %v", stored.Draft, err)
	}
	shown := s.ok("POST", "/api/show", object{"model": "made"})
	if text := shown["modelfile"].(string); !strings.Contains(text, "\n# with a DRAFT\n") {
		t.Errorf("show says %s", text)
	}
	adapter := s.blobOf(func(path string) error {
		return synth.AdapterFile(path, s.fake.path, synth.AdapterOptions{})
	})
	other := s.tinyBlob(synth.Options{Keys: object{"tokenizer.ggml.model": "gpt2"}})
	for name, want := range map[string]string{
		adapter: "draft d.gguf: it is an adapter", other: "its vocabulary is of the kind",
		s.bytesBlob([]byte("text")): "d.gguf",
	} {
		request["draft_files"] = object{"d.gguf": name}
		s.refused("POST", "/api/create", request, 400, want)
	}
	request["draft_files"] = object{"a": other, "b": other}
	s.refused("POST", "/api/create", request, 400, "a model has one")
}

func TestADraftModelDrafts(t *testing.T) {
	s := newSite(t, Config{})
	s.ok("POST", "/api/create", object{"model": "made", "from": "tiny", "stream": false,
		"parameters":  object{"temperature": 0, "num_predict": 24},
		"draft_files": object{"d.gguf": s.tinyBlob(synth.Options{})}})
	plan := s.ok("POST", "/api/show", object{"model": "made", "plan": true})["plan"].(object)
	if plan["draft"] == nil {
		t.Errorf("the plan %v has no draft model", plan)
	}
	ask := func(model string, tokens int) object {
		return s.ok("POST", "/api/generate", object{"model": model, "prompt": "once", "raw": true,
			"stream": false, "options": object{"draft_num_predict": tokens, "num_predict": 24,
				"temperature": 0}})
	}
	drafted, none, plain := ask("made", 4), ask("made", 0), ask("tiny", 4)
	n, _ := drafted["draft_n"].(float64)
	right, _ := drafted["draft_n_accepted"].(float64)
	if n == 0 || right == 0 || right > n || none["draft_n"] != nil || plain["draft_n"] != nil {
		t.Errorf("%v of %v drafts, %v and %v without", right, n, none["draft_n"], plain["draft_n"])
	}
	if text := plain["response"]; drafted["response"] != text || none["response"] != text {
		t.Errorf("%q, %q without drafts, %q alone", drafted["response"], none["response"], text)
	}
	answer := s.ok("POST", "/completion", object{"model": "made", "prompt": "twice"})
	timings := answer["timings"].(object)
	more, _ := timings["draft_n"].(float64)
	if more == 0 || timings["draft_n_accepted"] == nil {
		t.Errorf("timings %v", timings)
	}
	_, metrics := s.send("GET", "/metrics", nil)
	want := fmt.Sprintf("\nllamacpp:spec_decode_num_draft_tokens_total %v\n", n+more)
	if !strings.Contains(metrics, want) {
		t.Errorf("the metrics do not have %q: %s", want, metrics)
	}
}

func TestAdaptersCountAsMemory(t *testing.T) {
	s := newSite(t, Config{})
	adapter := s.blobOf(func(path string) error {
		return synth.AdapterFile(path, s.fake.path, synth.AdapterOptions{Rank: 64})
	})
	s.ok("POST", "/api/create", object{"model": "made", "from": "tiny", "stream": false,
		"adapters": object{"a.gguf": adapter}})
	weights := func(model string) (n float64) {
		plan := s.ok("POST", "/api/show", object{"model": model, "plan": true})["plan"].(object)
		for _, d := range plan["devices"].([]any) {
			n += d.(object)["weights"].(float64)
		}
		return n
	}
	stored, err := s.fake.Find("made")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(stored.Adapters[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if more := weights("made") - weights("tiny"); more != float64(file.Size()) {
		t.Errorf("the adapter of %d bytes adds %g", file.Size(), more)
	}
	s.ok("POST", "/api/generate", object{"model": "made", "prompt": "a", "stream": false,
		"options": object{"num_predict": 1}})
	running := s.fake.Running()
	all, _ := running[0].Plan.Size()
	if before := weights("made"); float64(all) < before {
		t.Errorf("loaded it takes %d, less than its weights and adapter, %g", all, before)
	}
}
