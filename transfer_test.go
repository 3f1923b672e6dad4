package mullama_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/modelfile"
	"github.com/mullama/mullama/internal/store"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testregistry"
)

var insecure = mullama.TransferOptions{Insecure: true}

// addFile puts a file into the store and returns its digest.
func addFile(t testing.TB, rt *mullama.Runtime, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if err := rt.AddBlob(t.Context(), digest, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return digest
}

// full are options that say everything.
func full(files map[string]string) *mullama.CreateOptions {
	return &mullama.CreateOptions{
		Files: files, System: "Be \"brief\".\n", Licenses: []string{"MIT", "and more\n"},
		Template: "{{ .System }} {{ .Prompt }}",
		Parameters: map[string]any{"stop": []any{"a", " b"}, "temperature": 0.25,
			"num_ctx": 256.0, "use_mmap": false},
		Messages: []mullama.Message{{Role: "user", Content: "Hi"},
			{Role: "assistant", Content: "Hello\nthere"}},
		Renderer: "r", Parser: "p", Requires: "0.1.0", ThinkStart: "[", ThinkEnd: "]",
		ToolFormat: map[string]string{"style": "qwen"}, Author: "somebody",
		Capabilities: map[string]bool{"vision": true, "tools": false},
	}
}

func TestAModelHasWhatItWasMadeOf(t *testing.T) {
	rt, dir, _ := withStore(t)
	path := tinyFile(t, synth.Options{})
	var statuses []string
	o := full(map[string]string{"tiny.gguf": addFile(t, rt, path)})
	o.Progress = func(p mullama.Progress) {
		status, _, _ := strings.Cut(p.Status, " sha256")
		if !slices.Contains(statuses, status) {
			statuses = append(statuses, status)
		}
	}
	m, err := rt.Create(t.Context(), "made", o)
	if err != nil {
		t.Fatal(err)
	}
	if m.System != o.System || m.Template != o.Template || m.Renderer != "r" || m.Parser != "p" ||
		m.Requires != "0.1.0" || m.ThinkStart != "[" || m.ThinkEnd != "]" ||
		m.Author != "somebody" || !reflect.DeepEqual(m.Licenses, o.Licenses) ||
		!reflect.DeepEqual(m.Messages, o.Messages) ||
		!reflect.DeepEqual(m.ToolFormat, o.ToolFormat) {
		t.Errorf("the model is %+v", m)
	}
	if want := map[string]any{"stop": []string{"a", " b"}, "temperature": 0.25, "num_ctx": 256.0,
		"use_mmap": false}; !reflect.DeepEqual(m.Parameters, want) {
		t.Errorf("parameters are %v, want %v", m.Parameters, want)
	}
	if !slices.Contains(m.Capabilities, "vision") || slices.Contains(m.Capabilities, "tools") {
		t.Errorf("capabilities are %v", m.Capabilities)
	}
	want := []string{"parsing GGUF", "creating new layer", "writing manifest", "success"}
	if !reflect.DeepEqual(statuses, want) {
		t.Errorf("statuses are %q, want %q", statuses, want)
	}
	noLeftovers(t, dir)
}

func noLeftovers(t testing.TB, dir string) {
	t.Helper()
	left, _ := filepath.Glob(filepath.Join(dir, "blobs", ".*"))
	if len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestAModelMadeFromItsOwnModelfileIsTheSame(t *testing.T) {
	rt, _, _ := withStore(t)
	o := full(map[string]string{"tiny.gguf": addFile(t, rt, tinyFile(t, synth.Options{}))})
	first, err := rt.Create(t.Context(), "made", o)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modelfile.Parse(strings.NewReader(first.Modelfile()))
	if err != nil {
		t.Fatalf("%v\n%s", err, first.Modelfile())
	}
	r, err := parsed.Recipe()
	if err != nil {
		t.Fatal(err)
	}
	again := &mullama.CreateOptions{
		From: r.From[0].Name, Template: r.Template, System: r.System, Licenses: r.Licenses,
		Parameters: r.Parameters, Renderer: r.Renderer, Parser: r.Parser, Requires: r.Requires,
		ThinkStart: r.Extras.ThinkStart, ThinkEnd: r.Extras.ThinkEnd, Author: r.Extras.Author,
		ToolFormat: r.Extras.ToolFormat, Capabilities: r.Extras.Capabilities,
	}
	for _, m := range r.Messages {
		again.Messages = append(again.Messages, mullama.Message{Role: m.Role, Content: m.Content})
	}
	second, err := rt.Create(t.Context(), "again", again)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(first.Modelfile(), "made:latest", "again:latest")
	if second.Modelfile() != text || second.Size != first.Size {
		t.Errorf("%d bytes: %s\nwant %d: %s", second.Size, second.Modelfile(), first.Size, text)
	}
}

func TestWhatIsPutOnTopReplacesOrAdds(t *testing.T) {
	rt, _, _ := withStore(t)
	files := map[string]string{"tiny.gguf": addFile(t, rt, tinyFile(t, synth.Options{}))}
	if _, err := rt.Create(t.Context(), "base", full(files)); err != nil {
		t.Fatal(err)
	}
	m, err := rt.Create(t.Context(), "top", &mullama.CreateOptions{From: "base", System: "New.",
		Parameters: map[string]any{"temperature": "0.5"}, Licenses: []string{"third"}})
	if err != nil {
		t.Fatal(err)
	}
	if m.System != "New." || m.Parameters["temperature"] != 0.5 ||
		m.Parameters["num_ctx"] != 256.0 || len(m.Licenses) != 3 || m.Author != "somebody" ||
		m.Details.ParentModel != "base:latest" {
		t.Errorf("the model is %+v", m)
	}
}

func TestWhatNoModelCanBeMadeOfIsRefused(t *testing.T) {
	rt, dir, _ := withStore(t)
	good := addFile(t, rt, tinyFile(t, synth.Options{}))
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no model at all, but text"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := addFile(t, rt, text)
	missing := "sha256:" + strings.Repeat("0", 64)
	one := map[string]string{"tiny.gguf": good}
	type made = mullama.CreateOptions
	for name, tt := range map[string]struct {
		o    made
		kind error
		word string
	}{
		"nothing": {made{},
			mullama.ErrInvalidOption, "neither from nor files"},
		"text": {made{Files: map[string]string{"x.gguf": bad}},
			mullama.ErrNotGGUF, "x.gguf"},
		"no blob": {made{Files: map[string]string{"x.gguf": missing}},
			mullama.ErrNotFound, "x.gguf"},
		"two models": {made{Files: map[string]string{"a": good, "b": good}},
			mullama.ErrInvalidOption, "2 models"},
		"safetensors": {made{Files: map[string]string{"x.safetensors": good}},
			mullama.ErrInvalidOption, "config.json"},
		"quantise": {made{Files: one, Quantize: "Q9"},
			mullama.ErrInvalidOption, "Q4_K_M"},
		"adapter": {made{Files: one, Adapters: map[string]string{"a": good}},
			mullama.ErrInvalidOption, "a is no adapter"},
		"template": {made{Files: one, Template: "{{ .Prompt"},
			mullama.ErrTemplate, "template"},
		"parameter": {made{Files: one, Parameters: map[string]any{"heat": 1.0}},
			mullama.ErrInvalidOption, `no parameter "heat"`},
		"kind": {made{Files: one, Parameters: map[string]any{"top_k": "x"}},
			mullama.ErrInvalidOption, "whole number"},
		"role": {made{Files: one, Messages: []mullama.Message{{Role: "x"}}},
			mullama.ErrInvalidOption, "role"},
		"unreachable": {made{From: "127.0.0.1:1/a/b", TransferOptions: insecure},
			mullama.ErrUnreachable, "127.0.0.1:1"},
		"without http": {made{From: "http://127.0.0.1:1/a/b"},
			mullama.ErrInvalidOption, "without encryption"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rt.Create(t.Context(), "made", &tt.o)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.word) ||
				strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %v, want %v with %q", err, tt.kind, tt.word)
			}
			if got := names(t, rt); len(got) > 0 {
				t.Errorf("there is %v", got)
			}
			noLeftovers(t, dir)
		})
	}
}

