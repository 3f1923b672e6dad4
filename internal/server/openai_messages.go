package server

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/mullama/mullama"
)

// openAIMessage is a message of a chat in OpenAI's API.
type openAIMessage struct {
	Role       string             `json:"role"`
	Content    openAIContent      `json:"content"`
	Reasoning  string             `json:"reasoning"`
	Thinking   string             `json:"reasoning_content"`
	Name       string             `json:"name"`
	ToolCallID string             `json:"tool_call_id"`
	ToolCalls  []mullama.ToolCall `json:"tool_calls"`
}

// openAIContent is a text, or a list of parts of which all are texts.
type openAIContent string

// UnmarshalJSON reads a string, null, or a list of parts.
func (c *openAIContent) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); data[0] != '[' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return badField("messages", "the content of a message is %s; it must be a string or a "+
				"list of parts", show(string(data)))
		}
		*c = openAIContent(text)
		return nil
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return badField("messages", "a part of a message is not an object with type and text")
	}
	var text strings.Builder
	for _, p := range parts {
		if p.Text == nil || (p.Type != "" && !strings.HasSuffix(p.Type, "text")) {
			return badField("messages", "a message has a part of type %s; only text is supported",
				show(p.Type))
		}
		text.WriteString(*p.Text)
	}
	*c = openAIContent(text.String())
	return nil
}

// fromOpenAI checks the messages of a request of OpenAI's API.
func fromOpenAI(list []openAIMessage) ([]mullama.Message, error) {
	if len(list) == 0 {
		return nil, badField("messages", "there are no messages; give at least one")
	}
	messages := make([]mullama.Message, len(list))
	for i, m := range list {
		role := m.Role
		switch role {
		case "developer":
			role = "system"
		case "function":
			role = "tool"
		}
		if err := checkRole(i, role); err != nil {
			return nil, err
		}
		for k := range m.ToolCalls {
			m.ToolCalls[k].Type = "function"
		}
		messages[i] = mullama.Message{
			Role: role, Content: string(m.Content), Thinking: firstOf(m.Thinking, m.Reasoning),
			Name: m.Name, ToolCallID: m.ToolCallID, ToolCalls: m.ToolCalls,
		}
	}
	return messages, nil
}

// prompts is the prompt of a completion: a text, a list of texts, a list of tokens, or a list of
// such lists.
type prompts struct {
	texts  []string
	tokens [][]mullama.Token
}

func (p *prompts) len() int { return len(p.texts) + len(p.tokens) }

// infill turns texts into prompts for what stands between them and the suffix, if there is one.
func (p *prompts) infill(j *job, suffix string) error {
	if suffix == "" {
		return nil
	}
	if len(p.tokens) > 0 {
		return badField("suffix", "a suffix needs prompts that are text, not token ids")
	}
	for _, text := range p.texts {
		tokens, err := j.infill(text, suffix)
		if err != nil {
			return err
		}
		p.tokens = append(p.tokens, tokens)
	}
	p.texts = nil
	return nil
}

func parsePrompts(data json.RawMessage) (*prompts, error) {
	const what = "the prompt must be a string, a list of strings, or a list of token ids"
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return nil, badField("prompt", "prompt is required")
	}
	p := &prompts{}
	var text string
	var tokens []mullama.Token
	switch {
	case json.Unmarshal(data, &text) == nil:
		p.texts = []string{text}
	case json.Unmarshal(data, &tokens) == nil:
		p.tokens = [][]mullama.Token{tokens}
	case json.Unmarshal(data, &p.texts) == nil:
	case json.Unmarshal(data, &p.tokens) == nil:
		p.texts = nil
	default:
		return nil, badField("prompt", what)
	}
	for _, list := range p.tokens {
		if len(list) == 0 {
			return nil, badField("prompt", "the prompt is empty; give at least one token")
		}
	}
	if n := p.len(); n == 0 || n > maxChoices {
		return nil, badField("prompt", "there are %d prompts; give 1 to %d", n, maxChoices)
	}
	return p, nil
}
