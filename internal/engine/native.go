package engine

import (
	"errors"
	"fmt"

	"github.com/mullama/mullama/internal/llama"
)

// Sampling are the sampling options of a request.
type Sampling = llama.SamplerParams

// native is a Model of llama.cpp.
type native struct {
	*llama.Context
	model *llama.Model
	rows  []Row
}

// NewNative returns m with its context c as a Model. Close neither before the Engine is closed.
func NewNative(m *llama.Model, c *llama.Context) Model {
	return &native{Context: c, model: m}
}

func (n *native) Limits() Limits {
	l, info := n.Context.Limits(), n.model.Info()
	return Limits{
		Ctx:       l.Ctx,
		CtxPerSeq: l.CtxPerSeq,
		Batch:     l.Batch,
		UBatch:    l.UBatch,
		Sequences: l.Sequences,
		Vocab:     info.Vocab,
		Rows:      l.Rows,
		Window:    info.SlidingWindow,
		Whole:     info.Recurrent || info.Hybrid,
		Device:    l.DeviceLogits,
	}
}

func (n *native) Adapt(a Adapters) error {
	return n.Context.Adapt(a.Scales(n.model.Adapters()))
}

func (n *native) NewSampler(s Sampling) (Sampler, error) {
	sampler, err := n.model.NewSampler(s)
	if err != nil {
		return nil, err
	}
	return sampler, nil
}

func (n *native) Sample(index int, s Sampler, topLogprobs int) {
	n.Context.Sample(index, s.(*llama.Sampler), topLogprobs)
}

func (n *native) Remove(seq, from int32) bool { return n.Context.Remove(seq, from, -1) }

func (n *native) Copy(src, dst, count int32) { n.Context.Copy(src, dst, 0, count) }

func (n *native) First(seq int32) int32 {
	first, _ := n.Context.Range(seq)
	return first
}

func (n *native) Step() (StepResult, error) {
	result, err := n.Context.Step()
	if err != nil {
		return StepResult{}, stepError(err)
	}
	n.rows = n.rows[:0]
	for i := range result.Rows {
		n.rows = append(n.rows, newRow(&result.Rows[i]))
	}
	return StepResult{Rows: n.rows, Decode: result.Decode, Sample: result.Sample}, nil
}

func newRow(r *llama.Row) Row {
	row := Row{Token: r.Token, End: r.End, Piece: r.Piece, Logprob: r.Logprob, Err: r.Err,
		Skipped: r.Skipped}
	for _, t := range r.Top {
		row.Top = append(row.Top, TopToken(t))
	}
	return row
}

// stepError gives llama's errors the meaning that Model.Step promises.
func stepError(err error) error {
	switch {
	case errors.Is(err, llama.ErrFull):
		return fmt.Errorf("%w: %w", ErrCacheFull, err)
	case errors.Is(err, llama.ErrCancelled):
		return fmt.Errorf("%w: %w", ErrCancelled, err)
	}
	return err
}
