package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/bench/load"
)

// inProcess is package mullama in this very process, with the work that servers get over HTTP.
type inProcess struct {
	runtime *mullama.Runtime
	model   *mullama.Model
}

// openInProcess loads the model as the daemon does for the same work.
func openInProcess(ctx context.Context, s serving) (*inProcess, error) {
	runtime, err := mullama.Open(mullama.Options{LibraryDir: s.library})
	if err != nil {
		return nil, err
	}
	o := mullama.LoadOptions{
		Slots: s.slots, ContextSize: s.context, Threads: s.threads, KVLayout: "split",
		BatchSize: s.batch, UBatchSize: s.ubatch,
	}
	if s.unified {
		o.KVLayout, o.CacheTokens = "unified", s.slots*s.context
	}
	model, err := runtime.Load(ctx, s.model, &o)
	if err != nil {
		return nil, errors.Join(err, runtime.Close())
	}
	return &inProcess{runtime, model}, nil
}

func (p *inProcess) close() error { return errors.Join(p.model.Close(), p.runtime.Close()) }

// send does what [load.Send] does for as many streams as requests, without a server.
func (p *inProcess) send(ctx context.Context, w load.Work) (*load.Run, error) {
	sampling := mullama.DefaultSampling()
	sampling.Temperature, sampling.IgnoreEOS = float32(w.Sampling.Temperature), true
	if w.Sampling.TopK > 0 {
		sampling.TopK = w.Sampling.TopK
	}
	if w.Sampling.TopP > 0 {
		sampling.TopP = float32(w.Sampling.TopP)
	}
	options := &mullama.GenerateOptions{Sampling: &sampling, MaxTokens: w.Tokens}
	start := time.Now()
	run := &load.Run{Started: start, Answers: make([]load.Answer, w.Requests)}
	var all sync.WaitGroup
	for i := range run.Answers {
		all.Go(func() { run.Answers[i] = p.answer(ctx, start, w.Prompt(i), options) })
	}
	all.Wait()
	run.Seconds = time.Since(start).Seconds()
	return run, ctx.Err()
}

func (p *inProcess) answer(
	ctx context.Context, zero time.Time, prompt string, options *mullama.GenerateOptions,
) load.Answer {
	a := load.Answer{Start: time.Since(zero).Seconds()}
	stream, err := p.model.Generate(ctx, prompt, options)
	if err != nil {
		a.Error = err.Error()
		return a
	}
	for chunk, err := range stream.All() {
		if err != nil {
			a.Error = err.Error()
			break
		}
		if chunk.Text != "" {
			a.Times = append(a.Times, time.Since(zero).Seconds())
		}
		if chunk.Stats != nil {
			a.PromptTokens, a.Tokens = chunk.Stats.PromptTokens, chunk.Stats.GeneratedTokens
			a.CachedTokens = chunk.Stats.CachedTokens
		}
	}
	a.End = time.Since(zero).Seconds()
	return a
}

// waveOf makes a wave of a run of requests. An answer that failed is an error.
func waveOf(side string, width int, run *load.Run) (Wave, error) {
	sum := run.Summary()
	if sum.Failed > 0 {
		return Wave{}, fmt.Errorf("%s: %d of %d requests failed: %s", side, sum.Failed, width,
			sum.FirstError)
	}
	return Wave{Streams: width, Side: side, Seconds: run.Seconds, Tokens: sum.Tokens,
		Decode: sum.DecodePerSecond, Load: &sum}, nil
}