func TestACancelledCreateLeavesNothing(t *testing.T) {
	rt, dir, _ := withStore(t)
	o := full(map[string]string{"tiny.gguf": addFile(t, rt, tinyFile(t, synth.Options{}))})
	ctx, cancel := context.WithCancel(t.Context())
	o.Progress = func(p mullama.Progress) {
		if strings.HasPrefix(p.Status, "creating") {
			cancel()
		}
	}
	if _, err := rt.Create(ctx, "made", o); !errors.Is(err, mullama.ErrCancelled) {
		t.Errorf("the error is %v", err)
	}
	if got := names(t, rt); len(got) > 0 {
		t.Errorf("there is %v", got)
	}
	noLeftovers(t, dir)
}

func TestABlobMustHaveItsDigest(t *testing.T) {
	rt, dir, _ := withStore(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	err := rt.AddBlob(t.Context(), digest, strings.NewReader("x"))
	if !errors.Is(err, mullama.ErrInvalidOption) || !strings.Contains(err.Error(), "mismatch") {
		t.Errorf("the error is %v", err)
	}
	if has, err := rt.HasBlob(digest); has || err != nil {
		t.Errorf("there is a blob: %v, %v", has, err)
	}
	noLeftovers(t, dir)
}

func TestAModelGoesToARegistryAndComesBack(t *testing.T) {
	rt, _, _ := withStore(t)
	other, _, _ := withStore(t)
	registry := testregistry.New(t)
	name := registry.Host() + "/some/model:1"
	o := full(map[string]string{"tiny.gguf": addFile(t, rt, tinyFile(t, synth.Options{}))})
	sent, err := rt.Create(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Push(t.Context(), name, &insecure); err != nil {
		t.Fatal(err)
	}
	got, err := other.Pull(t.Context(), name, &insecure)
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest != sent.Digest || got.Modelfile() != sent.Modelfile() {
		t.Errorf("got %s, want %s", got.Modelfile(), sent.Modelfile())
	}
	lease, err := other.Acquire(t.Context(), name, mullama.AcquireOptions{
		Load: &mullama.LoadOptions{ContextSize: 256, Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()
	made, err := other.Create(t.Context(), "copy", &mullama.CreateOptions{From: name, System: "x"})
	if err != nil || made.Details.ParentModel != name {
		t.Errorf("made from it: %+v, %v", made, err)
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for wrong, kind := range map[string]error{
		registry.Host() + "/some/other": mullama.ErrNotFound,
		"a/b/c/d/e":                     mullama.ErrInvalidOption,
		"file:/no/such.gguf":            mullama.ErrNotFound,
	} {
		if _, err := rt.Pull(t.Context(), wrong, &insecure); !errors.Is(err, kind) {
			t.Errorf("%s: the error is %v", wrong, err)
		}
	}
	if err := rt.Push(t.Context(), "unknown", nil); !errors.Is(err, mullama.ErrNotFound) {
		t.Errorf("the error is %v", err)
	}
}

func TestAModelOfAFileIsPulledWithoutARegistry(t *testing.T) {
	rt, _, _ := withStore(t)
	m, err := rt.Pull(t.Context(), "file:"+tinyFile(t, synth.Options{}), nil)
	if err != nil || m.Name != "tiny:latest" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestAnAdapterThatCannotBeAppliedIsNotLeftOut(t *testing.T) {
	rt, dir, _ := withStore(t)
	addModel(t, dir, "with", synth.Options{}, store.Config{}, store.TypeAdapter, "an adapter")
	_, err := rt.Acquire(t.Context(), "with", mullama.AcquireOptions{})
	if !errors.Is(err, mullama.ErrNotGGUF) || !strings.Contains(err.Error(), "adapter") {
		t.Errorf("the error is %v", err)
	}
}
