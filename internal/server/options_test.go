package server

import (
	"encoding/json"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

func applyJSON(t testing.TB, text string) (*settings, error) {
	t.Helper()
	var options map[string]any
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		t.Fatal(err)
	}
	s := newSettings(mullama.LoadOptions{ContextSize: 100}, mullama.DefaultSampling())
	return s, s.apply(options, slog.New(slog.DiscardHandler))
}

func TestOptionsSetWhatTheyName(t *testing.T) {
	s, err := applyJSON(t, `{"temperature":0.5,"top_k":-1,"seed":7,"stop":"x","num_predict":-2,
		"num_ctx":64,"num_gpu":-1,"use_mmap":false,"samplers":"top_k;min_p",
		"logit_bias":{"5":-3,"6":false},"unknown":1,"min_p":null,"dry_sequence_breakers":["a"],
		"num_thread":2,"ignore_eos":true,"num_keep":3}`)
	if err != nil {
		t.Fatal(err)
	}
	want := mullama.DefaultSampling()
	seed := uint32(7)
	want.Temperature, want.TopK, want.Seed, want.IgnoreEOS = 0.5, 0, &seed, true
	want.Order, want.DRYBreakers = []string{"top_k", "min_p"}, []string{"a"}
	want.LogitBias = map[mullama.Token]float32{5: -3, 6: float32(math.Inf(-1))}
	if !reflect.DeepEqual(s.sampling, want) {
		t.Errorf("sampling is %+v", s.sampling)
	}
	g := s.finish()
	if g.MaxTokens != 0 || g.Keep != 3 || !reflect.DeepEqual(g.Stop, []string{"x"}) {
		t.Errorf("generation is %+v", g)
	}
	if l := s.load; !s.reload || l.ContextSize != 64 || l.LoadMode != "read" || l.Threads != 2 ||
		l.GPULayers != nil {
		t.Errorf("load is %+v", l)
	}
}

func TestEveryOptionRefusesAWrongType(t *testing.T) {
	for name := range optionSetters {
		text, err := json.Marshal(object{name: object{"a": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = applyJSON(t, string(text))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s given an object: error %v", name, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":"x"}],"options":{"seed":1e300}}`,
		`{"options":{"logit_bias":[[1,false],["2",3]],"stop":[1]},"keep_alive":-1,"think":"high"}`,
		`{"model":5}`, `[`, `{"format":{"type":"object"},"keep_alive":"1h"}`, "{\"a\":\n}", `null`,
		`{"options":{"num_ctx":-99999999999,"samplers":["a","b"],"logit_bias":{"x":1}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var chat api.ChatRequest
		err := unmarshal(data, &chat)
		if err == nil {
			s := newSettings(mullama.LoadOptions{}, mullama.DefaultSampling())
			if err = s.apply(chat.Options, slog.New(slog.DiscardHandler)); err == nil {
				options := s.finish()
				_ = options.Sampling.Validate()
			}
			_, _ = toMessages(chat.Messages)
			_, _ = formatSchema(chat.Format)
		}
		if err != nil {
			failed := toFailure(err)
			if failed.status != 400 || !json.Valid(appendFailure(nil, openAI, failed)) {
				t.Errorf("%q: status %d, %v", data, failed.status, err)
			}
		}
	})
}

func FuzzOpenAIRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"n":2}`,
		`{"messages":[{"role":"developer","content":null}],` +
			`"response_format":{"type":"json_schema"}}`,
		`{"prompt":[[1,2],[3]],"max_tokens":-1,"stop":["a"],"logit_bias":{"1":-100}}`,
		`{"prompt":["a",1]}`, `{"prompt":[]}`, `{"messages":[{"content":[5]}]}`, `{"seed":1e400}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var chat chatCompletionRequest
		var completion completionRequest
		errs := []error{
			unmarshalOpenAI(data, &chat, &chat.openAIRequest),
			unmarshalOpenAI(data, &completion, &completion.openAIRequest),
		}
		if errs[0] == nil {
			_, err := fromOpenAI(chat.Messages)
			_, err2 := chat.ResponseFormat.schema()
			_, err3 := chat.choices()
			errs = append(errs, err, err2, err3)
			s := newSettings(mullama.LoadOptions{}, mullama.DefaultSampling())
			for _, options := range chat.order().options {
				errs = append(errs, s.apply(options, slog.New(slog.DiscardHandler)))
			}
		}
		if errs[1] == nil {
			_, err := parsePrompts(completion.Prompt)
			errs = append(errs, err)
		}
		for _, err := range errs {
			if err != nil && toFailure(err).status != 400 {
				t.Errorf("%q: status %d, %v", data, toFailure(err).status, err)
			}
		}
	})
}
