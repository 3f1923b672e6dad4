package api

import (
	"encoding/json"
	"time"
)

// ChatRequest asks for the next message of a conversation. One without messages loads the model,
// and with KeepAlive 0 unloads it.
type ChatRequest struct {
	Model    string            `json:"model"`
	Messages []Message         `json:"messages"`
	Stream   *bool             `json:"stream,omitempty"` // nil: true
	Format   json.RawMessage   `json:"format,omitempty"` // "json" or a JSON schema
	Tools    []json.RawMessage `json:"tools,omitempty"`  // functions, as in OpenAI's API
	Options  map[string]any    `json:"options,omitempty"`

	KeepAlive   *Duration `json:"keep_alive,omitempty"`
	Think       *Think    `json:"think,omitempty"`
	Truncate    *bool     `json:"truncate,omitempty"` // as in GenerateRequest
	Shift       *bool     `json:"shift,omitempty"`
	Logprobs    bool      `json:"logprobs,omitempty"`
	TopLogprobs int       `json:"top_logprobs,omitempty"`

	DebugRenderOnly bool `json:"_debug_render_only,omitempty"`

	// The fields from here on are not Ollama's, which ignores them.

	// Template is in Jinja, and in place of the model's own; TemplateValues are variables for it.
	Template       string         `json:"template,omitempty"`
	TemplateValues map[string]any `json:"chat_template_kwargs,omitempty"`
	// Continue says whether an answer at the end is continued; nil: true.
	Continue *bool `json:"continue_final_message,omitempty"`
	// AddPrompt says whether a rendered prompt has what begins the answer; nil: true.
	AddPrompt *bool `json:"add_generation_prompt,omitempty"`
	// ReturnTokens has the parts come with their tokens.
	ReturnTokens bool `json:"return_tokens,omitempty"`
	// ThoughtsInText leaves thoughts in the text, as the model writes them.
	ThoughtsInText bool `json:"thoughts_in_text,omitempty"`
}

// ChatResponse is a part of the answer to a [ChatRequest], or all of it.
type ChatResponse struct {
	Model      string     `json:"model"`
	CreatedAt  time.Time  `json:"created_at"`
	Message    Message    `json:"message"`
	Done       bool       `json:"done"`
	DoneReason string     `json:"done_reason,omitempty"`
	Debug      *DebugInfo `json:"_debug_info,omitempty"`
	Logprobs   []Logprob  `json:"logprobs,omitempty"`
	Tokens     []int32    `json:"tokens,omitempty"` // if they were asked for
	Metrics
}

// Message is one turn of a conversation.
type Message struct {
	Role       string     `json:"role"` // "system", "user", "assistant" or "tool"
	Content    string     `json:"content"`
	Thinking   string     `json:"thinking,omitempty"`
	Images     [][]byte   `json:"images,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolName   string     `json:"tool_name,omitempty"`    // of a tool
	ToolCallID string     `json:"tool_call_id,omitempty"` // of a tool: the call it answers
}

// ToolCall is a call of a function by the model.
type ToolCall struct {
	ID       string       `json:"id,omitempty"`
	Function ToolFunction `json:"function"`
}

// ToolFunction names a function and its arguments, a JSON object.
type ToolFunction struct {
	Index     int             `json:"index"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}
