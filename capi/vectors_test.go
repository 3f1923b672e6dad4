package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
	"github.com/mullama/mullama/conformance/vectors"
	"github.com/mullama/mullama/internal/testdaemon"
	"github.com/mullama/mullama/internal/testmodels"
)

const vectorFolder = "../conformance/vectors"

type vector struct {
	vectors.Case
	fresh map[string]any // what came in place of fields, with -update
}

func TestVectorsOfTheEcho(t *testing.T) { runVectors(t, echo{}, "echo", "echo", "") }

func TestVectorsOfRealModels(t *testing.T) {
	e, err := openLocal(&runtimeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	for file, name := range map[string]string{
		"smollm2": "smollm2", "minilm": "minilm", "ranker": "minilm-rank",
	} {
		runVectors(t, e, file, testmodels.Path(t, name), "")
	}
}

func TestVectorsOverADaemon(t *testing.T) {
	d := testdaemon.Start(t, map[string]string{"smollm2": "smollm2", "minilm": "minilm",
		"ranker": "minilm-rank"}, "--ctx-size", "512")
	e, err := openRemote(&runtimeOptions{URL: d.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	for _, name := range []string{"smollm2", "minilm", "ranker"} {
		runVectors(t, e, name, name, "daemon")
	}
}

func runVectors(t *testing.T, e engine, file, name, runner string) {
	all, err := vectors.Read(vectorFolder, file, name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := loadWith(e, name, all.Load)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	var ran []*vector
	for _, c := range all.Cases {
		v := &vector{Case: c}
		ran = append(ran, v)
		t.Run(v.Name, func(t *testing.T) {
			if reason := v.Skip[runner]; reason != "" {
				t.Skip(reason)
			}
			v.run(t, e, m)
		})
	}
	if *update {
		writeFresh(t, vectors.Path(vectorFolder, file), ran)
	}
}

func loadWith(e engine, name string, options json.RawMessage) (model, error) {
	var o mullama.LoadOptions
	if err := parseStrictly(options, &o); err != nil {
		return nil, err
	}
	return e.load(context.Background(), name, &o)
}

func (v *vector) run(t *testing.T, e engine, m model) {
	var text string
	var err error
	switch v.Op {
	case "tokenize":
		err = v.tokenize(t, m)
	case "detokenize":
		var data []byte
		data, err = m.detokenize(v.Tokens)
		text = string(data)
	case "render":
		text, err = m.render(v.Request)
	case "chat":
		text, err = v.answer(t, m.chat)
	case "generate":
		text, err = v.answer(t, m.generate)
	case "load":
		_, err = loadWith(e, v.Model, v.Options)
	case "open":
		err = v.open()
	case "embed":
		err = v.embed(t, m)
	case "index":
		err = v.index(t, e, m)
	case "rerank":
		err = v.rank(t, m.rerank)
	case "score":
		err = v.rank(t, m.score)
	default:
		t.Fatalf("the op %q is not known", v.Op)
	}
	v.checkError(t, err)
	if v.WantText != nil {
		v.compare(t, "want_text", text, *v.WantText)
	}
}

// open opens a runtime of the case's own, and loads a model if one is named.
func (v *vector) open() error {
	var o runtimeOptions
	if err := parseStrictly(v.Options, &o); err != nil {
		return err
	}
	e, err := open(&o)
	if err != nil {
		return err
	}
	defer e.close()
	if v.Model != "" {
		_, err = loadWith(e, v.Model, nil)
	}
	return err
}

func (v *vector) checkError(t *testing.T, err error) {
	t.Helper()
	if v.WantError == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err == nil {
		t.Fatalf("no error, want %s", v.WantError)
	}
	code, message := explain(err)
	if statusName(code) != v.WantError || !strings.Contains(message, v.WantMessage) {
		t.Errorf("the error is %s: %s; want %s: …%s…", statusName(code), message, v.WantError,
			v.WantMessage)
	}
}

func (v *vector) tokenize(t *testing.T, m model) error {
	tokens, err := m.appendTokens(nil, v.Text, mullama.TokenizeOptions{
		AddSpecial:   v.Has("add_special"),
		ParseSpecial: v.Has("parse_special"),
	})
	if len(tokens)+len(v.Tokens) > 0 {
		v.compare(t, "tokens", tokens, v.Tokens)
	}
	return err
}

// embed compares embeddings. What is wrong with one text is an error, unless the case expects it.
func (v *vector) embed(t *testing.T, m model) error {
	result, err := m.embed(v.Request)
	if err != nil {
		return err
	}
	var got []vectors.Embedded
	for _, e := range result.Embeddings {
		one := vectors.Embedded{Rows: rowsOf(&e), Tokens: e.Tokens, Truncated: e.Cut}
		if e.Err != nil {
			code, _ := explain(e.Err)
			one.Error = statusName(code)
		}
		got = append(got, one)
	}
	if v.WantErrors == nil && result.Err() != nil {
		return result.Err()
	}
	if err := v.CheckEmbeddings(got); err != nil {
		t.Error(err)
	}
	return nil
}

func (v *vector) rank(t *testing.T, by func([]byte) ([]byte, error)) error {
	data, err := by(v.Request)
	if err != nil {
		return err
	}
	var answer api.RerankResponse
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	var got []vectors.Score
	for _, r := range answer.Results {
		got = append(got, vectors.Score{Index: r.Index, Score: r.Score})
	}
	if err := v.CheckScores(got, answer.Method); err != nil {
		t.Error(err)
	}
	return nil
}

func (v *vector) answer(t *testing.T, begin func([]byte) (answer, error)) (string, error) {
	a, err := begin(v.Request)
	if err != nil {
		return "", err
	}
	defer a.cancel()
	var parts []string
	var logprobs []api.Logprob
	last := map[string]any{}
	for {
		p, err := a.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		parts = append(parts, p.text)
		if len(parts) == v.CancelAfter {
			a.cancel()
		}
		var more struct {
			Logprobs []api.Logprob `json:"logprobs"`
		}
		if err := json.Unmarshal(orObject(p.json), &more); err != nil {
			t.Error(err)
		}
		logprobs = append(logprobs, more.Logprobs...)
		if p.done {
			if err := json.Unmarshal(p.json, &last); err != nil {
				t.Error(err)
			}
		}
	}
	if v.WantParts != nil {
		v.compare(t, "want_parts", parts, v.WantParts)
	}
	if v.WantLast != nil {
		fields := map[string]any{}
		for field := range v.WantLast {
			fields[field] = last[field]
		}
		v.compare(t, "want_last", fields, v.WantLast)
	}
	if v.WantLogprobs != nil {
		v.compare(t, "want_logprobs", v.near(logprobs), v.WantLogprobs)
	}
	return strings.Join(parts, ""), nil
}

func orObject(data []byte) []byte {
	if len(data) == 0 {
		return []byte("{}")
	}
	return data
}

// near are log probabilities as a case has them, with its number in place of one that is near it.
func (v *vector) near(list []api.Logprob) []vectors.Logprob {
	got := []vectors.Logprob{}
	for i, l := range list {
		one := vectors.Logprob{Token: l.Token, Logprob: math.Round(l.Logprob*1000) / 1000,
			Top: len(l.TopLogprobs)}
		if i < len(v.WantLogprobs) &&
			math.Abs(l.Logprob-v.WantLogprobs[i].Logprob) <= vectors.Near {
			one.Logprob = v.WantLogprobs[i].Logprob
		}
		got = append(got, one)
	}
	return got
}

// compare fails the test if a field of the case is not what came, or with -update keeps that.
func (v *vector) compare(t *testing.T, field string, got, want any) {
	t.Helper()
	switch {
	case reflect.DeepEqual(got, want):
	case *update:
		if v.fresh == nil {
			v.fresh = map[string]any{}
		}
		v.fresh[field] = got
	default:
		t.Errorf("%s: got %+v, want %+v", field, got, want)
	}
}
