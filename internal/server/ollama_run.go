package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// maxTopLogprobs is Ollama's and OpenAI's limit.
const maxTopLogprobs = 20

// shiftedContexts bounds an answer that nothing else bounds, in lengths of the context.
const shiftedContexts = 10

// wishes are the fields that /api/generate and /api/chat share.
type wishes struct {
	format          json.RawMessage
	think           *api.Think
	truncate, shift *bool
	logprobs        bool
	topLogprobs     int
	tokens          bool // of the answer, beside the text
	thoughts        bool // in the text
}

// ollamaRun is one answer of Ollama's API.
type ollamaRun struct {
	s     *Server
	job   *job
	begun time.Time
	chat  mullama.ChatOptions

	encoder     *ollamaEncoder
	tokens      bool // parts have their tokens
	context     []mullama.Token
	keepContext bool
}

// newOllamaRun waits for the model of an answer. The caller releases the lease of the job.
func (s *Server) newOllamaRun(ctx context.Context, o order, chat bool) (*ollamaRun, error) {
	begun := time.Now()
	job, err := s.open(ctx, o)
	if err != nil {
		return nil, err
	}
	run := s.newRun(job, chat)
	run.begun = begun
	return run, nil
}

// newRun prepares an answer of a model that is there.
func (s *Server) newRun(job *job, chat bool) *ollamaRun {
	return &ollamaRun{
		s: s, job: job, begun: time.Now(),
		chat:    mullama.ChatOptions{GenerateOptions: job.generate, Template: job.template},
		encoder: newOllamaEncoder(job.name, chat),
	}
}

// checkRenderer refuses to render conversations of models that only Ollama can render.
func (j *job) checkRenderer() error {
	if why := j.stored.Unrendered(); why != "" && j.template == "" {
		return &mullama.Error{Kind: mullama.ErrUnsupported, Op: "chat", Err: errors.New(why)}
	}
	return nil
}

// configure turns the wishes of a request into options.
func (u *ollamaRun) configure(w *wishes) error {
	if w.topLogprobs < 0 || w.topLogprobs > maxTopLogprobs {
		return badField("top_logprobs", "top_logprobs must be between 0 and %d", maxTopLogprobs)
	}
	u.chat.Logprobs = w.logprobs
	if w.logprobs {
		u.chat.TopLogprobs = w.topLogprobs
	}
	u.chat.Truncate = w.truncate == nil || *w.truncate
	u.chat.Overflow = mullama.OverflowError
	if w.shift == nil || *w.shift {
		u.chat.Overflow = mullama.OverflowShift
		if u.chat.MaxTokens == 0 {
			u.chat.MaxTokens = shiftedContexts * u.job.lease.Model.ContextSize()
		}
	}
	schema, err := formatSchema(w.format)
	if err != nil {
		return err
	}
	u.chat.JSONSchema = schema
	u.tokens, u.encoder.ids = w.tokens, w.tokens
	err = u.configureThinking(w.think, schema != "" || u.chat.Grammar != "")
	if w.thoughts {
		u.chat.ThoughtsApart = false
	}
	return err
}

// configureThinking switches thoughts on for models that have them, but not where a grammar allows
// nothing but the answer.
func (u *ollamaRun) configureThinking(think *api.Think, constrained bool) error {
	if !can(u.job.stored, "thinking") {
		if think != nil && think.Enabled {
			return badField("think", "%q does not support thinking", u.job.stored.Name)
		}
		return nil
	}
	if think == nil {
		think = u.job.think
	}
	on := think == nil || think.Enabled
	if constrained {
		on = false
	}
	u.chat.Thinking = &on
	if think != nil && think.Level != "" {
		u.chat.TemplateValues = map[string]any{"reasoning_effort": think.Level}
	}
	u.job.partThoughts(&u.chat)
	return nil
}

// partThoughts has the thoughts of a model come apart from its answers. The tags that its maker
// gives go before those that are found in the template.
func (j *job) partThoughts(options *mullama.ChatOptions) {
	options.ThoughtsApart, options.Parser = true, j.stored.Parser
	options.ThinkStart, options.ThinkEnd = j.stored.ThinkStart, j.stored.ThinkEnd
}

