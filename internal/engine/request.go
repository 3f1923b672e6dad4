package engine

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Request is one generation. The Engine copies what it keeps of it.
type Request struct {
	Prompt   []Token // at least one
	Sampling Sampling
	// MaxTokens is the most tokens to generate. 0 or less: until the context is full.
	MaxTokens int
	// Stop lists strings that end the text. The text is cut before the first one to be complete;
	// of those complete at the same byte the longest counts. Empty strings are ignored.
	Stop []string
	// Shown are control tokens that have a text in this one. Others have none.
	Shown map[Token][]byte
	// Logprobs asks for the log probability of each token, and of the TopLogprobs likeliest.
	Logprobs    bool
	TopLogprobs int
	// Shift makes a full context go on: the first Keep tokens stay, and half of the rest is
	// dropped, the oldest tokens first. Without it the request finishes by length.
	Shift bool
	Keep  int
	// Repeatable decodes the last token of the prompt in a step of its own, as it is when the rest
	// of the prompt is in the cache. Otherwise the same prompt gives logits that differ in their
	// last bits when it comes again. It costs the time of one token.
	Repeatable bool
	// Fresh decodes all of the prompt, also what the cache has of it.
	Fresh bool
	// Adapters are those that the text is made with.
	Adapters Adapters
}

// Counters describes one finished request.
type Counters struct {
	PromptTokens    int
	CachedTokens    int           // prompt tokens that needed no compute
	ShiftedTokens   int           // tokens dropped because the context was full
	GeneratedTokens int           // sampled tokens, with the one that ended generation
	Drafts          int           // times that tokens were guessed
	DraftedTokens   int           // those tokens
	AcceptedTokens  int           // of those, guessed right
	Queue           time.Duration // from Submit to a slot
	Prefill         time.Duration // from the slot to the first token
	FirstToken      time.Duration // from Submit to the first token
	Decode          time.Duration // from the first token to the end
	Total           time.Duration // from Submit to the end
	Steps           int           // steps that the request took part in
	StepOverhead    time.Duration // time of those steps outside the model
}

// check decides what can be decided before the model sees anything.
func (r *Request) check(limits Limits) error {
	if len(r.Prompt) == 0 {
		return fmt.Errorf("%w: the prompt has no tokens; give at least one", ErrInvalid)
	}
	if most := limits.sequence(); len(r.Prompt) > most {
		return &ContextFullError{Prompt: len(r.Prompt), Context: most}
	}
	if r.Logprobs && r.TopLogprobs < 0 {
		return fmt.Errorf("%w: top logprobs is %d; it must be 0 or more", ErrInvalid, r.TopLogprobs)
	}
	if limits.Vocab == 0 {
		return nil
	}
	for i, t := range r.Prompt {
		if t < 0 || int(t) >= limits.Vocab {
			return fmt.Errorf("%w: prompt token %d is %d; the vocabulary has tokens 0 to %d",
				ErrInvalid, i, t, limits.Vocab-1)
		}
	}
	return nil
}

// sequence is the most tokens one sequence can hold.
func (l Limits) sequence() int { return min(l.Ctx, l.CtxPerSeq) }

// request is a Request on its way through the engine. The engine goroutine owns it after Submit,
// but for the fields that say otherwise.
type request struct {
	tokens   []Token // the prompt and every token generated so far
	prompt   int     // length of the prompt
	most     int     // most tokens to generate
	sampled  int     // tokens generated so far
	top      int     // as in Model.Sample
	steps    int     // steps it took part in
	repeats  bool    // as Request.Repeatable
	fresh    bool    // as Request.Fresh
	adapters Adapters
	keep     int           // tokens that a shift keeps; -1: it may not shift
	shifted  int           // tokens that shifts dropped
	drafts   int           // times that tokens were guessed
	drafted  int           // those tokens
	agreed   int           // of those, guessed right
	cached   int           // prompt tokens that were in the cache already
	overhead time.Duration // of those, outside the model
	sampler  Sampler
	output   output
	stream   *Stream
	unwatch  func() bool // stops watching the caller's context

	submitted, admitted, first time.Time

	cancelled atomic.Bool // set from any goroutine
	inStep    bool        // guarded by Engine.mu: counted in Engine.live
}

