package engine_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mullama/mullama/internal/engine"
)

// instant is a model that takes no time, or always the same, and notes the time between its steps:
// that is the engine's own.
type instant struct {
	limits engine.Limits
	rows   []engine.Row
	n      int
	spend  time.Duration
	left   time.Time // when the step before returned
	own    []int64   // ns outside of steps, one for each
}

type noSampler struct{}

func (noSampler) Prime([]engine.Token) {}
func (noSampler) Close()               {}

func (m *instant) Limits() engine.Limits                              { return m.limits }
func (m *instant) NewSampler(engine.Sampling) (engine.Sampler, error) { return noSampler{}, nil }
func (m *instant) Adapt(engine.Adapters) error                        { return nil }
func (m *instant) Begin()                                             { m.n = 0 }
func (m *instant) Add(engine.Token, int32, int32) int                 { return 0 }
func (m *instant) Sample(int, engine.Sampler, int)                    { m.n++ }
func (m *instant) Abort(bool)                                         {}
func (m *instant) Remove(int32, int32) bool                           { return true }
func (m *instant) Copy(int32, int32, int32)                           {}
func (m *instant) First(int32) int32                                  { return 0 }

func (m *instant) Step() (engine.StepResult, error) {
	now := time.Now()
	if !m.left.IsZero() {
		m.own = append(m.own, now.Sub(m.left).Nanoseconds())
	}
	for time.Since(now) < m.spend { // busy, as a real model is
	}
	m.left = time.Now()
	return engine.StepResult{Rows: m.rows[:m.n]}, nil
}

// BenchmarkStepOverhead measures the time between two steps, with readers that take every event. In
// the paced variants a step takes 200 us, so that the readers sleep again before each step ends and
// waking them is part of the time. own-ns/step is the median, which a busy machine disturbs little.
func BenchmarkStepOverhead(b *testing.B) {
	for _, slots := range []int{1, 16} {
		for _, spend := range []time.Duration{0, 200 * time.Microsecond} {
			name := fmt.Sprintf("slots=%d/step=%v", slots, spend)
			b.Run(name, func(b *testing.B) { benchmarkSteps(b, slots, spend) })
		}
	}
}

func benchmarkSteps(b *testing.B, slots int, spend time.Duration) {
	const size = 1 << 20
	m := &instant{
		limits: limits(slots, 512, size*slots),
		rows:   make([]engine.Row, slots),
		spend:  spend,
		own:    make([]int64, 0, b.N*slots+1),
	}
	for i := range m.rows {
		m.rows[i] = engine.Row{Token: 7, Piece: []byte(" token")}
	}
	e := engine.New(m, engine.Config{})
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for range slots {
		group.Go(func() { generate(b, e, b.N) })
	}
	group.Wait()
	b.StopTimer()
	e.Close()
	m.own = append(m.own, 0) // with b.N = 1 there is no time between steps
	slices.Sort(m.own)
	b.ReportMetric(float64(m.own[len(m.own)/2]), "own-ns/step")
}

// generate runs requests one after the other until n tokens are there.
func generate(b *testing.B, e *engine.Engine, n int) {
	for n > 0 {
		req := engine.Request{
			Prompt: []engine.Token{1}, MaxTokens: min(n, 1000), Stop: []string{"</s>"},
		}
		s, err := e.Submit(b.Context(), req)
		if err != nil {
			b.Error(err)
			return
		}
		for err == nil {
			_, err = s.Next()
		}
		n -= req.MaxTokens
	}
}

// BenchmarkAdmission measures what it takes to give sequences with cells of their own to 64 prompts
// that come together, where all of them hold those of others: own-us/wave is the time outside of
// the steps of a wave that reads them.
func BenchmarkAdmission(b *testing.B) {
	const width, length = 64, 128
	m := &instant{limits: limits(width, 2048, width*320), rows: make([]engine.Row, width)}
	m.limits.CtxPerSeq = 320
	for i := range m.rows {
		m.rows[i] = engine.Row{Token: 7, Piece: []byte(" token")}
	}
	e := engine.New(m, engine.Config{})
	defer e.Close()
	random := rand.New(rand.NewPCG(1, 2))
	var own []int64
	for b.Loop() {
		b.StopTimer()
		before := len(m.own)
		var group sync.WaitGroup
		for range width {
			prompt := make([]engine.Token, length)
			for i := range prompt {
				prompt[i] = engine.Token(random.IntN(1000))
			}
			group.Go(func() { answer(b, e, prompt) })
		}
		b.StartTimer()
		group.Wait()
		sum := int64(0)
		for _, ns := range m.own[before+1:] { // the first began before the wave
			sum += ns
		}
		own = append(own, sum)
	}
	slices.Sort(own)
	b.ReportMetric(float64(own[len(own)/2])/1e3, "own-us/wave")
}

// answer reads the answer to a prompt, of two tokens.
func answer(b *testing.B, e *engine.Engine, prompt []engine.Token) {
	s, err := e.Submit(b.Context(), engine.Request{Prompt: prompt, MaxTokens: 2})
	for err == nil {
		_, err = s.Next()
	}
	if !errors.Is(err, io.EOF) {
		b.Error(err)
	}
}
