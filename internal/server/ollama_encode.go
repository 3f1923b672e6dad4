package server

import (
	"strconv"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// part is a piece of an answer of Ollama's API, or all of it.
type part struct {
	text     string
	thinking string
	logprobs []mullama.TokenLogprob
	tokens   []mullama.Token // if they are wanted
	final    *final          // of the last one
}

// final is what only the last part tells.
type final struct {
	reason  string
	metrics api.Metrics
	context []mullama.Token
	loaded  *mullama.Model // of an answer that only loads it
}

// ollamaEncoder writes the parts of one answer.
type ollamaEncoder struct {
	head []byte // up to the time
	chat bool   // as a message
	ids  bool   // of tokens, beside their log probabilities
}

func newOllamaEncoder(model string, chat bool) *ollamaEncoder {
	head := appendString([]byte(`{"model":`), model)
	return &ollamaEncoder{head: append(head, `,"created_at":`...), chat: chat}
}

// append appends a part, with a line end.
func (e *ollamaEncoder) append(dst []byte, p *part) []byte {
	dst = append(dst, e.head...)
	dst = appendTime(dst, time.Now())
	text, thinking := `,"response":`, `,"thinking":`
	if e.chat {
		dst = append(dst, `,"message":{"role":"assistant"`...)
		text = `,"content":`
	}
	dst = append(dst, text...)
	dst = appendString(dst, p.text)
	if p.thinking != "" {
		dst = append(dst, thinking...)
		dst = appendString(dst, p.thinking)
	}
	if e.chat {
		dst = append(dst, '}')
	}
	if len(p.logprobs) > 0 {
		dst = append(dst, `,"logprobs":`...)
		dst = appendLogprobsOf(dst, p.logprobs, e.ids)
	}
	if len(p.tokens) > 0 {
		dst = appendTokens(append(dst, `,"tokens":`...), p.tokens)
	}
	if p.final == nil {
		return append(dst, `,"done":false}`+"\n"...)
	}
	dst = append(dst, `,"done":true,"done_reason":`...)
	dst = appendString(dst, p.final.reason)
	if len(p.final.context) > 0 {
		dst = append(dst, `,"context":`...)
		dst = appendTokens(dst, p.final.context)
	}
	if m := p.final.loaded; m != nil {
		dst = appendInt(append(dst, `,"context_length":`...), m.ContextSize())
		dst = appendInt(append(dst, `,"slots":`...), m.Slots())
	}
	dst = appendMetrics(dst, &p.final.metrics)
	return append(dst, '}', '\n')
}

func appendMetrics(dst []byte, m *api.Metrics) []byte {
	for _, field := range []struct {
		name  string
		value int64
	}{
		{`,"total_duration":`, int64(m.TotalDuration)},
		{`,"load_duration":`, int64(m.LoadDuration)},
		{`,"prompt_eval_count":`, int64(m.PromptEvalCount)},
		{`,"prompt_eval_duration":`, int64(m.PromptEvalDuration)},
		{`,"eval_count":`, int64(m.EvalCount)},
		{`,"eval_duration":`, int64(m.EvalDuration)},
		{`,"cached_tokens":`, int64(m.CachedTokens)},
		{`,"dropped_messages":`, int64(m.DroppedMessages)},
		{`,"dropped_tokens":`, int64(m.DroppedTokens)},
		{`,"shifted_tokens":`, int64(m.ShiftedTokens)},
		{`,"draft_n":`, int64(m.DraftedTokens)},
		{`,"draft_n_accepted":`, int64(m.AcceptedTokens)},
	} {
		if field.value != 0 {
			dst = append(dst, field.name...)
			dst = strconv.AppendInt(dst, field.value, 10)
		}
	}
	if m.StopString != "" {
		dst = appendString(append(dst, `,"stop_string":`...), m.StopString)
	}
	if m.Truncated {
		dst = append(dst, `,"truncated":true`...)
	}
	return dst
}
