package mullama

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/mullama/mullama/internal/colbert"
	"github.com/mullama/mullama/internal/embedder"
	"github.com/mullama/mullama/internal/llama"
)

// EmbedOptions say how texts are embedded. The zero value is ready to use.
type EmbedOptions struct {
	// Pooling says how the rows of a text's tokens become one: "mean", "cls" (the first token's),
	// "last", or "none", which keeps all. "": as the model's file says; where it does not say, the
	// last token's for a model that generates text, else the mean.
	Pooling string
	// Raw leaves the numbers as the model computes them. Otherwise each row has the length 1.
	Raw bool
	// Dimensions keeps only so many numbers of each row, from its start. 0: all.
	Dimensions int
	// Truncate cuts the end off a text that is too long, instead of refusing it. Where not one of
	// its tokens fits, it is refused all the same.
	Truncate bool
	// Task puts the words before each text with which models that are known by their names were
	// trained for it: "query" or "document". "": none. A model for late interaction, without
	// pooling, reads texts for a task as it declares: see [LateInteraction].
	Task string
	// Length, for a Task of a model for late interaction, is how many tokens a text has at most,
	// in place of what the model declares. 0: that.
	Length int
	// Prefix is text of the caller's own before each text.
	Prefix string
}

// EmbedRequest is what [Model.Embed] embeds: Texts, then Tokens, which are texts as tokens.
type EmbedRequest struct {
	Texts  []string
	Tokens [][]Token
	EmbedOptions
}

// Embedding is the result for one text.
type Embedding struct {
	Vector []float32   // nil without pooling, and after an error
	Rows   [][]float32 // without pooling, a row for each token that is not left out
	Tokens int         // that were embedded
	Cut    bool        // the text was too long, and its end was cut off
	Err    error       // what is wrong with this text
}

// EmbedResult has an Embedding for each text, in their order.
type EmbedResult struct {
	Embeddings []Embedding
	Tokens     int // of all texts
}

// Err returns the first error of a text, with its number; nil if there is none.
func (r *EmbedResult) Err() error {
	for i, e := range r.Embeddings {
		if e.Err == nil {
			continue
		}
		if len(r.Embeddings) == 1 {
			return e.Err
		}
		text := fmt.Sprintf("input[%d]", i)
		return wrap(text, &Error{Kind: errorKind(e.Err), Op: text, Err: e.Err})
	}
	return nil
}

// errorKind is the kind of an error of this package.
func errorKind(err error) error {
	for _, n := range names {
		if errors.Is(err, n.kind) {
			return n.kind
		}
	}
	return ErrInternal
}

// Embed embeds texts. Calls at the same time are computed together. The error is about the call as
// a whole; what is wrong with one text is in its Embedding.
func (m *Model) Embed(ctx context.Context, r *EmbedRequest) (*EmbedResult, error) {
	result := &EmbedResult{Embeddings: make([]Embedding, 0, len(r.Texts)+len(r.Tokens))}
	if m.remote != nil {
		return m.remote.embed(ctx, m, r)
	}
	inputs := make([]embedInput, 0, cap(result.Embeddings))
	for _, text := range r.Texts {
		inputs = append(inputs, embedInput{text: text})
	}
	for _, tokens := range r.Tokens {
		inputs = append(inputs, embedInput{tokens: tokens, isTokens: true})
	}
	windows := func(ctx context.Context, p *embedPlan) iter.Seq[*window] {
		if len(inputs) <= fewTexts {
			return p.atOnce(ctx, inputs)
		}
		return p.ahead(ctx, slices.Values(inputs))
	}
	for e, err := range m.embedAll(ctx, windows, &r.EmbedOptions) {
		if err != nil {
			return nil, err
		}
		result.Embeddings = append(result.Embeddings, e)
		result.Tokens += e.Tokens
	}
	return result, nil
}

// EmbedStream embeds any number of texts, and yields their embeddings in their order. It reads some
// hundred texts ahead, on another goroutine, and holds no more than those. The error is about all
// of them, and the last that is yielded.
func (m *Model) EmbedStream(
	ctx context.Context, texts iter.Seq[string], o *EmbedOptions,
) iter.Seq2[Embedding, error] {
	if o == nil {
		o = &EmbedOptions{}
	}
	if m.remote != nil {
		return m.remote.embedStream(ctx, m, texts, o)
	}
	inputs := func(yield func(embedInput) bool) {
		for text := range texts {
			if !yield(embedInput{text: text}) {
				return
			}
		}
	}
	return m.embedAll(ctx, func(ctx context.Context, p *embedPlan) iter.Seq[*window] {
		return p.ahead(ctx, inputs)
	}, o)
}

// embedInput is a text, or the tokens of one.
type embedInput struct {
	text     string
	tokens   []Token
	isTokens bool
}

// window is a part of the texts of a call, which is tokenized while the one before is computed.
type window struct {
	items []*embedder.Item
	made  []Embedding // with tokens counted, and errors found so far
	done  chan error
}

const (
	windowTexts = 512     // most texts of a window
	windowBytes = 1 << 20 // of text, beyond which a window takes no more
	fewTexts    = 16      // for which tokenizing on another goroutine does not pay
)

