package server

import (
	"context"
	"net/http"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/api"
)

func (s *Server) openAIRoutes() []route {
	return []route{
		{"POST /v1/chat/completions", openAI, s.chatCompletions},
		{"POST /v1/completions", openAI, s.completions},
		{"GET /v1/models", openAI, s.openAIModels},
		{"GET /v1/models/{model...}", openAI, s.openAIModel},
		{"POST /v1/embeddings", openAI, s.openAIEmbeddings},
	}
}

// chatCompletions answers POST /v1/chat/completions.
func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) error {
	var req chatCompletionRequest
	if err := decodeOpenAI(r, &req, &req.openAIRequest); err != nil {
		return err
	}
	return s.reply(w, r, req.Stream, func(ctx context.Context, a *answer) error {
		return s.chatCompletion(ctx, &req, a, w)
	})
}

// reply runs a request of OpenAI's API. The answer a is nil unless it streams; then comments keep
// the connection alive, also while the model loads. ctx ends when run returns.
func (s *Server) reply(
	w http.ResponseWriter, r *http.Request, stream bool,
	run func(ctx context.Context, a *answer) error,
) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if !stream {
		return run(ctx, nil)
	}
	a := s.answer(w, r, faceOf(r))
	err := func() error {
		defer a.keepAlive(s.ping)()
		return run(ctx, a)
	}()
	return a.end(err)
}

func (s *Server) chatCompletion(
	ctx context.Context, req *chatCompletionRequest, a *answer, w http.ResponseWriter,
) error {
	n, err := req.choices()
	if err != nil {
		return err
	}
	messages, err := fromOpenAI(req.Messages)
	if err != nil {
		return err
	}
	job, err := s.open(ctx, req.order())
	if err != nil {
		return err
	}
	defer job.lease.Release()
	options, err := req.chatOptions(job)
	if err == nil {
		err = job.checkRenderer()
	}
	if err != nil {
		return err
	}
	messages = job.withOwn(messages)
	if req.continues(messages) {
		continueLast(options)
	}
	run := s.newOpenAIRun(s.newOpenAIEncoder(job.name, true, req.includeUsage()), n, n)
	streams, err := run.start(ctx, job, &options.GenerateOptions,
		func(ctx context.Context, _ int, o *mullama.GenerateOptions) (*mullama.Stream, error) {
			one := *options
			one.GenerateOptions = *o
			return job.Chat(ctx, messages, &one)
		})
	if err != nil {
		return err
	}
	if a != nil {
		return run.stream(ctx, a, streams)
	}
	if job.verbose {
		prompt, err := job.FormatChat(messages, options)
		if err != nil {
			closeAll(streams)
			return err
		}
		run.prompt = prompt.Text
	}
	return run.whole(ctx, w, streams)
}

// continues reports whether the last message of a request is the beginning of the answer.
func (q *chatCompletionRequest) continues(messages []mullama.Message) bool {
	return (q.Continue == nil || *q.Continue) && endsBegun(messages)
}

// endsBegun reports whether a conversation ends with an answer: then the model goes on with it.
func endsBegun(messages []mullama.Message) bool {
	n := len(messages) - 1
	return n > 0 && messages[n].Role == "assistant" && len(messages[n].ToolCalls) == 0
}

// continueLast has the model go on with the last message. Its thoughts are over by then.
func continueLast(options *mullama.ChatOptions) {
	options.Continue = true
	if options.Thinking != nil {
		off := false
		options.Thinking = &off
	}
}

// chatOptions turns the fields of a request into options.
func (q *chatCompletionRequest) chatOptions(j *job) (*mullama.ChatOptions, error) {
	options := &mullama.ChatOptions{
		GenerateOptions: j.generate, Template: j.template, Tools: q.Tools,
		TemplateValues: q.TemplateValues,
	}
	if q.TopLogprobs < 0 || q.TopLogprobs > maxTopLogprobs {
		return nil, badField("top_logprobs", "top_logprobs must be between 0 and %d",
			maxTopLogprobs)
	}
	if q.TopLogprobs > 0 && !q.Logprobs {
		return nil, badField("top_logprobs", "top_logprobs needs logprobs to be true")
	}
	options.Logprobs, options.TopLogprobs = q.Logprobs, q.TopLogprobs
	schema, err := q.ResponseFormat.schema()
	if err != nil {
		return nil, err
	}
	if schema == "" {
		schema = plainSchema(q.JSONSchema)
	}
	options.JSONSchema = schema
	if string(q.ToolChoice) == `"none"` {
		options.Tools = nil
	}
	if len(options.Tools) > 0 && !can(j.stored, "tools") {
		return nil, badField("tools", "%q does not support tools", j.stored.Name)
	}
	if wish := q.thinks(j.think); can(j.stored, "thinking") {
		on := (wish == nil || *wish) && schema == "" && options.Grammar == ""
		options.Thinking = &on
		j.partThoughts(options)
		effort := q.ReasoningEffort
		if j.think != nil {
			effort = firstOf(effort, j.think.Level)
		}
		if on && effort != "" && options.TemplateValues == nil {
			options.TemplateValues = map[string]any{"reasoning_effort": effort}
		}
	}
	return options, nil
}

// thinks is whether the model is to think, and nil where nobody says. A request says it as OpenAI
// does, or as a variable of the template; otherwise is what the options say.
func (q *chatCompletionRequest) thinks(otherwise *api.Think) *bool {
	if on, ok := q.TemplateValues["enable_thinking"].(bool); ok {
		return &on
	}
	if q.ReasoningEffort != "" {
		on := q.ReasoningEffort != "none"
		return &on
	}
	if otherwise == nil {
		return nil
	}
	return &otherwise.Enabled
}
