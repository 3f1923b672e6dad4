package conformance

import (
	"bytes"
	"encoding/json"
	"strconv"
	"testing"

	"github.com/mullama/mullama"
)

// vectorRequest is a request of the HTTP API, as far as the vectors use it.
type vectorRequest struct {
	Messages     []mullama.Message `json:"messages"`
	Prompt       string            `json:"prompt"`
	Tokens       []mullama.Token   `json:"tokens"`
	Raw          bool              `json:"raw"`
	ParseSpecial *bool             `json:"parse_special"`
	Truncate     bool              `json:"truncate"`
	Template     string            `json:"template"`
	Format       json.RawMessage   `json:"format"`
	Logprobs     bool              `json:"logprobs"`
	TopLogprobs  int               `json:"top_logprobs"`
	Options      vectorOptions     `json:"options"`
}

type vectorOptions struct {
	Temperature   *float32           `json:"temperature"`
	TopK          *int               `json:"top_k"`
	TopP          *float32           `json:"top_p"`
	MinP          *float32           `json:"min_p"`
	TypicalP      *float32           `json:"typical_p"`
	RepeatLastN   *int               `json:"repeat_last_n"`
	RepeatPenalty *float32           `json:"repeat_penalty"`
	Mirostat      *int               `json:"mirostat"`
	IgnoreEOS     *bool              `json:"ignore_eos"`
	LogitBias     map[string]float32 `json:"logit_bias"`
	Seed          *int64             `json:"seed"`
	MaxTokens     int                `json:"num_predict"`
	Stop          textOrTexts        `json:"stop"`
	Grammar       string             `json:"grammar"`
}

// textOrTexts is a text or a list of texts.
type textOrTexts []string

func (s *textOrTexts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*s = textOrTexts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(s))
}

// strictly reads JSON of the vectors. What is not known here has to be added, or skipped with a
// reason.
func strictly(t *testing.T, data []byte, into any) {
	t.Helper()
	if len(data) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
}

func (v *vector) read(t *testing.T) *vectorRequest {
	q := new(vectorRequest)
	strictly(t, v.Request, q)
	return q
}

// start asks as the daemon does: a prompt that is not raw begins a conversation.
func (q *vectorRequest) start(t *testing.T, m *mullama.Model) (*mullama.Stream, error) {
	o := q.chatOptions(t)
	switch {
	case len(q.Messages) > 0:
		return m.Chat(t.Context(), q.Messages, o)
	case len(q.Tokens) > 0:
		return m.GenerateTokens(t.Context(), q.Tokens, &o.GenerateOptions)
	case q.Raw:
		o.ParseSpecial = q.ParseSpecial == nil || *q.ParseSpecial
		return m.Generate(t.Context(), q.Prompt, &o.GenerateOptions)
	}
	return m.Chat(t.Context(), []mullama.Message{{Role: "user", Content: q.Prompt}}, o)
}

func (q *vectorRequest) chatOptions(t *testing.T) *mullama.ChatOptions {
	n := len(q.Messages) - 1
	o := &mullama.ChatOptions{Template: q.Template,
		Continue: n > 0 && q.Messages[n].Role == "assistant"}
	o.Sampling = q.Options.sampling(t)
	o.MaxTokens = max(0, q.Options.MaxTokens)
	o.Stop, o.Grammar, o.JSONSchema = q.Options.Stop, q.Options.Grammar, string(q.Format)
	o.Logprobs, o.TopLogprobs, o.Truncate = q.Logprobs, q.TopLogprobs, q.Truncate
	return o
}

func (o *vectorOptions) sampling(t *testing.T) *mullama.Sampling {
	s := mullama.DefaultSampling()
	set(&s.Temperature, o.Temperature)
	set(&s.TopK, o.TopK)
	set(&s.TopP, o.TopP)
	set(&s.MinP, o.MinP)
	set(&s.TypicalP, o.TypicalP)
	set(&s.RepeatLastN, o.RepeatLastN)
	set(&s.RepeatPenalty, o.RepeatPenalty)
	set(&s.Mirostat, o.Mirostat)
	set(&s.IgnoreEOS, o.IgnoreEOS)
	for id, bias := range o.LogitBias {
		token, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if s.LogitBias == nil {
			s.LogitBias = map[mullama.Token]float32{}
		}
		s.LogitBias[mullama.Token(token)] = bias
	}
	if o.Seed != nil && *o.Seed >= 0 {
		seed := uint32(*o.Seed) //nolint:gosec // the seeds of the vectors are small
		s.Seed = &seed
	}
	return &s
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
