package server

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// openAIRequest is what chats and completions share. The samplers' settings are options that may
// stand beside these fields: OpenAI's names are among those of [optionSetters], and so are the
// names of other servers.
type openAIRequest struct {
	Model               string         `json:"model"`
	Stream              bool           `json:"stream"`
	StreamOptions       *streamOptions `json:"stream_options"`
	MaxTokens           *int           `json:"max_tokens"`
	MaxCompletionTokens *int           `json:"max_completion_tokens"`
	N                   *int           `json:"n"`
	Options             map[string]any `json:"options"`
	KeepAlive           *api.Duration  `json:"keep_alive"`

	fields map[string]any // options that stand beside these
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// chatCompletionRequest is the body of POST /v1/chat/completions.
type chatCompletionRequest struct {
	openAIRequest
	Messages        []openAIMessage   `json:"messages"`
	Tools           []json.RawMessage `json:"tools"`
	ToolChoice      json.RawMessage   `json:"tool_choice"`
	ResponseFormat  *responseFormat   `json:"response_format"`
	Logprobs        bool              `json:"logprobs"`
	TopLogprobs     int               `json:"top_logprobs"`
	ReasoningEffort string            `json:"reasoning_effort"`
	TemplateValues  map[string]any    `json:"chat_template_kwargs"`
	JSONSchema      json.RawMessage   `json:"json_schema"`            // as llama-server has it
	Continue        *bool             `json:"continue_final_message"` // nil: true
}

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	openAIRequest
	Prompt   json.RawMessage `json:"prompt"`
	Suffix   string          `json:"suffix"`
	Echo     bool            `json:"echo"`
	Logprobs *int            `json:"logprobs"`
}

type responseFormat struct {
	Type       string          `json:"type"`
	Schema     json.RawMessage `json:"schema"` // as llama-server has it
	JSONSchema *struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// decodeOpenAI reads a body into a request, and the options beside its fields.
func decodeOpenAI(r *http.Request, into any, common *openAIRequest) error {
	var body json.RawMessage
	if err := decode(r, &body); err != nil {
		return err
	}
	return unmarshalOpenAI(body, into, common)
}

func unmarshalOpenAI(body []byte, into any, common *openAIRequest) error {
	if err := unmarshal(body, into); err != nil {
		return err
	}
	fields, err := optionFields(body)
	common.fields = fields
	return err
}

// optionFields finds the options among the fields of an object.
func optionFields(body []byte) (map[string]any, error) {
	var all map[string]json.RawMessage
	if err := unmarshal(body, &all); err != nil {
		return nil, err
	}
	fields := map[string]any{}
	for name, raw := range all {
		if optionSetters[name] == nil {
			continue
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, badField(name, "%s is %s, which is out of range", name, show(string(raw)))
		}
		fields[name] = value
	}
	return fields, nil
}

// order is the request's share of what all faces have. OpenAI's defaults are the model's own
// distribution.
func (q *openAIRequest) order() order {
	base := mullama.DefaultSampling()
	base.Temperature, base.TopP = 1, 1
	limit := map[string]any{}
	for _, n := range []*int{q.MaxTokens, q.MaxCompletionTokens} {
		if n != nil {
			limit["num_predict"] = float64(*n)
		}
	}
	return order{
		model: q.Model, keepAlive: q.KeepAlive, base: base, any: true,
		options: []map[string]any{q.Options, q.fields, limit},
	}
}

// maxChoices is OpenAI's limit of n.
const maxChoices = 128

func (q *openAIRequest) choices() (int, error) {
	if q.N == nil {
		return 1, nil
	}
	if *q.N < 1 || *q.N > maxChoices {
		return 0, badField("n", "n is %d; it must be between 1 and %d", *q.N, maxChoices)
	}
	return *q.N, nil
}

func (q *openAIRequest) includeUsage() bool {
	return q.StreamOptions != nil && q.StreamOptions.IncludeUsage
}

// plainSchema is a schema that may be missing or null.
func plainSchema(schema json.RawMessage) string {
	if text := string(bytes.TrimSpace(schema)); text != "null" {
		return text
	}
	return ""
}

// schema is the JSON schema that the answer must have, or "".
func (f *responseFormat) schema() (string, error) {
	const field = "response_format"
	switch {
	case f == nil || f.Type == "" || f.Type == "text":
		return "", nil
	case f.Type == "json_object":
		if schema := plainSchema(f.Schema); schema != "" {
			return schema, nil
		}
		return anyObject, nil
	case f.Type != "json_schema":
		return "", badField(field, "response_format.type is %s; it must be text, json_object or "+
			"json_schema", show(f.Type))
	case f.JSONSchema != nil && len(f.JSONSchema.Schema) > 0:
		return string(f.JSONSchema.Schema), nil
	case len(f.Schema) > 0:
		return string(f.Schema), nil
	}
	return "", badField(field, "response_format.json_schema.schema is missing")
}
