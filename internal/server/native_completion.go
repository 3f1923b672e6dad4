package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
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
	Fields       []string        `json:"response_fields"`
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
	prompts, err := parseNativePrompts(req.Prompt)
	if err != nil {
		return err
	}
	if a != nil && len(prompts) > 1 {
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
	options.JSONSchema = plainSchema(req.Schema)
	run := &nativeRun{
		s: s, job: job, req: req, options: &options, results: make([]nativeResult, len(prompts)),
	}
	streams, err := s.newOpenAIRun(&openAIEncoder{}, len(prompts), 1).start(ctx, job, &options,
		func(ctx context.Context, i int, o *mullama.GenerateOptions) (*mullama.Stream, error) {
			stream, text, err := prompts[i].start(ctx, job, o)
			run.results[i].prompt = text
			return stream, err
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
	options *mullama.GenerateOptions
	results []nativeResult
}

type nativeResult struct {
	prompt   string
	text     strings.Builder
	tokens   []mullama.Token
	logprobs []mullama.TokenLogprob
	last     mullama.Chunk
	newLine  bool // the text has a line end
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
		result.see(c)
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
		if buf.b, err = u.appendWhole(buf.b, i); err != nil {
			return err
		}
	}
	if len(u.results) > 1 {
		buf.b = append(append([]byte{'['}, buf.b...), ']')
	}
	return writeJSON(w, buf.b)
}

// see notes what a chunk tells of the whole.
func (r *nativeResult) see(c *mullama.Chunk) {
	r.last = *c
	r.newLine = r.newLine || strings.Contains(c.Text, "\n")
}

// appendWhole appends an answer that does not stream, or the fields of it that are wanted.
func (u *nativeRun) appendWhole(dst []byte, i int) ([]byte, error) {
	text := u.results[i].text.String()
	if len(u.req.Fields) == 0 {
		return u.appendResult(dst, i, text), nil
	}
	picked, err := pickFields(u.appendResult(nil, i, text), u.req.Fields)
	return append(dst, picked...), err
}

func (u *nativeRun) stream(ctx context.Context, a *answer, streams []*mullama.Stream) error {
	buf := getBuffer()
	defer buf.put()
	return u.s.deliverAll(ctx, streams, func(_ int, c *mullama.Chunk) error {
		buf.b = append(buf.b[:0], "data: "...)
		result := &u.results[0]
		result.tokens, result.logprobs = c.Tokens, c.Logprobs
		result.see(c)
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
		dst = append(dst, `,"completion_probabilities":`...)
		dst = appendLogprobsOf(dst, result.logprobs, true)
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
	dst = strconv.AppendBool(append(dst, `,"truncated":`...), u.truncated(result))
	dst = strconv.AppendBool(append(dst, `,"has_new_line":`...), result.newLine)
	dst = append(append(dst, `,"generation_settings":`...), u.settings()...)
	dst = appendString(append(dst, `,"stop_type":`...), stopType(&result.last))
	dst = appendString(append(dst, `,"stopping_word":`...), result.last.StopString)
	return append(appendTimings(dst, stats), '}')
}

// truncated reports whether the context became full.
func (u *nativeRun) truncated(r *nativeResult) bool {
	stats := r.last.Stats
	full := stats.PromptTokens+stats.GeneratedTokens >= u.job.ContextSize()
	return stats.ShiftedTokens > 0 || (full && r.last.FinishReason == mullama.FinishLength &&
		stats.GeneratedTokens != u.options.MaxTokens)
}

// settings is what the answer tells of its options.
func (u *nativeRun) settings() []byte {
	text, err := json.Marshal(generationSettings(u.options))
	if err != nil { // a number that JSON does not have
		return []byte("null")
	}
	return text
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
