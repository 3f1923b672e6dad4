package mullama

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mullama/mullama/internal/llama"
)

// Message is one turn of a conversation.
type Message struct {
	Role       string     `json:"role"` // "system", "user", "assistant" or "tool"
	Content    string     `json:"content"`
	Thinking   string     `json:"reasoning_content,omitempty"` // of an assistant
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`        // of an assistant
	ToolCallID string     `json:"tool_call_id,omitempty"`      // of a tool: the call it answers
	Name       string     `json:"name,omitempty"`              // of a tool
}

// ToolCall is a call of a function by the model.
type ToolCall struct {
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type"` // "function"
	Function FunctionCall `json:"function"`
}

// FunctionCall names a function and its arguments, a JSON object as text.
type FunctionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// ChatOptions say how a conversation is answered. The zero value is ready to use.
type ChatOptions struct {
	GenerateOptions
	// Tools are functions that the template shows to the model, each as in OpenAI's API:
	// {"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}.
	Tools []json.RawMessage
	// Template replaces the model's own chat template. It is in Jinja, or one of Go for Ollama.
	Template string
	// Thinking switches a template's thinking on or off; nil leaves it to the template.
	Thinking *bool
	// Continue goes on with the last message, which is of the assistant, as if it had just written
	// it. The answer is what follows.
	Continue bool
	// Open leaves out what begins the answer, so that the prompt can go on with another message.
	Open bool
	// ThoughtsApart takes what the model thinks out of the text: it comes as [Chunk.Thinking].
	ThoughtsApart bool
	// ThinkStart and ThinkEnd are around thoughts. Without them those of the template count; where
	// it has none those of Parser, which names a family of models as Modelfiles of Ollama's do; and
	// in the end <think> and </think>.
	ThinkStart, ThinkEnd, Parser string
	// TemplateValues are further variables for the template. A level of effort for thinking, such
	// as "high", is the one named reasoning_effort.
	TemplateValues map[string]any
}

// ChatPrompt is a conversation as the model sees it.
type ChatPrompt struct {
	Text   string  // rendered by the template; without a BOS token that the vocabulary adds
	Tokens []Token // in which control tokens come from the template alone
	Stops  []string
	// ThinkStart and ThinkEnd are around what the model thinks, if the template tells.
	ThinkStart, ThinkEnd string
}

// chatRequest is the JSON that the native library takes.
type chatRequest struct {
	Messages       []Message         `json:"messages"`
	Tools          []json.RawMessage `json:"tools,omitempty"`
	EnableThinking bool              `json:"enable_thinking"`
	AddPrompt      bool              `json:"add_generation_prompt"`
	Values         map[string]any    `json:"kwargs,omitempty"`
	Now            int64             `json:"now"`
}

// Chat answers a conversation with the model's chat template. Text in messages never becomes a
// control token, whatever it contains. It returns ErrUnsupported when the model has no template and
// none is given.
func (m *Model) Chat(ctx context.Context, messages []Message, opts *ChatOptions) (*Stream, error) {
	if opts == nil {
		opts = &ChatOptions{}
	}
	if m.remote != nil {
		return m.remote.chat(ctx, m, messages, opts)
	}
	defer m.expect()()
	for _, message := range messages {
		if opts.Truncate || message.Role == "assistant" { // a template may leave parts of these out
			continue
		}
		if err := m.checkLength("chat", message.Content); err != nil {
			return nil, err
		}
	}
	prompt, cut, err := m.fitChat(messages, opts)
	if err != nil {
		return nil, err
	}
	options := opts.GenerateOptions
	options.Thoughts = prompt.Thoughts(opts)
	stream, err := m.submit(ctx, "chat", prompt.Tokens, &options, prompt.Stops)
	if err != nil {
		return nil, err
	}
	stream.truncation = cut
	return stream, nil
}

// FormatChat renders a conversation without answering it.
func (m *Model) FormatChat(messages []Message, opts *ChatOptions) (*ChatPrompt, error) {
	const op = "chat"
	if opts == nil {
		opts = &ChatOptions{}
	}
	if len(messages) == 0 {
		return nil, invalid(op, "there are no messages; give at least one")
	}
	if m.remote != nil {
		return m.remote.formatChat(m, messages, opts)
	}
	messages, begun, err := splitBegun(messages, opts)
	if err != nil {
		return nil, err
	}
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	p, err := m.render(messages, opts)
	if err != nil {
		return nil, err
	}
	if err := m.checkTools(p, messages, opts); err != nil {
		return nil, err
	}
	tokens, err := m.Tokenize(begun, TokenizeOptions{}) // control tokens in it stay text
	if err != nil {
		return nil, err
	}
	p.Text += begun
	p.Tokens = append(p.Tokens, tokens...)
	return p, nil
}

// render renders a conversation that ends before the answer.
func (m *Model) render(messages []Message, opts *ChatOptions) (*ChatPrompt, error) {
	const op = "chat"
	if isGoTemplate(opts.Template) {
		return m.formatGo(messages, opts)
	}
	template, err := m.chat(opts.Template)
	if err != nil {
		return nil, wrap(op, err)
	}
	request, err := json.Marshal(chatRequest{
		Messages:       messages,
		Tools:          opts.Tools,
		EnableThinking: opts.Thinking == nil || *opts.Thinking,
		AddPrompt:      !opts.Open,
		Values:         opts.TemplateValues,
		Now:            time.Now().Unix(),
	})
	if err != nil {
		return nil, invalid(op, "a tool or template value is not JSON: "+err.Error())
	}
	p, err := template.Apply(request)
	if err != nil {
		return nil, wrap(op, err)
	}
	out := &ChatPrompt{Text: p.Prompt, Tokens: p.Tokens, Stops: p.Stops}
	if len(p.ThinkingEnd) > 0 {
		out.ThinkStart, out.ThinkEnd = p.ThinkingStart, p.ThinkingEnd[0]
	}
	return out, nil
}

// checkTools refuses tools of which the template says nothing in p, so that none are lost unsaid.
// Whether a template shows them is found out once.
func (m *Model) checkTools(p *ChatPrompt, messages []Message, opts *ChatOptions) error {
	if len(opts.Tools) == 0 {
		return nil
	}
	m.mu.Lock()
	shown, known := m.showsTools[opts.Template]
	m.mu.Unlock()
	if !known {
		without := *opts
		without.Tools = nil
		bare, err := m.render(messages, &without)
		if err != nil {
			return err
		}
		shown = bare.Text != p.Text
		m.mu.Lock()
		m.showsTools[opts.Template] = shown
		m.mu.Unlock()
	}
	if !shown {
		return invalid("chat", "the template of this model does not show it tools; leave them "+
			"out, or give a template that does")
	}
	return nil
}

// splitBegun takes the answer that is to be continued, if one is, off the conversation.
func splitBegun(messages []Message, opts *ChatOptions) (rest []Message, begun string, err error) {
	if !opts.Continue {
		return messages, "", nil
	}
	n := len(messages) - 1
	if last := &messages[n]; n > 0 && last.Role == "assistant" && len(last.ToolCalls) == 0 {
		return messages[:n], last.Content, nil
	}
	return nil, "", invalid("chat", "only a text of the assistant that follows another message "+
		"can be continued")
}

// chat returns the parsed template of this source, the model's own if it is empty.
func (m *Model) chat(source string) (*llama.Chat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.chats[source]; c != nil {
		return c, nil
	}
	c, err := m.shared.weights.NewChat(source)
	if err == nil {
		m.chats[source] = c
	}
	return c, err
}
