package mullama

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/mullama/mullama/api"
)

// remotePart is a part of an answer of a daemon, of either form.
type remotePart struct {
	text, thinking string
	tokens         []Token
	logprobs       []api.Logprob
	done           bool
	reason         string
	metrics        *api.Metrics
}

// begin asks a daemon for an answer. It returns when the answer begins.
func begin[T any](
	ctx context.Context, m *Model, op string, o *GenerateOptions, apart bool,
	start func(context.Context) (*api.Answer[T], error), toPart func(*T) *remotePart,
) (*Stream, error) {
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if m.remote.vocabOnly {
		return nil, noWeights(op)
	}
	if err := o.check(op); err != nil {
		return nil, err
	}
	if o.Sampling != nil {
		if err := o.Sampling.Validate(); err != nil {
			return nil, err
		}
	}
	ctx, end := m.untilClosed(ctx)
	answer, err := start(ctx)
	if err != nil {
		err = orClosed(ctx, op, err)
		end()
		return nil, err
	}
	source := &remoteSource[T]{ctx: ctx, op: op, answer: answer, toPart: toPart, apart: apart}
	return newStream(op, source, end), nil
}

// remoteSource is an answer of a daemon.
type remoteSource[T any] struct {
	ctx    context.Context // of the caller, and of the model
	op     string
	answer *api.Answer[T]
	toPart func(*T) *remotePart
	apart  bool // thoughts stay apart from the text
	closed atomic.Bool

	thinking bool // the text is within a thought that was taken apart
	said     int  // tokens so far
}

// next waits for the next part that has something in it.
func (s *remoteSource[T]) next() (Chunk, error) {
	for {
		response, err := s.answer.Next()
		if err != nil {
			if s.closed.Load() || s.ctx.Err() != nil {
				return Chunk{Done: true, FinishReason: FinishCancelled,
					Stats: &Stats{GeneratedTokens: s.said}}, nil
			}
			return Chunk{}, DaemonError(s.op, err)
		}
		p := s.toPart(response)
		if p.done && p.reason == "load" {
			return Chunk{}, unsupported(s.op, "this daemon takes no tokens as a prompt")
		}
		chunk := Chunk{Tokens: p.tokens, Logprobs: fromLogprobs(p.logprobs)}
		if s.apart {
			chunk.Text, chunk.Thinking = p.text, p.thinking
		} else {
			chunk.Text = s.whole(p)
		}
		s.said += len(p.tokens)
		if p.done {
			p.end(&chunk)
		}
		if chunk.Done || chunk.Text+chunk.Thinking != "" ||
			len(chunk.Tokens)+len(chunk.Logprobs) > 0 {
			return chunk, nil
		}
	}
}

// whole puts a thought back into the text. Ollama takes it apart in any case.
func (s *remoteSource[T]) whole(p *remotePart) string {
	text := ""
	if p.thinking != "" {
		if !s.thinking {
			text = "<think>\n"
		}
		text += p.thinking
		s.thinking = true
	}
	if s.thinking && p.text != "" {
		text += "\n</think>\n\n"
		s.thinking = false
	}
	return text + p.text
}

func (s *remoteSource[T]) close() {
	s.closed.Store(true)
	_ = s.answer.Close()
}

// end fills in what only the last part tells.
func (p *remotePart) end(c *Chunk) {
	m := p.metrics
	c.Done, c.FinishReason, c.StopString = true, FinishReason(p.reason), m.StopString
	c.cut = Truncation{Messages: m.DroppedMessages, Tokens: m.DroppedTokens}
	c.Stats = &Stats{
		PromptTokens:    m.PromptEvalCount,
		CachedTokens:    m.CachedTokens,
		ShiftedTokens:   m.ShiftedTokens,
		DraftedTokens:   m.DraftedTokens,
		AcceptedTokens:  m.AcceptedTokens,
		GeneratedTokens: m.EvalCount,
		Prefill:         m.PromptEvalDuration,
		FirstToken:      max(0, m.TotalDuration-m.LoadDuration-m.EvalDuration),
		Decode:          m.EvalDuration,
		Total:           max(0, m.TotalDuration-m.LoadDuration),
	}
}

func fromLogprobs(list []api.Logprob) []TokenLogprob {
	var out []TokenLogprob
	for i := range list {
		l := &list[i]
		one := TokenLogprob{Token: l.ID, Bytes: l.TokenBytes(), Logprob: float32(l.Logprob)}
		for j := range l.TopLogprobs {
			top := &l.TopLogprobs[j]
			one.Top = append(one.Top,
				TopLogprob{Token: top.ID, Bytes: top.TokenBytes(), Logprob: float32(top.Logprob)})
		}
		out = append(out, one)
	}
	return out
}

// toAPI is a message on the wire.
func (m *Message) toAPI() api.Message {
	out := api.Message{Role: m.Role, Content: m.Content, Thinking: m.Thinking,
		ToolCallID: m.ToolCallID, ToolName: m.Name}
	for _, call := range m.ToolCalls {
		out.ToolCalls = append(out.ToolCalls, api.ToolCall{ID: call.ID, Function: api.ToolFunction{
			Name: call.Function.Name, Arguments: []byte(call.Function.Arguments)}})
	}
	return out
}

// DaemonInfo is what a daemon tells of a model's file. Path and SizeBytes are not among it.
func DaemonInfo(s *api.ShowResponse) *Info {
	text := func(key string) string { v, _ := s.ModelInfo[key].(string); return v }
	number := func(key string) int { v, _ := s.ModelInfo[key].(float64); return int(v) }
	architecture := text("general.architecture")
	info := &Info{
		Name:            text("general.name"),
		Architecture:    architecture,
		Quantization:    s.Details.QuantizationLevel,
		Parameters:      int64(number("general.parameter_count")),
		ContextLength:   number(architecture + ".context_length"),
		EmbeddingLength: number(architecture + ".embedding_length"),
		Layers:          number(architecture + ".block_count"),
		output:          number(architecture + ".embedding_length_out"),
		Heads:           number(architecture + ".attention.head_count"),
		KVHeads:         number(architecture + ".attention.head_count_kv"),
		Vocab:           number(architecture + ".vocab_size"),
		Template:        s.Template,
		License:         s.License,
		Capabilities:    s.Capabilities,
		Metadata:        s.ModelInfo,

		LateInteraction:  daemonLateInteraction(s.ModelInfo),
		StoredParameters: s.Parameters, StoredSystem: s.System,
	}
	if info.Template == "" {
		info.Template = text("tokenizer.chat_template")
	}
	return info
}

func (i *Info) can(capability string) bool { return slices.Contains(i.Capabilities, capability) }