// headroom is how many cells admission leaves for a request to grow, so that a new one does not
// take the last cells and lose its own in the next steps.
const headroom = 32

// cells is how much of the cache r needs now and soon.
func (r *request) cells() int { return len(r.tokens) + min(headroom, r.most-r.sampled) }

func newRequest(req *Request, sampler Sampler, limits Limits) *request {
	n := len(req.Prompt)
	// The last token is sampled and never decoded, so a full context yields one token.
	most := limits.sequence() - n + 1
	keep := -1
	if full := limits.sequence(); req.Shift && full >= shiftLeast {
		keep, most = min(max(req.Keep, 0), n, full/2), math.MaxInt
	}
	if req.MaxTokens > 0 {
		most = min(most, req.MaxTokens)
	}
	r := &request{
		tokens:    append(slices.Grow([]Token(nil), n+min(most, 256)), req.Prompt...),
		prompt:    n,
		most:      most,
		keep:      keep,
		top:       -1,
		repeats:   req.Repeatable,
		fresh:     req.Fresh,
		adapters:  req.Adapters,
		sampler:   sampler,
		output:    newOutput(req.Stop, req.Shown),
		submitted: time.Now(),
	}
	if req.Logprobs {
		r.top = req.TopLogprobs
	}
	return r
}

// shiftLeast is the smallest context that is shifted; in a smaller one hardly anything would stay.
const shiftLeast = 8

// shift drops tokens if there is no room in a context of full tokens for the next one. Those after
// the gap have seen what was in it and stand at other positions, so they are prefilled again: other
// requests may share their cells, and the text depends on nothing but the tokens.
func (r *request) shift(full int) (shifted bool) {
	if r.keep < 0 || len(r.tokens) <= full {
		return false
	}
	n := (len(r.tokens) - r.keep + 1) / 2
	r.tokens = slices.Delete(r.tokens, r.keep, r.keep+n)
	r.shifted += n
	return true
}

// accept takes the token sampled for r, sends what text it completes, and returns the reason to
// finish, or "".
func (r *request) accept(row *Row, now time.Time) FinishReason {
	if r.sampled == 0 {
		r.first = now
	}
	r.sampled++
	if row.End {
		return FinishStop
	}
	r.tokens = append(r.tokens, row.Token)
	stopped := r.output.push(row, r.top >= 0)
	switch {
	case stopped:
		return FinishStop
	case r.sampled >= r.most:
		return FinishLength
	}
	r.stream.deliver(&r.output)
	return ""
}

// finish sends the rest of the text and the counters.
func (r *request) finish(reason FinishReason) {
	r.release()
	r.output.flush()
	r.stream.finish(&r.output, reason, r.counters(time.Now()))
}

// fail ends the request with err, after the text that was sent.
func (r *request) fail(err error) {
	r.release()
	r.stream.fail(err)
}

func (r *request) release() {
	r.unwatch()
	r.sampler.Close()
}

func (r *request) counters(now time.Time) Counters {
	c := Counters{
		PromptTokens:    r.prompt,
		CachedTokens:    r.cached,
		ShiftedTokens:   r.shifted,
		GeneratedTokens: r.sampled,
		Drafts:          r.drafts,
		DraftedTokens:   r.drafted,
		AcceptedTokens:  r.agreed,
		Total:           now.Sub(r.submitted),
		Steps:           r.steps,
		StepOverhead:    r.overhead,
	}
	if r.admitted.IsZero() {
		c.Queue = c.Total
		return c
	}
	c.Queue = r.admitted.Sub(r.submitted)
	if r.first.IsZero() {
		c.Prefill = now.Sub(r.admitted)
		return c
	}
	c.Prefill = r.first.Sub(r.admitted)
	c.FirstToken = r.first.Sub(r.submitted)
	c.Decode = now.Sub(r.first)
	return c
}
