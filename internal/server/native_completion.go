package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/mullama/mullama"
)

// nativeRequest is the body of POST /completion.
type nativeRequest struct {
	openAIRequest
	Prompt       json.RawMessage `json:"prompt"`
	Probs        int             `json:"n_probs"`
	Schema       json.RawMessage `json:"json_schema"`
	ReturnTokens bool            `json:"return_tokens"`
}

// nativeCompletion answers POST /completion of llama-server.
func (s *Server) nativeCompletion(w http.ResponseWriter, r *http.Request) error {
	var req nativeRequest
	if err := decodeOpenAI(r, &req, &req.openAIRequest); err != nil {
		return err
	}
	return s.reply(w, r, req.Stream, func(ctx context.Context, a *answer) error {
		return s.nativeComplete(ctx, &req, a, w)
	})
}

func (s *Server) nativeComplete(
	ctx context.Context, req *nativeRequest, a *answer, w http.ResponseWriter,
) error {
	prompts, err := parsePrompts(req.Prompt)
	if err != nil {
		return err
	}
	if a != nil && prompts.len() > 1 {
		return badField("prompt", "several prompts cannot be streamed here; send them one by one")
	}
	order := req.order()
	order.base = mullama.DefaultSampling()
	job, err := s.open(ctx, order)
	if err != nil {
		return err
	}
	defer job.lease.Release()
	options := job.generate
	options.ParseSpecial = true
	options.Logprobs, options.TopLogprobs = req.Probs > 0, req.Probs
	if len(req.Schema) > 0 {
		options.JSONSchema = string(req.Schema)
	}
	run := &nativeRun{s: s, job: job, req: req, results: make([]nativeResult, prompts.len())}
	streams, err := s.newOpenAIRun(&openAIEncoder{}, prompts.len(), 1).start(ctx, job, &options,
		func(ctx context.Context, i int, o *mullama.GenerateOptions) (*mullama.Stream, error) {
			if i < len(prompts.texts) {
				run.results[i].prompt = prompts.texts[i]
				return job.Generate(ctx, prompts.texts[i], o)
			}
			return job.GenerateTokens(ctx, prompts.tokens[i-len(prompts.texts)], o)
		})
	if err != nil {
		return err
	}
	if a != nil {
		return run.stream(ctx, a, streams)
	}
	return run.whole(ctx, w, streams)
}

// nativeRun is one answer of POST /completion.
type nativeRun struct {
	s       *Server
	job     *job
	req     *nativeRequest
	results []nativeResult
}

type nativeResult struct {
	prompt   string
	text     strings.Builder
	tokens   []mullama.Token
	logprobs []mullama.TokenLogprob
	last     mullama.Chunk
}

func (u *nativeRun) whole(
	ctx context.Context, w http.ResponseWriter, streams []*mullama.Stream,
) error {
	err := u.s.deliverAll(ctx, streams, func(i int, c *mullama.Chunk) error {
		result := &u.results[i]
		result.text.WriteString(c.Text)
		result.logprobs = append(result.logprobs, c.Logprobs...)
		if u.req.ReturnTokens {
			result.tokens = append(result.tokens, c.Tokens...)
		}
		result.last = *c
		return nil
	})
	if err != nil {
		return err
	}
	buf := getBuffer()
	defer buf.put()
	for i := range u.results {
		if i > 0 {
			buf.b = append(buf.b, ',')
		}
		buf.b = u.appendResult(buf.b, i, u.results[i].text.String())
	}
	if len(u.results) > 1 {
		buf.b = append(append([]byte{'['}, buf.b...), ']')
	}
	return writeJSON(w, buf.b)
}

func (u *nativeRun) stream(ctx context.Context, a *answer, streams []*mullama.Stream) error {
	buf := getBuffer()
	defer buf.put()
	return u.s.deliverAll(ctx, streams, func(_ int, c *mullama.Chunk) error {
		buf.b = append(buf.b[:0], "data: "...)
		result := &u.results[0]
		result.tokens, result.logprobs, result.last = c.Tokens, c.Logprobs, *c
		if c.Done {
			if !u.req.ReturnTokens {
				result.tokens = nil
			}
			buf.b = u.appendResult(buf.b, 0, c.Text)
		} else {
			buf.b = append(u.appendHead(buf.b, 0, c.Text), '}')
		}
		return a.write(append(buf.b, "\n\n"...))
	})
}

// appendHead appends what parts and whole answers have, and leaves the object open.
func (u *nativeRun) appendHead(dst []byte, i int, text string) []byte {
	result := &u.results[i]
	dst = appendInt(append(dst, `{"index":`...), i)
	dst = appendString(append(dst, `,"content":`...), text)
	dst = appendTokens(append(dst, `,"tokens":`...), result.tokens)
	if result.last.Done {
		dst = append(dst, `,"stop":true`...)
	} else {
		dst = append(dst, `,"stop":false`...)
	}
	if len(result.logprobs) > 0 {
		dst = appendLogprobs(append(dst, `,"completion_probabilities":`...), result.logprobs)
	}
	return dst
}

// appendResult appends the end of an answer, or all of it.
func (u *nativeRun) appendResult(dst []byte, i int, text string) []byte {
	result := &u.results[i]
	dst = u.appendHead(dst, i, text)
	stats := result.last.Stats
	dst = appendString(append(dst, `,"model":`...), u.job.name)
	dst = appendString(append(dst, `,"prompt":`...), result.prompt)
	dst = appendInt(append(dst, `,"tokens_predicted":`...), stats.GeneratedTokens)
	dst = appendInt(append(dst, `,"tokens_evaluated":`...), stats.PromptTokens)
	dst = appendInt(append(dst, `,"tokens_cached":`...), stats.CachedTokens)
	dst = appendString(append(dst, `,"truncated":false,"stop_type":`...), stopType(&result.last))
	dst = appendString(append(dst, `,"stopping_word":`...), result.last.StopString)
	return append(appendTimings(dst, stats), '}')
}

// stopType is llama-server's word for what ended a text.
func stopType(c *mullama.Chunk) string {
	switch {
	case c.FinishReason == mullama.FinishLength:
		return "limit"
	case c.StopString != "":
		return "word"
	}
	return "eos"
}
