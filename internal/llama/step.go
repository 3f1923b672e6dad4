package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"time"
	"unsafe"
)

// plan holds the arrays of the next step in C memory, so that a step passes one pointer.
type plan struct {
	tokens, positions, seqs []C.int32_t // one per token of the step
	rows, topLogprobs       []C.int32_t // one per sampled row
	samplers                []*C.mn_sampler
	live                    []*Sampler // the rows' samplers, acquired until the next Begin
	c                       *C.mn_step_plan
	result                  []Row
	err                     error // why the step cannot be made
}

func newPlan(a *arena, l Limits) plan {
	rows := max(l.Sequences, l.Rows)
	p := plan{
		tokens:      arenaSlice[C.int32_t](a, l.Batch),
		positions:   arenaSlice[C.int32_t](a, l.Batch),
		seqs:        arenaSlice[C.int32_t](a, l.Batch),
		rows:        arenaSlice[C.int32_t](a, rows),
		topLogprobs: arenaSlice[C.int32_t](a, rows),
		samplers:    arenaSlice[*C.mn_sampler](a, rows),
		live:        make([]*Sampler, 0, rows),
		c:           &arenaSlice[C.mn_step_plan](a, 1)[0],
		result:      make([]Row, 0, rows),
	}
	p.c.tokens, p.c.positions, p.c.seqs = &p.tokens[0], &p.positions[0], &p.seqs[0]
	p.c.rows, p.c.top_logprobs, p.c.samplers = &p.rows[0], &p.topLogprobs[0], &p.samplers[0]
	return p
}

// Row is what a step sampled for one row. Piece, and the Pieces in Top, belong to the model.
type Row struct {
	Token   Token
	End     bool   // the token ends generation
	Piece   []byte // its bytes; none for a control token
	Logprob float32
	Top     []TopToken // the likeliest tokens, if they were asked for
	Err     error      // why there is no token; the other rows are not affected
	Skipped bool       // a draft that the row before did not agree with
}

// TopToken is a candidate for a row. Its Piece shows control tokens as text.
type TopToken struct {
	Token   Token
	Logprob float32
	Piece   []byte
}

// StepResult is valid until the next step of its context.
type StepResult struct {
	Rows   []Row // in the order of the calls of Sample
	Decode time.Duration
	Sample time.Duration
}

// Begin starts an empty step.
func (c *Context) Begin() {
	if c.acquire() != nil {
		return
	}
	defer c.release()
	c.plan.reset()
}

func (p *plan) reset() {
	for _, s := range p.live {
		s.release()
	}
	clear(p.live)
	p.live, p.err = p.live[:0], nil
	p.c.n_tokens, p.c.n_rows = 0, 0
}

// Add appends a token at a position of a sequence to the step and returns its index. More than
// [Limits].Batch tokens make the step fail.
func (c *Context) Add(token Token, pos, seq int32) int {
	i := int(c.plan.c.n_tokens)
	if i == len(c.plan.tokens) {
		c.plan.fail("a step takes at most %d tokens", i)
		return i
	}
	c.plan.tokens[i] = C.int32_t(token)
	c.plan.positions[i] = C.int32_t(pos)
	c.plan.seqs[i] = C.int32_t(seq)
	c.plan.c.n_tokens++
	return i
}

// Sample asks for a token after the one at index. topLogprobs is -1 for no logprobs, 0 for that of
// the chosen token, n for the n likeliest too. More rows than [Limits] has make the step
// fail, and so does a closed sampler. One that is closed later is kept until the next Begin.
//
// Rows for neighbouring tokens of a sequence, one after the other with the same sampler, are drafts
// but for the first: such a row is skipped if the one before it did not pick the token that was
// added there.
func (c *Context) Sample(index int, s *Sampler, topLogprobs int) {
	r := int(c.plan.c.n_rows)
	if r == len(c.plan.rows) {
		c.plan.fail("a step samples at most %d rows", r)
		return
	}
	if s == nil || s.acquire() != nil {
		c.plan.fail("the sampler of row %d is closed", r)
		return
	}
	c.plan.live = append(c.plan.live, s)
	c.plan.rows[r] = C.int32_t(index)
	c.plan.samplers[r] = s.ptr
	c.plan.topLogprobs[r] = C.int32_t(topLogprobs)
	c.plan.c.n_rows++
}

