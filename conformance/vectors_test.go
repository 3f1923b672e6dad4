package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

// vectors is a file of the folder vectors; the README there has the fields.
type vectors struct {
	Name  string            `json:"name"`
	Load  json.RawMessage   `json:"load"`
	Skip  map[string]string `json:"skip"`
	Cases []vector          `json:"cases"`
}

type vector struct {
	Name         string            `json:"name"`
	Op           string            `json:"op"`
	Text         string            `json:"text"`
	Flags        []string          `json:"flags"`
	Tokens       []mullama.Token   `json:"tokens"`
	Request      json.RawMessage   `json:"request"`
	Model        string            `json:"model"`
	Options      json.RawMessage   `json:"options"`
	CancelAfter  int               `json:"cancel_after"`
	WantText     *string           `json:"want_text"`
	WantLast     map[string]any    `json:"want_last"`
	WantLogprobs []wantLogprob     `json:"want_logprobs"`
	WantError    string            `json:"want_error"`
	WantMessage  string            `json:"want_message"`
	Skip         map[string]string `json:"skip"`
}

type wantLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Top     int     `json:"top"`
}

// vectorResults are what tools/parity reads.
type vectorResults struct {
	Language string            `json:"language"`
	Passed   int               `json:"passed"`
	Failed   int               `json:"failed"`
	Skipped  []vectorSkip      `json:"skipped"`
	Cases    map[string]string `json:"cases"`
}

