package api

import (
	"encoding/json"
	"time"
)

// GenerateRequest asks for the continuation of a prompt. An empty prompt loads the model, and with
// KeepAlive 0 unloads it.
type GenerateRequest struct {
	Model    string          `json:"model"`
	Prompt   string          `json:"prompt,omitempty"`
	Suffix   string          `json:"suffix,omitempty"`   // what follows the text, to fill a gap
	System   string          `json:"system,omitempty"`   // instead of the model's own
	Template string          `json:"template,omitempty"` // instead of the model's own
	Context  []int           `json:"context,omitempty"`  // of an earlier response; prefer chat
	Stream   *bool           `json:"stream,omitempty"`   // nil: true
	Raw      bool            `json:"raw,omitempty"`      // the prompt is used as it is
	Format   json.RawMessage `json:"format,omitempty"`   // "json" or a JSON schema
	Images   [][]byte        `json:"images,omitempty"`
	Options  map[string]any  `json:"options,omitempty"`

	KeepAlive *Duration `json:"keep_alive,omitempty"`
	Think     *Think    `json:"think,omitempty"`
	// Truncate cuts a prompt that does not fit, and Shift the oldest tokens while generating.
	// Nil: true.
	Truncate *bool `json:"truncate,omitempty"`
	Shift    *bool `json:"shift,omitempty"`
	// Logprobs asks for the log probability of each token, TopLogprobs also for those of as many
	// of the likeliest ones, at most 20.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`

	DebugRenderOnly bool `json:"_debug_render_only,omitempty"` // render the prompt, and no more

	// The fields from here on are not Ollama's, which ignores them.

	Tokens       []int32 `json:"tokens,omitempty"`        // the prompt, instead of the fields above
	ParseSpecial *bool   `json:"parse_special,omitempty"` // of a raw prompt; nil: true

	ReturnTokens   bool `json:"return_tokens,omitempty"` // as in ChatRequest
	ThoughtsInText bool `json:"thoughts_in_text,omitempty"`
}

// GenerateResponse is a part of the answer to a [GenerateRequest], or all of it.
type GenerateResponse struct {
	Model      string     `json:"model"`
	CreatedAt  time.Time  `json:"created_at"`
	Response   string     `json:"response"`
	Thinking   string     `json:"thinking,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	Done       bool       `json:"done"`
	DoneReason string     `json:"done_reason,omitempty"` // "stop", "length", "load" or "unload"
	Context    []int      `json:"context,omitempty"`
	Logprobs   []Logprob  `json:"logprobs,omitempty"`
	Tokens     []int32    `json:"tokens,omitempty"` // if they were asked for
	Debug      *DebugInfo `json:"_debug_info,omitempty"`
	Metrics

	// The fields from here on are not Ollama's, and of an answer that only loads the model.

	ContextLength int `json:"context_length,omitempty"` // tokens that prompt and answer share
	Slots         int `json:"slots,omitempty"`          // requests computed at once
}

// Metrics count and time an answer. They come with its last part, with durations in nanoseconds.
type Metrics struct {
	TotalDuration      time.Duration `json:"total_duration,omitempty"`
	LoadDuration       time.Duration `json:"load_duration,omitempty"`
	PromptEvalCount    int           `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration,omitempty"`
	EvalCount          int           `json:"eval_count,omitempty"`
	EvalDuration       time.Duration `json:"eval_duration,omitempty"`

	// The fields from here on are not Ollama's.

	CachedTokens int `json:"cached_tokens,omitempty"` // of the prompt, that needed no compute
	// Truncated says that the prompt did not fit and was cut, by so many messages and tokens.
	Truncated       bool `json:"truncated,omitempty"`
	DroppedMessages int  `json:"dropped_messages,omitempty"`
	DroppedTokens   int  `json:"dropped_tokens,omitempty"`
	// ShiftedTokens were forgotten while generating, because the context was full.
	ShiftedTokens int `json:"shifted_tokens,omitempty"`
	// DraftedTokens were guessed by a draft model, AcceptedTokens of them right.
	DraftedTokens  int `json:"draft_n,omitempty"`
	AcceptedTokens int `json:"draft_n_accepted,omitempty"`
	// StopString ended the answer.
	StopString string `json:"stop_string,omitempty"`
}

// DebugInfo shows a prompt as the model would see it.
type DebugInfo struct {
	RenderedTemplate string `json:"rendered_template"`
	ImageCount       int    `json:"image_count,omitempty"`

	// The fields from here on are not Ollama's.

	Tokens []int32  `json:"tokens,omitempty"` // of the prompt
	Stops  []string `json:"stops,omitempty"`  // with which the template has an answer end
}

// TokenLogprob is a token and the natural logarithm of its probability.
type TokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes,omitempty"` // of the token, which need not be valid UTF-8 alone
	ID      int32   `json:"id,omitempty"`    // where tokens are returned
}

// TokenBytes returns Bytes as such.
func (t *TokenLogprob) TokenBytes() []byte {
	out := make([]byte, len(t.Bytes))
	for i, n := range t.Bytes {
		out[i] = byte(n) //nolint:gosec // the bytes of JSON are numbers
	}
	return out
}

// Logprob is a generated token and, if they were asked for, the likeliest ones in its place.
type Logprob struct {
	TokenLogprob
	TopLogprobs []TokenLogprob `json:"top_logprobs,omitempty"`
}
