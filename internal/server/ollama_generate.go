package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

// generateText answers POST /api/generate.
func (s *Server) generateText(w http.ResponseWriter, r *http.Request) error {
	var req api.GenerateRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if isEmpty(&req) {
		return s.preload(w, r, ordered(req.Model, req.Options, req.KeepAlive), false)
	}
	run, err := s.newOllamaRun(r.Context(), ordered(req.Model, req.Options, req.KeepAlive), false)
	if err != nil {
		return err
	}
	defer run.job.lease.Release()
	if req.DebugRenderOnly {
		return run.render(w, promptMessages(run.job, &req))
	}
	stream, err := run.startPrompt(r.Context(), &req)
	if err != nil {
		return err
	}
	return run.answer(w, r, stream, wantsStream(req.Stream))
}

// isEmpty reports whether a request has nothing to continue.
func isEmpty(req *api.GenerateRequest) bool {
	return req.Prompt == "" && req.Suffix == "" && len(req.Context) == 0 && len(req.Tokens) == 0
}

// ordered is the order of a request of Ollama's API.
func ordered(model string, options map[string]any, keep *api.Duration) order {
	return order{
		model: model, keepAlive: keep, base: mullama.DefaultSampling(),
		options: []map[string]any{options},
	}
}

func wantsStream(stream *bool) bool { return stream == nil || *stream }

// promptMessages turns a prompt into the conversation that it begins.
func promptMessages(j *job, req *api.GenerateRequest) []mullama.Message {
	messages := append([]mullama.Message(nil), j.stored.Messages...)
	if system := firstOf(req.System, j.stored.System); system != "" {
		messages = append([]mullama.Message{{Role: "system", Content: system}}, messages...)
	}
	return append(messages, mullama.Message{Role: "user", Content: req.Prompt})
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// startPrompt begins to continue a prompt, in the chat format of the model unless it is raw or
// there is none.
func (u *ollamaRun) startPrompt(
	ctx context.Context, req *api.GenerateRequest,
) (*mullama.Stream, error) {
	j := u.job
	if err := u.configure(&wishes{
		format: req.Format, think: req.Think, truncate: req.Truncate, shift: req.Shift,
		logprobs: req.Logprobs, topLogprobs: req.TopLogprobs,
		tokens: req.ReturnTokens, thoughts: req.ThoughtsInText,
	}); err != nil {
		return nil, err
	}
	switch {
	case len(req.Images) > 0:
		return nil, badField("images", "the request has images, which are not supported")
	case req.Raw && (req.Template != "" || req.System != "" || len(req.Context) > 0):
		return nil, badRequest("raw mode does not support template, system, or context")
	}
	u.setTemplate(req.Template)
	options := u.chat.GenerateOptions
	if len(req.Tokens) > 0 {
		if err := checkTokens(j.Model, "tokens", req.Tokens); err != nil {
			return nil, err
		}
		last, err := j.Detokenize(req.Tokens[max(0, len(req.Tokens)-thoughtTokens):])
		if err != nil {
			return nil, err
		}
		options.Thoughts = u.thoughtsAfter(string(last))
		return j.GenerateTokens(ctx, req.Tokens, &options)
	}
	if req.Suffix != "" {
		tokens, err := j.infill(req.Prompt, req.Suffix)
		if err != nil {
			return nil, err
		}
		return j.GenerateTokens(ctx, tokens, &options)
	}
	if req.Raw {
		options.ParseSpecial = req.ParseSpecial == nil || *req.ParseSpecial
		options.Thoughts = u.thoughtsAfter(req.Prompt)
		return j.Generate(ctx, req.Prompt, &options)
	}
	if err := j.checkRenderer(); err != nil && req.Template == "" {
		return nil, err
	}
	if j.Info().Template == "" && u.chat.Template == "" {
		prompt := req.Prompt
		if system := firstOf(req.System, j.stored.System); system != "" {
			prompt = system + "\n\n" + prompt
		}
		options.Thoughts = u.thoughtsAfter(prompt)
		return j.Generate(ctx, prompt, &options)
	}
	return u.startFormatted(ctx, req, &options)
}

// thoughtTokens is more than what begins a thought takes.
const thoughtTokens = 16

// thoughtsAfter says how thoughts come apart from what follows a text that no template made.
func (u *ollamaRun) thoughtsAfter(text string) *mullama.Thoughts {
	if !u.chat.ThoughtsApart {
		return nil
	}
	probe := []mullama.Message{{Role: "user", Content: "x"}}
	prompt, err := u.job.FormatChat(probe, &u.chat)
	if err != nil {
		prompt = &mullama.ChatPrompt{} // there is none, which may have its own tags
	}
	prompt.Text = text
	return prompt.Thoughts(&u.chat)
}

// startFormatted keeps the tokens of the prompt, because the answer tells them as its context.
func (u *ollamaRun) startFormatted(
	ctx context.Context, req *api.GenerateRequest, options *mullama.GenerateOptions,
) (*mullama.Stream, error) {
	const likely = 8 // bytes of a token at most; more text would take long to tokenize for nothing
	messages := promptMessages(u.job, req)
	if len(req.Prompt) > likely*u.job.ContextSize() {
		return u.job.Chat(ctx, messages, &u.chat)
	}
	prompt, err := u.job.FormatChat(messages, &u.chat)
	if err != nil {
		return nil, err
	}
	for _, token := range req.Context {
		if token < 0 || token >= u.job.Info().Vocab {
			return nil, badField("context", "context has the token %d; the model has only %d",
				token, u.job.Info().Vocab)
		}
		u.context = append(u.context, mullama.Token(token)) //nolint:gosec // checked above
	}
	u.context = append(u.context, prompt.Tokens...)
	options.Stop = append(append([]string(nil), options.Stop...), prompt.Stops...)
	options.Thoughts = prompt.Thoughts(&u.chat)
	u.keepContext = true
	return u.job.GenerateTokens(ctx, u.context, options)
}

// infill is the prompt for what stands between prompt and suffix.
func (j *job) infill(prompt, suffix string) ([]mullama.Token, error) {
	tokens, err := j.FillInMiddle(prompt, suffix)
	if errors.Is(err, mullama.ErrUnsupported) {
		return nil, badField("suffix", "%q does not support insert", j.stored.Name)
	}
	return tokens, err
}

// setTemplate takes the template of a request.
func (u *ollamaRun) setTemplate(template string) {
	if template != "" {
		u.chat.Template = template
	}
}

// preload answers a request without a prompt: the model is loaded, or unloaded when it is to stay
// for no time.
func (s *Server) preload(w http.ResponseWriter, r *http.Request, o order, chat bool) error {
	stored, err := s.find(o.model)
	if err != nil {
		return err
	}
	end := &final{reason: "load"}
	if o.keepAlive != nil && o.keepAlive.Duration == 0 {
		end.reason = "unload"
		s.borrowed.forget()
		err := s.runtime.Unload(stored.Name)
		if err != nil && !errors.Is(err, mullama.ErrNotFound) {
			return err
		}
	} else {
		job, err := s.open(r.Context(), o)
		if err != nil {
			return err
		}
		defer job.lease.Release()
		end.metrics.LoadDuration, end.loaded = job.lease.LoadTime, job.Model
	}
	buf := getBuffer()
	defer buf.put()
	buf.b = newOllamaEncoder(o.model, chat).append(buf.b, &part{final: end})
	return writeJSON(w, buf.b)
}
