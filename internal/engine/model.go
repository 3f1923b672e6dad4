package engine

import (
	"encoding/binary"
	"math"
	"time"
)

// Token is the number of a token in the model's vocabulary.
type Token = int32

// Model is what the engine needs of a model with its context. Except where a method says otherwise,
// only the engine goroutine calls it.
type Model interface {
	// Limits says how much fits. It does not change. Any goroutine may call it.
	Limits() Limits
	// NewSampler makes the sampler of one request. Any goroutine may call it.
	NewSampler(Sampling) (Sampler, error)

	// Begin starts the plan of a new step.
	Begin()
	// Adapt has the steps from now on use the model's adapters so. It is called before Begin, and
	// may cost as much time as a step.
	Adapt(Adapters) error
	// Add plans token at position pos of sequence seq and returns its index in the plan.
	Add(token Token, pos, seq int32) int
	// Sample asks for the token after the planned one at index, picked and accepted by s.
	// topLogprobs: -1 none, 0 the log probability of the picked token, n those of the n likeliest.
	//
	// Calls for neighbours of a sequence with the same s, one after the other, are for drafts: each
	// but the first gives a token only if the one before gave that which is planned at index.
	Sample(index int, s Sampler, topLogprobs int)
	// Step decodes the plan and samples its rows. The result is valid until the next Step. A step
	// that fails has sampled nothing. After ErrCacheFull the cache is as it was; after any other
	// error, ErrCancelled among them, it may hold some of the step's tokens.
	Step() (StepResult, error)
	// Abort(true) makes the running step stop early with ErrCancelled; it holds for every step
	// until Abort(false). Any goroutine may call it.
	Abort(stop bool)
	// Remove forgets the tokens of seq from position from to its end. It reports false when the
	// model cannot do that and has changed nothing; from 0 it always can.
	Remove(seq, from int32) bool
	// Copy lets dst, which is empty, hold the first n tokens of src too. Where sequences share one
	// pool of cells that takes no cells; else dst gets copies of its own.
	Copy(src, dst, n int32)
	// First returns the first position of seq that the model still holds, -1 if there is none. It
	// is not 0 where a sliding window has moved on.
	First(seq int32) int32
}

// Adapters are the scales of a model's LoRA adapters, as [NewAdapters] writes them. Equal ones are
// the same model: requests whose Adapters differ share neither steps nor prefixes. The zero value
// leaves all adapters out.
type Adapters string

// NewAdapters returns those with one scale for each adapter of the model.
func NewAdapters(scales []float32) Adapters {
	var text []byte
	plain := true
	for _, scale := range scales {
		plain = plain && scale == 0
		text = binary.LittleEndian.AppendUint32(text, math.Float32bits(scale))
	}
	if plain {
		return ""
	}
	return Adapters(text)
}

// Scales are those of n adapters.
func (a Adapters) Scales(n int) []float32 {
	scales := make([]float32, n)
	for i := range min(n, len(a)/4) {
		scales[i] = math.Float32frombits(binary.LittleEndian.Uint32([]byte(a[4*i:])))
	}
	return scales
}

// Sampler picks tokens for one request. One goroutine at a time uses it.
type Sampler interface {
	// Prime shows the prompt to the repetition penalties. It is called once, before any Sample.
	Prime([]Token)
	// Close frees the sampler.
	Close()
}

// Limits are the sizes of a model's context.
type Limits struct {
	Ctx       int // cells of the KV cache over all sequences
	CtxPerSeq int // most tokens of one sequence
	Batch     int // most tokens in one step
	UBatch    int // most tokens computed at once
	Sequences int
	Vocab     int // tokens in the vocabulary; 0: not known, and prompts are not checked
	// Rows is the most rows sampled in one step, if a sequence may have several; 0: each has one.
	Rows int
	// Window is how many tokens some layers look back, themselves included; 0: all of them.
	Window int
	// Whole says that the model keeps a state and not tokens, so that a sequence can be continued
	// at its end alone.
	Whole bool
	// Device says that steps are computed on a GPU, so that the CPU's cores are free meanwhile.
	Device bool
}

// StepResult is the outcome of one step.
type StepResult struct {
	Rows           []Row // in the order of the Sample calls
	Decode, Sample time.Duration
}

// Row is one sampled token. Its bytes belong to the model.
type Row struct {
	Token   Token
	End     bool    // the token ends generation
	Piece   []byte  // the token as text; often not valid UTF-8 alone
	Logprob float32 // natural logarithm of its probability; 0 if not asked for
	Top     []TopToken
	Err     error // why there is no token; the other rows are not affected
	Skipped bool  // the token before was not the drafted one, so there is none
}

// TopToken is one of the likeliest tokens of a row.
type TopToken struct {
	Token   Token
	Logprob float32
	Piece   []byte
}
