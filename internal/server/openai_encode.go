package server

import (
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/mullama/mullama"
)

// openAIEncoder writes the parts of one answer of OpenAI's API.
type openAIEncoder struct {
	head  []byte // id, created, model: the same in each part
	chat  bool
	usage bool // each part says that its usage is null
}

func (s *Server) newOpenAIEncoder(model string, chat, usage bool) *openAIEncoder {
	prefix := "cmpl-"
	if chat {
		prefix = "chatcmpl-"
	}
	head := appendString([]byte(`{"id":`), prefix+strings.ToLower(rand.Text()[:20]))
	head = append(head, `,"created":`...)
	head = strconv.AppendInt(head, time.Now().Unix(), 10)
	head = append(head, `,"model":`...)
	head = appendString(head, model)
	head = append(head, `,"system_fingerprint":`...)
	head = append(appendString(head, "build-"+s.config.Version), `,"object":`...)
	return &openAIEncoder{head: head, chat: chat, usage: usage}
}

// piece is what a choice says in one part.
type piece struct {
	index     int
	role      bool // begin with the role
	text      string
	reasoning string
	logprobs  []mullama.TokenLogprob
	offset    int    // of the text in the choice, in characters; for completions
	finish    string // "" while there is more
}

// appendEvent appends a part of a stream with one choice.
func (e *openAIEncoder) appendEvent(dst []byte, p *piece) []byte {
	dst = e.begin(dst, true)
	dst = append(dst, `,"choices":[`...)
	dst = e.appendChoice(dst, p, true)
	dst = append(dst, ']')
	if e.usage {
		dst = append(dst, `,"usage":null`...)
	}
	return append(dst, "}\n\n"...)
}

func (e *openAIEncoder) begin(dst []byte, event bool) []byte {
	if event {
		dst = append(dst, "data: "...)
	}
	dst = append(dst, e.head...)
	switch {
	case !e.chat:
		return append(dst, `"text_completion"`...)
	case event:
		return append(dst, `"chat.completion.chunk"`...)
	}
	return append(dst, `"chat.completion"`...)
}

func (e *openAIEncoder) appendChoice(dst []byte, p *piece, event bool) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(p.index), 10)
	switch {
	case !e.chat:
		dst = append(dst, `,"text":`...)
		dst = appendString(dst, p.text)
	case event:
		dst = append(dst, `,"delta":{`...)
		dst = appendDelta(dst, p)
		dst = append(dst, '}')
	default:
		dst = append(dst, `,"message":{`...)
		dst = appendDelta(dst, p)
		dst = append(dst, `,"refusal":null}`...)
	}
	dst = append(dst, `,"logprobs":`...)
	switch {
	case len(p.logprobs) == 0:
		dst = append(dst, "null"...)
	case e.chat:
		dst = append(dst, `{"content":`...)
		dst = appendLogprobs(dst, p.logprobs)
		dst = append(dst, `,"refusal":null}`...)
	default:
		dst = appendLegacyLogprobs(dst, p.logprobs, p.offset)
	}
	dst = append(dst, `,"finish_reason":`...)
	return append(appendOptional(dst, p.finish), '}')
}

func appendDelta(dst []byte, p *piece) []byte {
	start := len(dst)
	if p.role {
		dst = append(dst, `"role":"assistant",`...)
	}
	if p.reasoning != "" {
		dst = append(dst, `"reasoning":`...)
		dst = append(appendString(dst, p.reasoning), ',')
	}
	if p.role || p.text != "" {
		dst = append(dst, `"content":`...)
		dst = append(appendString(dst, p.text), ',')
	}
	if len(dst) > start {
		dst = dst[:len(dst)-1] // the last comma
	}
	return dst
}