func (p *plan) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{ErrInvalid, fmt.Sprintf(format, args...)}
	}
}

// Step decodes the tokens that were added and samples the rows that were asked for. After ErrFull
// the cache is as before; after ErrCancelled or ErrInternal some of the tokens may be in it.
func (c *Context) Step() (StepResult, error) {
	if err := c.acquire(); err != nil {
		return StepResult{}, err
	}
	defer c.release()
	if c.plan.err != nil {
		return StepResult{}, c.plan.err
	}
	var out C.mn_step_result
	var e C.mn_error
	if status := C.shim_step(c.lib.table, c.ptr, c.plan.c, &out, &e); status != C.MN_OK {
		return StepResult{}, check(status, &e)
	}
	return StepResult{
		Rows:   c.plan.read(&out),
		Decode: micros(out.decode_us),
		Sample: micros(out.sample_us),
	}, nil
}

// SampleLogits samples the rows that were asked for from these logits: index i of a call of Sample
// is their ith row. No token is decoded. It is for tests and benchmarks.
func (c *Context) SampleLogits(logits []float32) (StepResult, error) {
	if err := c.acquire(); err != nil {
		return StepResult{}, err
	}
	defer c.release()
	if c.plan.err != nil {
		return StepResult{}, c.plan.err
	}
	if err := c.checkRows(len(logits)); err != nil {
		return StepResult{}, err
	}
	var out C.mn_step_result
	var e C.mn_error
	status := C.shim_sample_logits(c.lib.table, c.ptr, c.plan.c,
		(*C.float)(unsafe.SliceData(logits)), &out, &e)
	if status != C.MN_OK {
		return StepResult{}, check(status, &e)
	}
	return StepResult{Rows: c.plan.read(&out), Sample: micros(out.sample_us)}, nil
}

// checkRows sees to it that all rows of the plan are among n logits.
func (c *Context) checkRows(n int) error {
	for _, row := range c.plan.rows[:c.plan.c.n_rows] {
		if end := (int(row) + 1) * c.vocab; row < 0 || end > n {
			return &Error{ErrInvalid, fmt.Sprintf("row %d ends at %d of %d logits", row, end, n)}
		}
	}
	return nil
}

func (p *plan) read(out *C.mn_step_result) []Row {
	p.result = p.result[:0]
	if p.c.n_rows == 0 {
		return nil
	}
	top := out.top
	for _, r := range unsafe.Slice(out.rows, p.c.n_rows) {
		row := Row{
			Token:   Token(r.token),
			End:     r.end != 0,
			Piece:   pieceBytes(r.piece, r.piece_len),
			Logprob: float32(r.logprob),
			Skipped: r.token < 0 && r.error == nil,
		}
		if r.error != nil {
			row.Err = &Error{ErrInternal, C.GoString(r.error)}
		}
		if r.n_top > 0 {
			row.Top = topTokens(unsafe.Slice(top, r.n_top))
			top = (*C.mn_top_token)(unsafe.Add(unsafe.Pointer(top),
				uintptr(r.n_top)*unsafe.Sizeof(*top)))
		}
		p.result = append(p.result, row)
	}
	return p.result
}

func topTokens(list []C.mn_top_token) []TopToken {
	top := make([]TopToken, len(list))
	for i, t := range list {
		top[i] = TopToken{Token(t.token), float32(t.logprob), pieceBytes(t.piece, t.piece_len)}
	}
	return top
}
