package server

import (
	"context"
	"net/http"

	"github.com/mullama/mullama"
)

// completions answers POST /v1/completions.
func (s *Server) completions(w http.ResponseWriter, r *http.Request) error {
	var req completionRequest
	if err := decodeOpenAI(r, &req, &req.openAIRequest); err != nil {
		return err
	}
	return s.reply(w, r, req.Stream, func(ctx context.Context, a *answer) error {
		return s.completion(ctx, &req, a, w)
	})
}

func (s *Server) completion(
	ctx context.Context, req *completionRequest, a *answer, w http.ResponseWriter,
) error {
	n, err := req.choices()
	if err != nil {
		return err
	}
	prompts, err := parsePrompts(req.Prompt)
	if err != nil {
		return err
	}
	if n*prompts.len() > maxChoices {
		return badField("n", "n times the number of prompts is %d; it must be at most %d",
			n*prompts.len(), maxChoices)
	}
	job, err := s.open(ctx, req.order())
	if err != nil {
		return err
	}
	defer job.lease.Release()
	options, err := req.generateOptions(job)
	if err != nil {
		return err
	}
	if err := prompts.infill(job, req.Suffix); err != nil {
		return err
	}
	run := s.newOpenAIRun(s.newOpenAIEncoder(job.name, false, req.includeUsage()),
		n*prompts.len(), n)
	if err := run.setEcho(req, job, prompts); err != nil {
		return err
	}
	streams, err := run.start(ctx, job, options,
		func(ctx context.Context, i int, o *mullama.GenerateOptions) (*mullama.Stream, error) {
			if i /= n; i < len(prompts.texts) {
				return job.Generate(ctx, prompts.texts[i], o)
			}
			return job.GenerateTokens(ctx, prompts.tokens[i-len(prompts.texts)], o)
		})
	if err != nil {
		return err
	}
	if a == nil {
		return run.whole(ctx, w, streams)
	}
	return run.stream(ctx, a, streams)
}

// generateOptions turns the fields of a request into options. The prompt may spell out a chat
// format: who wants none of that uses the chat route.
func (q *completionRequest) generateOptions(j *job) (*mullama.GenerateOptions, error) {
	options := j.generate
	options.ParseSpecial = true
	if q.Logprobs != nil {
		if *q.Logprobs < 0 || *q.Logprobs > maxTopLogprobs {
			return nil, badField("logprobs", "logprobs must be between 0 and %d", maxTopLogprobs)
		}
		options.Logprobs, options.TopLogprobs = true, *q.Logprobs
	}
	return &options, nil
}

// setEcho puts the prompts before the choices, if that was asked for.
func (u *openAIRun) setEcho(req *completionRequest, j *job, p *prompts) error {
	if !req.Echo {
		return nil
	}
	for i := range u.states {
		k := i / u.perItem
		if k < len(p.texts) {
			u.states[i].echo = p.texts[k]
			continue
		}
		text, err := j.Detokenize(p.tokens[k-len(p.texts)])
		if err != nil {
			return err
		}
		u.states[i].echo = string(text)
	}
	return nil
}

// openAIModelInfo is a model in a list of OpenAI's API.
type openAIModelInfo struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func toOpenAIModel(m *mullama.StoredModel) openAIModelInfo {
	return openAIModelInfo{ID: m.Name, Object: "model", Created: m.Modified.Unix(),
		OwnedBy: "library"}
}

func (s *Server) openAIModels(w http.ResponseWriter, _ *http.Request) error {
	models, err := s.runtime.List()
	if err != nil {
		return err
	}
	list := struct {
		Object string            `json:"object"`
		Data   []openAIModelInfo `json:"data"`
	}{"list", []openAIModelInfo{}}
	for i := range models {
		list.Data = append(list.Data, toOpenAIModel(&models[i]))
	}
	return encode(w, list)
}

func (s *Server) openAIModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	if err := checkName(name); err != nil {
		return err
	}
	stored, err := s.runtime.Find(name)
	if err != nil {
		return err
	}
	return encode(w, toOpenAIModel(stored))
}
