package mullama_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/store"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// withStore opens the engine with a new model store, and gives the log's text.
func withStore(t testing.TB) (rt *mullama.Runtime, dir string, log *bytes.Buffer) {
	t.Helper()
	dir, log = filepath.Join(t.TempDir(), "models"), &bytes.Buffer{}
	rt, err := mullama.Open(mullama.Options{
		ModelsDir: dir,
		Logger:    slog.New(slog.NewTextHandler(log, nil)),
	})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skipf("needs the native library: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	return rt, dir, log
}

func importModel(
	t testing.TB, rt *mullama.Runtime, name string, o synth.Options,
) *mullama.StoredModel {
	t.Helper()
	m, err := rt.Import(t.Context(), name, tinyFile(t, o))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func names(t testing.TB, rt *mullama.Runtime) []string {
	t.Helper()
	models, err := rt.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range models {
		all = append(all, m.Name)
	}
	return all
}

// addModel writes a model with a GGUF file and further layers: pairs of media type and content.
func addModel(
	t testing.TB, dir, name string, o synth.Options, config store.Config, layers ...string,
) {
	t.Helper()
	n, err := store.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	d := store.New(dir).Draft()
	defer d.Discard()
	file, err := d.AddFile(t.Context(), tinyFile(t, o), store.TypeModel)
	if err != nil {
		t.Fatal(err)
	}
	file.From = "base:latest"
	all := []store.Layer{file}
	for i := 0; i < len(layers); i += 2 {
		l, err := d.Add(t.Context(), strings.NewReader(layers[i+1]), layers[i])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	c, err := d.AddJSON(t.Context(), config, store.TypeConfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(n, c, all); err != nil {
		t.Fatal(err)
	}
}

func TestImportedModelIsFound(t *testing.T) {
	rt, dir, _ := withStore(t)
	m := importModel(t, rt, "Tiny", synth.Options{Context: 1024})
	if m.Name != "Tiny:latest" || len(m.Digest) != 64 || m.Modified.IsZero() {
		t.Errorf("imported %+v", m)
	}
	info, err := mullama.Inspect(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(m.Path) != filepath.Join(dir, "blobs") || m.Size <= info.SizeBytes {
		t.Errorf("it is at %q with %d bytes", m.Path, m.Size)
	}
	d := m.Details
	if want := []string{"gguf", "llama", "F16", "", "llama"}; !slices.Equal(want, []string{d.Format,
		d.Family, d.QuantizationLevel, d.ParentModel, strings.Join(d.Families, " ")}) {
		t.Errorf("details are %+v", d)
	}
	if d.ContextLength != 1024 || d.EmbeddingLength != 64 ||
		!strings.HasSuffix(d.ParameterSize, "K") {
		t.Errorf("details are %+v", d)
	}
	if !slices.Equal(m.Capabilities, info.Capabilities) {
		t.Errorf("capabilities are %q; want %q", m.Capabilities, info.Capabilities)
	}
	for _, name := range []string{"tiny", "TINY:latest", "library/tiny",
		"registry.ollama.ai/library/Tiny:latest"} {
		found, err := rt.Find(name)
		if err != nil || !reflect.DeepEqual(found, m) {
			t.Errorf("%q finds %+v, %v; want %+v", name, found, err, m)
		}
	}
	load(t, rt, m.Path, mullama.LoadOptions{})
}

func TestNamesThatAreNotThere(t *testing.T) {
	rt, _, _ := withStore(t)
	none := openRuntime(t) // without a store
	for _, rt := range []*mullama.Runtime{rt, none} {
		_, err := rt.Find("no/such:model")
		wantKind(t, err, mullama.ErrNotFound)
		if want := `model "no/such:model" not found`; err.Error() != want {
			t.Errorf("got %q; want %q", err, want)
		}
		wantKind(t, rt.Delete("x"), mullama.ErrNotFound, `model "x" not found`)
		wantKind(t, rt.Copy("x", "y"), mullama.ErrNotFound, `model "x" not found`)
		_, err = rt.Find("../x")
		wantKind(t, err, mullama.ErrInvalidOption, `name "../x" is invalid`)
		wantKind(t, rt.Delete("a b"), mullama.ErrInvalidOption, `name "a b" is invalid`)
		wantKind(t, rt.Copy("x", ""), mullama.ErrInvalidOption, `name "" is invalid`)
		_, err = rt.Import(t.Context(), "x:", "x.gguf")
		wantKind(t, err, mullama.ErrInvalidOption, "its tag is empty")
		if got := names(t, rt); got != nil {
			t.Errorf("an empty store lists %q", got)
		}
	}
	_, err := none.Import(t.Context(), "x", tinyFile(t, synth.Options{}))
	wantKind(t, err, mullama.ErrStore, "no model store")
}

func TestModelsAreCopiedAndDeleted(t *testing.T) {
	rt, dir, _ := withStore(t)
	a := importModel(t, rt, "a", synth.Options{})
	if err := rt.Copy("A", "user/b:1"); err != nil {
		t.Fatal(err)
	}
	b, err := rt.Find("user/b:1")
	if err != nil || b.Digest != a.Digest || b.Path != a.Path || b.Name != "user/b:1" {
		t.Errorf("the copy is %+v, %v", b, err)
	}
	if err := rt.Delete("a"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, rt); !slices.Equal(got, []string{"user/b:1"}) {
		t.Errorf("the models are %q", got)
	}
	load(t, rt, b.Path, mullama.LoadOptions{})
	if err := rt.Delete("user/b:1"); err != nil {
		t.Fatal(err)
	}
	if blobs, err := os.ReadDir(filepath.Join(dir, "blobs")); err != nil || len(blobs) > 0 {
		t.Errorf("blobs %v are left, %v", blobs, err)
	}
}

func TestReplacedModelLeavesNothing(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "m", synth.Options{})
	m := importModel(t, rt, "M", synth.Options{Seed: 2})
	if got := names(t, rt); !slices.Equal(got, []string{"m:latest"}) {
		t.Errorf("the models are %q", got)
	}
	blobs, _ := os.ReadDir(filepath.Join(dir, "blobs"))
	if found, err := rt.Find("m"); err != nil || found.Path != m.Path || len(blobs) != 2 {
		t.Errorf("found %+v, %v, and %d blobs; want 2", found, err, len(blobs))
	}
}

func TestUnfitFilesAreNotImported(t *testing.T) {
	rt, dir, _ := withStore(t)
	for _, tt := range []struct {
		keys map[string]any
		want string
	}{
		{map[string]any{"split.count": uint16(3), "split.no": uint16(1)}, "one of 3 parts"},
		{map[string]any{"general.type": "adapter"}, "an adapter"},
		{map[string]any{"general.type": "mmproj"}, "a projector"},
	} {
		file := tinyFile(t, synth.Options{Keys: tt.keys})
		_, err := rt.Import(t.Context(), "m", file)
		wantKind(t, err, mullama.ErrUnsupported, tt.want)
		if tt.keys["general.type"] != nil {
			_, err = rt.Load(t.Context(), file, nil)
			wantKind(t, err, mullama.ErrUnsupported, tt.want)
		}
	}
	text := filepath.Join(t.TempDir(), "text.gguf")
	if err := os.WriteFile(text, []byte("hello, this is no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := rt.Import(t.Context(), "m", text)
	wantKind(t, err, mullama.ErrNotGGUF)
	_, err = rt.Import(t.Context(), "m", filepath.Join(dir, "none"))
	wantKind(t, err, mullama.ErrNotFound, "none")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = rt.Import(ctx, "m", tinyFile(t, synth.Options{}))
	wantKind(t, err, mullama.ErrCancelled)
	if got := names(t, rt); got != nil {
		t.Errorf("the models are %q", got)
	}
}

func TestLayersOfOllamaAreUsed(t *testing.T) {
	rt, dir, _ := withStore(t)
	config := store.Config{ModelFormat: "gguf", ModelFamily: "fam", ModelFamilies: []string{"fam"},
		ModelType: "8.0B", FileType: "unknown", ContextLength: 77}
	addModel(t, dir, "m", synth.Options{}, config,
		store.TypeTemplate, "{{ .System }}{{ .Prompt }}",
		store.TypeSystem, "Be brief.",
		store.TypeLicense, "MIT",
		store.TypeLicense, "Apache",
		store.TypeProjector, "p",
		store.TypeAdapter, "a",
		store.TypeParams,
		`{"temperature":0.5,"num_ctx":4096,"stop":["<end>","x"],"x":null,"b":true}`,
		store.TypeMessages, `[{"role":"user","content":"hi"},{"role":"assistant","content":"",
			"tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":2}}}]}]`,
		"application/vnd.ollama.image.novel", "?")
	m, err := rt.Find("m")
	if err != nil {
		t.Fatal(err)
	}
	if m.Template != "{{ .System }}{{ .Prompt }}" || m.System != "Be brief." ||
		!slices.Equal(m.Licenses, []string{"MIT", "Apache"}) {
		t.Errorf("texts are %q, %q, %q", m.Template, m.System, m.Licenses)
	}
	wantParameters := map[string]any{"temperature": 0.5, "num_ctx": 4096.0, "b": true,
		"stop": []string{"<end>", "x"}}
	if !reflect.DeepEqual(m.Parameters, wantParameters) {
		t.Errorf("parameters are %v; want %v", m.Parameters, wantParameters)
	}
	wantMessages := []mullama.Message{{Role: "user", Content: "hi"}, {Role: "assistant",
		ToolCalls: []mullama.ToolCall{{Type: "function",
			Function: mullama.FunctionCall{Name: "f", Arguments: `{"b":1,"a":2}`}}}}}
	if !reflect.DeepEqual(m.Messages, wantMessages) {
		t.Errorf("messages are %+v; want %+v", m.Messages, wantMessages)
	}
	if len(m.Projectors) != 1 || len(m.Adapters) != 1 {
		t.Errorf("projectors %q, adapters %v", m.Projectors, m.Adapters)
	}
	wantDetails := mullama.ModelDetails{ParentModel: "base:latest", Format: "gguf", Family: "fam",
		Families: []string{"fam"}, ParameterSize: "8.0B", QuantizationLevel: "F16",
		ContextLength: 77, EmbeddingLength: 64}
	if !reflect.DeepEqual(m.Details, wantDetails) {
		t.Errorf("details are %+v; want %+v", m.Details, wantDetails)
	}
	m.Parameters["temperature"] = 9.0 // a caller's change stays with the caller
	if again, err := rt.Find("m"); err != nil || again.Parameters["temperature"] != 0.5 {
		t.Errorf("the second time parameters are %v, %v", again.Parameters, err)
	}
}

func TestCapabilitiesOfStoredModels(t *testing.T) {
	rt, dir, _ := withStore(t)
	const toolTemplate = "{% for t in tools %}{{ t }}{% endfor %}"
	for i, tt := range []struct {
		gguf     string // chat template
		template string // Go template
		keys     map[string]any
		config   []string
		parser   string
		want     string
	}{
		{want: "completion"},
		{gguf: toolTemplate, want: "completion tools"},
		{template: "{{ range .Messages }}{{ if .Content }}{{ .Content }}{{ end }}{{ end }}",
			want: "completion"},
		{template: "{{ if $.Tools }}{{ json .Tools }}{{ end }}", want: "completion tools"},
		{template: "<P>{{ .Prompt }}<S>{{ .Suffix }}<M>", want: "completion insert"},
		{template: `{{- range $i, $m := .Messages }}` +
			`{{ with $m.Thinking }}<think>{{ . }}{{ else }}` +
			`{{ template "x" (index $.Tools 0).Function }}{{ end }}{{ end }}{{ define "x" }}` +
			`{{ .Suffix }}{{ end }}`, want: "completion insert thinking tools"},
		{template: "{{ if .Tools", want: "completion"},
		{template: "{{ noSuchFunction .Tools }}", want: "completion tools"},
		{keys: map[string]any{"llama.pooling_type": uint32(1)}, want: "embedding"},
		{config: []string{"completion", "audio"}, want: "audio completion"},
		{parser: "qwen3-coder", want: "completion tools"},
		{parser: "olmo3-think", want: "completion thinking"},
		{parser: "harmony", want: "completion thinking tools"},
		{parser: "nobody's", want: "completion"},
	} {
		var layers []string
		if tt.template != "" {
			layers = append(layers, store.TypeTemplate, tt.template)
		}
		if i == 0 {
			layers = append(layers, store.TypeProjector, "p")
			tt.want += " vision"
		}
		addModel(t, dir, "m", synth.Options{Template: tt.gguf, NoTemplate: tt.gguf == "",
			Keys: tt.keys}, store.Config{Capabilities: tt.config, Parser: tt.parser}, layers...)
		m, err := rt.Find("m")
		if err != nil {
			t.Error(err)
			continue
		}
		slices.Sort(m.Capabilities)
		if got := strings.Join(m.Capabilities, " "); got != tt.want {
			t.Errorf("case %d: capabilities are %q; want %q", i, got, tt.want)
		}
	}
}

func TestDamagedModelIsLeftOutOfTheList(t *testing.T) {
	rt, dir, log := withStore(t)
	importModel(t, rt, "good", synth.Options{})
	bad := importModel(t, rt, "bad", synth.Options{Seed: 2})
	addModel(t, dir, "worse", synth.Options{}, store.Config{}, store.TypeParams, "{")
	if err := os.Remove(bad.Path); err != nil {
		t.Fatal(err)
	}
	if got := names(t, rt); !slices.Equal(got, []string{"good:latest"}) {
		t.Errorf("the models are %q", got)
	}
	for _, word := range []string{"level=WARN", "bad:latest", "worse:latest"} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log lacks %q: %s", word, log)
		}
	}
	_, err := rt.Find("bad")
	wantKind(t, err, mullama.ErrStore, "bad:latest", "missing")
	_, err = rt.Find("worse")
	wantKind(t, err, mullama.ErrStore, "worse:latest", "corrupt")
	if err := rt.Delete("bad"); err != nil {
		t.Error(err)
	}
	importModel(t, rt, "worse", synth.Options{})
	if got := names(t, rt); len(got) != 2 {
		t.Errorf("the models are %q", got)
	}
}

func TestModelsThatTheEngineCannotReadAreListed(t *testing.T) {
	rt, dir, _ := withStore(t)
	addModel(t, dir, "mlx", synth.Options{}, store.Config{ModelFormat: "safetensors",
		Capabilities: []string{"completion"}})
	d := store.New(dir).Draft()
	c, err := d.AddJSON(t.Context(), store.Config{RemoteHost: "https://example.com",
		RemoteModel: "big", Capabilities: []string{"completion"}}, store.TypeConfig)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := store.ParseName("big:cloud")
	if _, err := d.Commit(n, c, nil); err != nil {
		t.Fatal(err)
	}
	models, err := rt.List()
	if err != nil || len(models) != 2 {
		t.Fatalf("%d models, %v", len(models), err)
	}
	for _, m := range models {
		if m.Path != "" || !slices.Equal(m.Capabilities, []string{"completion"}) {
			t.Errorf("%+v has a path, or not its stated capabilities", m)
		}
	}
}

func TestStoreOfOllamaIsListed(t *testing.T) {
	// Its models are not GGUF files, so that only the ones on another host are whole.
	rt, dir, _ := withStore(t)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("internal", "store", "testdata",
		"ollama"))); err != nil {
		t.Fatal(err)
	}
	if got := names(t, rt); !slices.Equal(got, []string{"big:cloud"}) {
		t.Errorf("the models are %q", got)
	}
	_, err := rt.Find("plain")
	wantKind(t, err, mullama.ErrStore, "plain:latest")
}
