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
