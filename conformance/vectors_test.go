package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/conformance/vectors"
	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

const vectorFolder = "vectors"

type vector struct{ vectors.Case }

// TestVectors runs what every binding must do with package mullama, in this process and over a
// daemon.
func TestVectors(t *testing.T) {
	testdaemon.RequireLibrary(t)
	paths := map[string]string{}
	for _, file := range vectorFiles {
		paths[file.name] = testmodels.Path(t, file.model)
	}
	r := &vectorRunner{vectors.Results{Language: "go", Cases: map[string]string{}}}
	r.file(t, "echo", "echo", "echo", nil)

	runtime, err := mullama.Open(mullama.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	for _, file := range vectorFiles {
		r.file(t, file.name, file.name, paths[file.name], runtime)
	}
	daemon := vectorDaemon(t)
	for _, file := range vectorFiles {
		r.file(t, file.name, "daemon", file.name, daemon)
	}

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

// vectorFiles are the files of vectors for real models, which a daemon has by the files' names.
var vectorFiles = []struct{ name, model string }{
	{"smollm2", "smollm2"}, {"minilm", "minilm"}, {"ranker", "minilm-rank"},
}

// vectorDaemon is a daemon that has the models until the test ends.
func vectorDaemon(t *testing.T) *mullama.Client {
	models := map[string]string{}
	for _, file := range vectorFiles {
		models[file.name] = file.model
	}
	d := testdaemon.Start(t, models, "--ctx-size", "512")
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

type vectorRunner struct{ results vectors.Results }

// file runs the cases of a file, under a name of their own, with a model.
func (r *vectorRunner) file(t *testing.T, file, as, name string, engine loader) {
	all, err := vectors.Read(vectorFolder, file, name)
	if err != nil {
		t.Fatal(err)
	}
	var model *mullama.Model
	if all.Skip["go"] == "" {
		if model, err = loadVector(t, engine, name, all.Load); err != nil {
			t.Fatal(err)
		}
		defer model.Close()
	}
	for _, c := range all.Cases {
		v := vector{c}
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
		r.results.Skipped = append(r.results.Skipped, vectors.Skipped{Name: name, Reason: skip})
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
	case "embed":
		err = v.embed(t, m)
	case "rerank", "score":
		err = v.rank(t, m)
	case "index":
		err = v.index(t, m)
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
		AddSpecial:   v.Has("add_special"),
		ParseSpecial: v.Has("parse_special"),
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
		if string(got[i].Bytes) != want.Token || len(got[i].Top) != want.Top ||
			math.Abs(float64(got[i].Logprob)-want.Logprob) > vectors.Near {
			t.Errorf("log probability %d is %+v, want %+v", i, got[i], want)
		}
	}
}