// appendLegacyLogprobs writes the lists that completions have.
func appendLegacyLogprobs(dst []byte, list []mullama.TokenLogprob, offset int) []byte {
	separate := func(i int) {
		if i > 0 {
			dst = append(dst, ',')
		}
	}
	dst = append(dst, `{"tokens":[`...)
	for i, l := range list {
		separate(i)
		dst = appendString(dst, l.Bytes)
	}
	dst = append(dst, `],"token_logprobs":[`...)
	for i, l := range list {
		separate(i)
		dst = appendFloat(dst, l.Logprob)
	}
	dst = append(dst, `],"top_logprobs":[`...)
	for i, l := range list {
		separate(i)
		dst = append(dst, '{')
		for k, top := range l.Top {
			separate(k)
			dst = append(appendString(dst, top.Bytes), ':')
			dst = appendFloat(dst, top.Logprob)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `],"text_offset":[`...)
	for i, l := range list {
		separate(i)
		dst = strconv.AppendInt(dst, int64(offset), 10)
		offset += len([]rune(string(l.Bytes)))
	}
	return append(dst, ']', '}')
}

// tally is the usage of a request: its prompts once, and all choices.
type tally struct {
	prompt, cached, completion int
	stats                      mullama.Stats // of the last choice, for the timings
}

func appendUsage(dst []byte, t *tally) []byte {
	for _, field := range []struct {
		name  string
		value int
	}{
		{`,"usage":{"prompt_tokens":`, t.prompt},
		{`,"completion_tokens":`, t.completion},
		{`,"total_tokens":`, t.prompt + t.completion},
		{`,"prompt_tokens_details":{"cached_tokens":`, t.cached},
	} {
		dst = append(dst, field.name...)
		dst = strconv.AppendInt(dst, int64(field.value), 10)
	}
	return append(dst, '}', '}')
}

// appendUsageEvent appends the part that tells the usage of a stream.
func (e *openAIEncoder) appendUsageEvent(dst []byte, t *tally) []byte {
	dst = e.begin(dst, true)
	dst = append(dst, `,"choices":[]`...)
	dst = appendUsage(dst, t)
	return append(appendTimings(dst, &t.stats), "}\n\n"...)
}

// appendWhole appends an answer that does not stream.
func (e *openAIEncoder) appendWhole(dst []byte, pieces []piece, t *tally) []byte {
	dst = e.begin(dst, false)
	dst = append(dst, `,"choices":[`...)
	for i := range pieces {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.appendChoice(dst, &pieces[i], false)
	}
	dst = append(dst, ']')
	dst = appendUsage(dst, t)
	return append(appendTimings(dst, &t.stats), '}')
}

// appendTimings appends what llama-server tells of the time that an answer took.
func appendTimings(dst []byte, s *mullama.Stats) []byte {
	computed := s.PromptTokens - s.CachedTokens
	dst = append(dst, `,"timings":{"cache_n":`...)
	dst = strconv.AppendInt(dst, int64(s.CachedTokens), 10)
	dst = appendPace(dst, `,"prompt_`, computed, computed, s.Prefill)
	// The first token comes with the prompt, and costs no step of its own.
	dst = appendPace(dst, `,"predicted_`, s.GeneratedTokens, s.GeneratedTokens-1, s.Decode)
	if s.DraftedTokens > 0 {
		dst = append(dst, `,"draft_n":`...)
		dst = strconv.AppendInt(dst, int64(s.DraftedTokens), 10)
		dst = append(dst, `,"draft_n_accepted":`...)
		dst = strconv.AppendInt(dst, int64(s.AcceptedTokens), 10)
	}
	return append(dst, '}')
}

// appendPace appends how many tokens took how long, and the pace of those that needed steps.
func appendPace(dst []byte, prefix string, n, steps int, took time.Duration) []byte {
	ms := float64(took) / float64(time.Millisecond)
	perToken, perSecond := 0.0, 0.0
	if took > 0 && steps > 0 {
		perToken, perSecond = ms/float64(steps), 1e3/ms*float64(steps)
	}
	dst = append(append(dst, prefix...), `n":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	for _, field := range []struct {
		name  string
		value float64
	}{{`ms":`, ms}, {`per_token_ms":`, perToken}, {`per_second":`, perSecond}} {
		dst = append(append(dst, prefix...), field.name...)
		dst = strconv.AppendFloat(dst, field.value, 'f', -1, 64)
	}
	return dst
}