// embedAll embeds the texts of windows, which come in their order.
func (m *Model) embedAll(
	ctx context.Context, windows func(context.Context, *embedPlan) iter.Seq[*window],
	o *EmbedOptions,
) iter.Seq2[Embedding, error] {
	const op = "embed"
	return func(yield func(Embedding, error) bool) {
		if err := m.enter(op); err != nil {
			yield(Embedding{}, err)
			return
		}
		defer m.calls.Done()
		plan, err := m.planEmbedding(op, o)
		if err != nil {
			yield(Embedding{}, err)
			return
		}
		ctx, end := m.untilClosed(ctx)
		defer end()
		for w := range windows(ctx, plan) {
			if err := <-w.done; err != nil {
				yield(Embedding{}, wrap(op, err))
				return
			}
			for i, item := range w.items {
				if !yield(plan.finish(w.made[i], item), nil) {
					return
				}
			}
		}
		if err := context.Cause(ctx); err != nil {
			yield(Embedding{}, wrap(op, err))
		}
	}
}

// embedPlan is what the options of a call mean for its model.
type embedPlan struct {
	*EmbedOptions
	op       string
	model    *Model
	engine   *embedder.Engine
	prefix   string
	perToken bool
	longest  int
	role     *colbert.Role // nil, unless a model for late interaction has a task
}

// ahead has windows of the inputs made while the one before is computed.
func (p *embedPlan) ahead(ctx context.Context, inputs iter.Seq[embedInput]) iter.Seq[*window] {
	return func(yield func(*window) bool) {
		windows := make(chan *window)
		go p.produce(ctx, inputs, windows)
		for w := range windows {
			if !yield(w) {
				return // the end of ctx ends the goroutine
			}
		}
	}
}

// atOnce has the inputs computed in one window, without another goroutine.
func (p *embedPlan) atOnce(ctx context.Context, inputs []embedInput) iter.Seq[*window] {
	return func(yield func(*window) bool) {
		if len(inputs) == 0 {
			return
		}
		w := p.tokenize(ctx, inputs)
		p.compute(ctx, w)
		yield(w)
	}
}

