package server

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/mullama/mullama"
)

// nativePrompt is one prompt of POST /completion: a text, or a list of tokens and texts.
type nativePrompt struct {
	text  string
	mixed json.RawMessage // instead of the text
}

// parseNativePrompts reads the prompts that llama-server takes: a text, a list of tokens or of
// tokens and texts, an object with prompt_string, and lists of these. A list of texts alone is
// several prompts.
func parseNativePrompts(data json.RawMessage) ([]nativePrompt, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return nil, badField("prompt", "prompt is required")
	}
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil || hasNumbers(list) {
		p, err := parseNativePrompt(data)
		return []nativePrompt{p}, err
	}
	if len(list) == 0 || len(list) > maxChoices {
		return nil, badField("prompt", "there are %d prompts; give 1 to %d", len(list), maxChoices)
	}
	all := make([]nativePrompt, len(list))
	for i, item := range list {
		var err error
		if all[i], err = parseNativePrompt(item); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// hasNumbers tells a list that is one prompt from a list of prompts.
func hasNumbers(list []json.RawMessage) bool {
	for _, item := range list {
		if c := item[0]; c == '-' || (c >= '0' && c <= '9') {
			return true
		}
	}
	return false
}

func parseNativePrompt(data json.RawMessage) (nativePrompt, error) {
	var text string
	var object struct {
		Text  *string         `json:"prompt_string"`
		Media json.RawMessage `json:"multimodal_data"`
	}
	switch {
	case json.Unmarshal(data, &text) == nil && data[0] == '"':
		return nativePrompt{text: text}, nil
	case data[0] == '[':
		return nativePrompt{mixed: data}, nil
	case json.Unmarshal(data, &object) != nil || object.Text == nil:
		return nativePrompt{}, badField("prompt", "a prompt must be a string, a list of tokens "+
			"and strings, or an object with prompt_string")
	case len(object.Media) > 0 && string(object.Media) != "null":
		return nativePrompt{}, badField("prompt", "the model takes no images or sounds")
	}
	return nativePrompt{text: *object.Text}, nil
}

// start begins to continue the prompt, and returns it as text, too.
func (p *nativePrompt) start(
	ctx context.Context, j *job, o *mullama.GenerateOptions,
) (*mullama.Stream, string, error) {
	if p.mixed == nil {
		stream, err := j.Generate(ctx, p.text, o)
		return stream, p.text, err
	}
	tokens, err := mixedTokens(j.Model, p.mixed, mullama.TokenizeOptions{
		AddSpecial: true, ParseSpecial: true,
	})
	if err != nil {
		return nil, "", err
	}
	if len(tokens) == 0 {
		return nil, "", badField("prompt", "the prompt is empty; give at least one token")
	}
	text, err := j.Detokenize(tokens)
	if err != nil {
		return nil, "", err
	}
	stream, err := j.GenerateTokens(ctx, tokens, o)
	return stream, string(text), err
}