// anyObject is the schema of format "json".
const anyObject = `{"type":"object"}`

// formatSchema reads "json" or a schema. Nothing is "".
func formatSchema(format json.RawMessage) (string, error) {
	switch text := string(bytes.TrimSpace(format)); {
	case text == "" || text == "null" || text == `""`:
		return "", nil
	case text == `"json"`:
		return anyObject, nil
	case text[0] == '{':
		return text, nil
	default:
		return "", badField("format", `format is %s; it must be "json" or a JSON schema`,
			show(text))
	}
}

// answer sends what the stream brings.
func (u *ollamaRun) answer(
	w http.ResponseWriter, r *http.Request, stream *mullama.Stream, streaming bool,
) error {
	if !streaming {
		return u.answerWhole(w, r, stream)
	}
	a := u.s.answer(w, r, ollama)
	buf := getBuffer()
	defer buf.put()
	return a.end(u.each(r.Context(), stream, func(p *part) error {
		buf.b = u.encoder.append(buf.b[:0], p)
		return a.write(buf.b)
	}))
}

// each hands the parts of a stream to fn. The last one has no text.
func (u *ollamaRun) each(
	ctx context.Context, stream *mullama.Stream, fn func(*part) error,
) error {
	return u.s.deliver(ctx, stream, func(c *mullama.Chunk) error {
		p := u.part(c)
		if p.text != "" || p.thinking != "" || len(p.logprobs) > 0 || len(p.tokens) > 0 {
			if err := fn(&p); err != nil {
				return err
			}
		}
		if !c.Done {
			return nil
		}
		return fn(&part{final: u.final(c, stream)})
	})
}

func (u *ollamaRun) answerWhole(
	w http.ResponseWriter, r *http.Request, stream *mullama.Stream,
) error {
	var whole part
	var text, thinking strings.Builder
	err := u.each(r.Context(), stream, func(p *part) error {
		text.WriteString(p.text)
		thinking.WriteString(p.thinking)
		whole.logprobs = append(whole.logprobs, p.logprobs...)
		whole.tokens = append(whole.tokens, p.tokens...)
		whole.final = p.final
		return nil
	})
	if err != nil {
		return err
	}
	whole.text, whole.thinking = text.String(), thinking.String()
	buf := getBuffer()
	defer buf.put()
	buf.b = u.encoder.append(buf.b, &whole)
	return writeJSON(w, buf.b)
}

func (u *ollamaRun) part(c *mullama.Chunk) part {
	p := part{text: c.Text, thinking: c.Thinking, logprobs: c.Logprobs}
	if u.keepContext {
		u.context = append(u.context, c.Tokens...)
	}
	if u.tokens {
		p.tokens = c.Tokens
	}
	return p
}

func (u *ollamaRun) final(c *mullama.Chunk, stream *mullama.Stream) *final {
	cut := stream.Truncation()
	f := &final{reason: string(c.FinishReason), metrics: api.Metrics{
		TotalDuration:      time.Since(u.begun),
		LoadDuration:       u.job.lease.LoadTime,
		PromptEvalCount:    c.Stats.PromptTokens,
		PromptEvalDuration: c.Stats.Prefill,
		EvalCount:          c.Stats.GeneratedTokens,
		EvalDuration:       c.Stats.Decode,
		CachedTokens:       c.Stats.CachedTokens,
		Truncated:          cut != mullama.Truncation{},
		DroppedMessages:    cut.Messages,
		DroppedTokens:      cut.Tokens,
		ShiftedTokens:      c.Stats.ShiftedTokens,
		DraftedTokens:      c.Stats.DraftedTokens,
		AcceptedTokens:     c.Stats.AcceptedTokens,
		StopString:         c.StopString,
	}}
	if u.keepContext {
		f.context = u.context
	}
	return f
}

// render answers with the prompt and does not run it.
func (u *ollamaRun) render(w http.ResponseWriter, messages []mullama.Message) error {
	prompt, err := u.job.FormatChat(messages, &u.chat)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"model": u.job.name, "created_at": time.Now().UTC(),
		"_debug_info": api.DebugInfo{RenderedTemplate: prompt.Text, Tokens: prompt.Tokens,
			Stops: prompt.Stops},
	})
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}