// produce makes windows of the inputs and starts them.
func (p *embedPlan) produce(ctx context.Context, inputs iter.Seq[embedInput], out chan<- *window) {
	defer close(out)
	var batch []embedInput
	bytes := 0
	send := func() bool {
		w := p.tokenize(ctx, batch)
		go p.compute(ctx, w)
		batch, bytes = nil, 0
		select {
		case out <- w:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for input := range inputs {
		batch = append(batch, input)
		bytes += len(input.text)
		if (len(batch) == windowTexts || bytes >= windowBytes) && !send() {
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
	if len(batch) > 0 {
		send()
	}
}

// tokenize makes a window, on several goroutines where that pays.
func (p *embedPlan) tokenize(ctx context.Context, batch []embedInput) *window {
	w := &window{
		items: make([]*embedder.Item, len(batch)), made: make([]Embedding, len(batch)),
		done: make(chan error, 1),
	}
	var workers sync.WaitGroup
	n := min(runtime.GOMAXPROCS(0), (len(batch)+fewTexts-1)/fewTexts)
	some := func(first int) {
		for i := first; i < len(batch) && ctx.Err() == nil; i += n {
			w.items[i], w.made[i] = p.prepare(&batch[i])
		}
	}
	for first := range n - 1 {
		workers.Go(func() { some(first) })
	}
	some(n - 1)
	workers.Wait()
	return w
}

// compute has a window computed.
func (p *embedPlan) compute(ctx context.Context, w *window) {
	if err := context.Cause(ctx); err != nil {
		w.done <- err
		return
	}
	var good []*embedder.Item
	for i, item := range w.items {
		if w.made[i].Err == nil {
			good = append(good, item)
		}
	}
	w.done <- p.engine.Do(ctx, good)
}

// prepare makes the tokens of a text.
func (p *embedPlan) prepare(in *embedInput) (*embedder.Item, Embedding) {
	tokens, cut, err := p.tokens(in)
	switch {
	case err != nil:
	case len(tokens) == 0:
		err = invalid(p.op, "the text is empty")
	case len(tokens) > p.longest && (!p.Truncate || p.longest <= p.model.bounds(tokens)):
		err = &Error{Kind: ErrContextFull, Op: p.op, Err: &ContextFullError{
			Prompt: len(tokens), Context: p.longest, Part: "the text", Advice: p.advice()}}
	case len(tokens) > p.longest:
		tokens, cut = p.model.cutTokens(tokens, p.longest), true
	}
	if err != nil {
		return &embedder.Item{}, Embedding{Err: err}
	}
	item := &embedder.Item{Tokens: tokens}
	if p.role != nil {
		item.Tokens, item.Unseen = p.role.Complete(tokens)
	}
	return item, Embedding{Tokens: len(item.Tokens), Cut: cut}
}

func (p *embedPlan) tokens(in *embedInput) (tokens []Token, cut bool, err error) {
	if in.isTokens {
		vocab := Token(p.model.shared.weights.Info().Vocab)
		for _, t := range in.tokens {
			if t < 0 || t >= vocab {
				return nil, false, invalid(p.op, fmt.Sprintf("token %d is not in the vocabulary, "+
					"which has %d", t, vocab))
			}
		}
		return in.tokens, false, nil
	}
	text := p.prefix + in.text
	if err := p.model.tooLong(p.op, text, p.longest); err != nil {
		if !p.Truncate {
			if full := (*ContextFullError)(nil); errors.As(err, &full) {
				full.Advice = p.advice()
			}
			return nil, false, err
		}
		end := min(len(text), likelyBytes*p.longest)
		for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		text, cut = text[:end], true
	}
	tokens, err = p.model.shared.weights.Tokenize(text, true, false)
	return tokens, cut, wrap(p.op, err)
}

// advice is what helps with a text that is too long. Models for embeddings have no larger context.
func (p *embedPlan) advice() string {
	if p.Truncate {
		return "load the model with a larger context"
	}
	return "shorten it, or set truncate to have its end cut off"
}

// bounds is how many tokens at the ends of a text's are the vocabulary's and not of the text.
func (m *Model) bounds(tokens []Token) (n int) {
	info := m.shared.weights.Info()
	if tokens[0] == info.BOS {
		n++
	}
	if last := tokens[len(tokens)-1]; last == info.EOS || last == info.SEP {
		n++
	}
	return n
}

// cutTokens keeps the first of too many tokens, and the last if the vocabulary ends texts with it.
func (m *Model) cutTokens(tokens []Token, most int) []Token {
	info := m.shared.weights.Info()
	last := tokens[len(tokens)-1]
	cut := slices.Clone(tokens[:most])
	if last == info.EOS || last == info.SEP {
		cut[most-1] = last
	}
	return cut
}

// finish makes an embedding of what was computed.
func (p *embedPlan) finish(e Embedding, item *embedder.Item) Embedding {
	switch {
	case e.Err != nil:
		return e
	case item.Err != nil:
		e.Err = wrap(p.op, item.Err)
		return e
	case !p.perToken:
		e.Vector = p.row(item.Rows)
		return e
	}
	width := len(item.Rows) / len(item.Tokens)
	for i, token := range item.Tokens {
		if p.role == nil || !p.role.Skips(token) {
			e.Rows = append(e.Rows, p.row(item.Rows[i*width:][:width:width]))
		}
	}
	if e.Rows == nil {
		e.Err = invalid(p.op, "the model leaves out all tokens of the text")
	}
	return e
}

// row shortens a row and gives it the length 1. A row of zeros stays one.
func (p *embedPlan) row(row []float32) []float32 {
	if p.Dimensions > 0 {
		row = row[:p.Dimensions:p.Dimensions]
	}
	if p.Raw {
		return row
	}
	sum := 0.0
	for _, x := range row {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return row
	}
	scale := 1 / math.Sqrt(sum)
	for i := range row {
		row[i] = float32(float64(row[i]) * scale)
	}
	return row
}

// planEmbedding checks options and finds the engine for them.
func (m *Model) planEmbedding(op string, o *EmbedOptions) (*embedPlan, error) {
	if m.shared.embedders == nil {
		return nil, noWeights(op)
	}
	pooling, err := choice(op, "pooling", o.Pooling, poolings)
	if err != nil {
		return nil, err
	}
	info := m.shared.weights.Info()
	if pooling == llama.PoolingModel {
		pooling = ownPooling(info)
	}
	if pooling == llama.PoolingRank {
		return nil, &Error{Kind: ErrUnsupported, Op: op,
			Err:  errors.New("this model ranks documents, and its embeddings mean nothing"),
			Hint: "rank with it, or name a pooling"}
	}
	if o.Dimensions < 0 || o.Dimensions > info.EmbeddingWidth {
		return nil, tooManyDimensions(op, o.Dimensions, info.EmbeddingWidth)
	}
	task, err := m.taskPrefix(op, o.Task)
	if err != nil {
		return nil, err
	}
	engine, err := m.shared.embedders.get(pooling)
	if err != nil {
		return nil, wrap(op, err)
	}
	plan := &embedPlan{
		EmbedOptions: o, op: op, model: m, engine: engine, prefix: task + o.Prefix,
		perToken: pooling == llama.PoolingNone, longest: m.shared.embedders.longest,
	}
	return plan, plan.readAsDeclared()
}

func tooManyDimensions(op string, asked, has int) error {
	return invalid(op, fmt.Sprintf("dimensions are %d; this model has %d", asked, has))
}

// poolings are the names of the ways to pool.
var poolings = map[string]int{
	"": llama.PoolingModel, "none": llama.PoolingNone, "mean": llama.PoolingMean,
	"cls": llama.PoolingCLS, "last": llama.PoolingLast,
}

// ownPooling is how a model pools unless a call says otherwise.
func ownPooling(info llama.ModelInfo) int {
	switch {
	case info.Pooling != llama.PoolingModel:
		return info.Pooling
	case info.Causal:
		return llama.PoolingLast
	}
	return llama.PoolingMean
}