type vectorSkip struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// TestVectors runs what every binding must do with package mullama, in this process and over a
// daemon.
func TestVectors(t *testing.T) {
	testdaemon.RequireLibrary(t)
	path := testmodels.Path(t, "smollm2")
	r := &vectorRunner{results: vectorResults{Language: "go", Cases: map[string]string{}}}
	r.file(t, "echo", "echo", "echo", nil)

	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	r.file(t, "smollm2", "smollm2", path, runtime)
	r.file(t, "smollm2", "daemon", "smollm2", vectorDaemon(t, path))

	if to := os.Getenv("MULLAMA_RESULTS"); to != "" {
		data, err := json.MarshalIndent(r.results, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, append(data, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// vectorDaemon is a daemon that has SmolLM2 until the test ends.
func vectorDaemon(t *testing.T, path string) *mullama.Client {
	d, err := testdaemon.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.End(); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(d.Import(path, "smollm2"), d.Serve("--ctx-size", "512")); err != nil {
		t.Fatal(err)
	}
	client, err := mullama.NewClient(d.URL(), mullama.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// loader is a Runtime or a Client.
type loader interface {
	Load(ctx context.Context, name string, o *mullama.LoadOptions) (*mullama.Model, error)
}

type vectorRunner struct{ results vectorResults }

// file runs the cases of a file, under a name of their own, with a model.
func (r *vectorRunner) file(t *testing.T, file, as, name string, engine loader) {
	folder, err := filepath.Abs("vectors")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(folder, file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("$VECTORS", folder, "$MODEL", name).Replace(string(data))
	var all vectors
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	var model *mullama.Model
	if all.Skip["go"] == "" {
		if model, err = loadVector(t, engine, name, all.Load); err != nil {
			t.Fatal(err)
		}
		defer model.Close()
	}
	for _, v := range all.Cases {
		r.run(t, as+"/"+v.Name, firstReason(all.Skip["go"], v.Skip["go"], v.Skip[as]),
			func(t *testing.T) { v.run(t, engine, model) })
	}
}

func firstReason(reasons ...string) string {
	i := slices.IndexFunc(reasons, func(r string) bool { return r != "" })
	if i < 0 {
		return ""
	}
	return reasons[i]
}

func (r *vectorRunner) run(t *testing.T, name, skip string, test func(*testing.T)) {
	if skip != "" {
		r.results.Skipped = append(r.results.Skipped, vectorSkip{name, skip})
		r.results.Cases[name] = "skipped"
		return
	}
	if t.Run(name, test) {
		r.results.Passed++
		r.results.Cases[name] = "passed"
		return
	}
	r.results.Failed++
	r.results.Cases[name] = "failed"
}

func loadVector(
	t *testing.T, engine loader, name string, options json.RawMessage,
) (*mullama.Model, error) {
	var o mullama.LoadOptions
	strictly(t, options, &o)
	return engine.Load(t.Context(), name, &o)
}

func (v *vector) run(t *testing.T, engine loader, m *mullama.Model) {
	var text string
	var err error
	switch v.Op {
	case "tokenize":
		err = v.tokenize(t, m)
	case "detokenize":
		var data []byte
		data, err = m.Detokenize(v.Tokens)
		text = string(data)
	case "render":
		var prompt *mullama.ChatPrompt
		q := v.read(t)
		if prompt, err = m.FormatChat(q.Messages, q.chatOptions(t)); err == nil {
			text = prompt.Text
		}
	case "chat", "generate":
		text, err = v.answer(t, m)
	case "load":
		_, err = loadVector(t, engine, v.Model, v.Options)
	case "open":
		err = v.open(t)
	default:
		t.Fatalf("the op %q is not known", v.Op)
	}
	v.checkError(t, err)
	if v.WantText != nil && text != *v.WantText {
		t.Errorf("the text is %q, want %q", text, *v.WantText)
	}
}

func (v *vector) checkError(t *testing.T, err error) {
	t.Helper()
	switch {
	case v.WantError == "" && err != nil:
		t.Fatal(err)
	case v.WantError == "":
		return
	case err == nil:
		t.Fatalf("no error, want %s", v.WantError)
	}
	if name := mullama.ErrorName(err); name != v.WantError ||
		!strings.Contains(err.Error(), v.WantMessage) {
		t.Errorf("the error is %s: %v; want %s: …%s…", name, err, v.WantError, v.WantMessage)
	}
}

func (v *vector) tokenize(t *testing.T, m *mullama.Model) error {
	tokens, err := m.Tokenize(v.Text, mullama.TokenizeOptions{
		AddSpecial:   slices.Contains(v.Flags, "add_special"),
		ParseSpecial: slices.Contains(v.Flags, "parse_special"),
	})
	if !slices.Equal(tokens, v.Tokens) {
		t.Errorf("the tokens are %v, want %v", tokens, v.Tokens)
	}
	return err
}

// open opens a runtime of the case's own, and loads a model of its store.
func (v *vector) open(t *testing.T) error {
	var o struct {
		ModelsDir string `json:"models_dir"`
	}
	strictly(t, v.Options, &o)
	runtime, err := mullama.Open(mullama.Options{ModelsDir: o.ModelsDir})
	if err != nil {
		return err
	}
	defer runtime.Close()
	lease, err := runtime.Acquire(t.Context(), v.Model, mullama.AcquireOptions{})
	if err == nil {
		lease.Release()
	}
	return err
}

func (v *vector) answer(t *testing.T, m *mullama.Model) (string, error) {
	stream, err := v.read(t).start(t, m)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	var text strings.Builder
	var logprobs []mullama.TokenLogprob
	var last mullama.Chunk
	for n := 1; ; n++ {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		text.WriteString(chunk.Text)
		logprobs = append(logprobs, chunk.Logprobs...)
		if last = chunk; n == v.CancelAfter {
			stream.Close()
		}
	}
	v.checkLast(t, &last, stream.Truncation())
	v.checkLogprobs(t, logprobs)
	return text.String(), nil
}

// checkLast compares what the last part tells, under the names of the HTTP API.
func (v *vector) checkLast(t *testing.T, last *mullama.Chunk, cut mullama.Truncation) {
	if !last.Done {
		t.Fatalf("the last part is %+v", last)
	}
	got := map[string]any{
		"done":              last.Done,
		"done_reason":       string(last.FinishReason),
		"stop_string":       last.StopString,
		"eval_count":        float64(last.Stats.GeneratedTokens),
		"prompt_eval_count": float64(last.Stats.PromptTokens),
		"truncated":         cut != mullama.Truncation{},
	}
	for field, want := range v.WantLast {
		if !reflect.DeepEqual(got[field], want) {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
}

func (v *vector) checkLogprobs(t *testing.T, got []mullama.TokenLogprob) {
	if v.WantLogprobs == nil {
		return
	}
	if len(got) != len(v.WantLogprobs) {
		t.Fatalf("there are %d log probabilities, want %d", len(got), len(v.WantLogprobs))
	}
	for i, want := range v.WantLogprobs {
		const near = 0.05
		if string(got[i].Bytes) != want.Token || len(got[i].Top) != want.Top ||
			math.Abs(float64(got[i].Logprob)-want.Logprob) > near {
			t.Errorf("log probability %d is %+v, want %+v", i, got[i], want)
		}
	}
}
