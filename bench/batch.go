package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// batchOptions are the flags of bench batch.
type batchOptions struct {
	options
	prompts, slots, threads []int
	heaviest                int
}

// batchSlots is how many slots the works have that compare numbers of threads.
const batchSlots = 8

func batchCommand() *cobra.Command {
	var o batchOptions
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Measure many prompts, one after the other and at once",
		Long: `Measure how long package mullama takes for 10, 50, 100 and 500 prompts: one after the
other, and all at once with so many slots, which share each step of the model. Beside it is a C
program that has llama.cpp compute as many prompts in one batch, and then the next as many; of more
than 8 such batches it computes 8, and the others count as long as these in the mean. With 8 slots,
and one by one, the numbers of threads are compared as well: with two, 500 prompts in all ways take
about half an hour, and with --slots 8 six minutes.`,
		Example: "  mullama bench batch --model smollm2.gguf --prompts 100 --slots 1,8,32",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return batch(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.IntSliceVar(&o.prompts, "prompts", []int{10, 50, 100, 500}, "how many prompts")
	f.IntSliceVar(&o.slots, "slots", []int{1, 2, 4, 8, 16, 32}, "how many at once")
	f.IntSliceVar(&o.threads, "thread-counts", doublings(runtime.NumCPU()), "numbers of threads")
	f.IntVar(&o.heaviest, "heaviest", 100,
		"most prompts of a work that takes a turn in every round, not in the first alone")
	f.IntVar(&o.Rounds, "rounds", 3, "turns of every work")
	f.IntVar(&o.PromptTokens, "prompt-tokens", 32, "length of the prompts")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 32, "length of the answers")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the prompts and of the order of the sides")
	return cmd
}

// doublings are 1, 2, 4, … and n.
func doublings(n int) []int {
	var all []int
	for i := 1; i < n; i *= 2 {
		all = append(all, i)
	}
	return append(all, n)
}

// batch runs the group and writes its result.
func batch(cmd *cobra.Command, o batchOptions) (err error) {
	numbers := slices.Concat(o.prompts, o.slots, o.threads,
		[]int{o.Rounds, o.PromptTokens, o.GenerateTokens, o.Threads})
	if slices.Min(numbers) < 1 || len(o.prompts) == 0 {
		return errors.New("prompts, slots, threads, rounds and tokens must be at least 1")
	}
	o.Slots, o.Context = slices.Max(append(o.slots, 1)), o.PromptTokens+o.GenerateTokens+64
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, "x"
	p, err := newProbes(cmd, "batch", o.options)
	if err != nil {
		return err
	}
	if err := p.compared(); err != nil {
		return err
	}
	m := &batchMeter{probes: p, o: o, random: rand.New(rand.NewPCG(o.Seed, 2)),
		alone: map[int]*alone{}}
	defer func() { err = errors.Join(err, m.stop()) }()
	err = p.rounds(func() error {
		for _, w := range m.works() {
			if err := m.work(cmd.Context(), w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}

// batchMeter has both sides take turns.
type batchMeter struct {
	*probes
	o      batchOptions
	random *rand.Rand
	alone  map[int]*alone // by its number of threads
}

func (m *batchMeter) stop() (err error) {
	for _, a := range m.alone {
		err = errors.Join(err, a.stop())
	}
	return err
}

// batchWork is so many prompts in one way.
type batchWork struct {
	prompts []int
	slots   int
	threads int
	single  bool // the next prompt is sent when the last is answered
}

func (w batchWork) name(prompts int) string {
	way := fmt.Sprintf("%d slots", w.slots)
	if w.single {
		way = "one by one"
	}
	return fmt.Sprintf("prompts %d, %s, %d threads", prompts, way, w.threads)
}

// works are those of this round.
func (m *batchMeter) works() []batchWork {
	prompts := slices.DeleteFunc(slices.Clone(m.o.prompts), func(n int) bool {
		return m.round > 1 && n > m.o.heaviest
	})
	most := slices.Max(append(slices.Clone(m.o.threads), 1))
	var works []batchWork
	for _, threads := range m.o.threads {
		works = append(works, batchWork{prompts, 1, threads, true})
		for _, slots := range m.o.slots {
			if threads == most || slots == batchSlots {
				works = append(works, batchWork{prompts, slots, threads, false})
			}
		}
	}
	return works
}

// work has both sides do a work, in a random order for each number of prompts.
func (m *batchMeter) work(ctx context.Context, w batchWork) error {
	load := mullama.LoadOptions{Slots: w.slots, ContextSize: m.o.Context, Threads: w.threads,
		BatchThreads: w.threads, KVLayout: "split"}
	model, stop, err := m.load(ctx, load)
	if err != nil {
		return err
	}
	for _, n := range w.prompts {
		if n < w.slots {
			continue
		}
		if err = m.turn(ctx, model, w, n); err != nil {
			break
		}
	}
	return errors.Join(err, stop())
}

// load loads the model in this process.
func (m *batchMeter) load(
	ctx context.Context, o mullama.LoadOptions,
) (*mullama.Model, func() error, error) {
	rt, err := mullama.Open(mullama.Options{LibraryDir: m.o.library})
	if err != nil {
		return nil, nil, err
	}
	model, err := rt.Load(ctx, m.o.model, &o)
	if err != nil {
		return nil, nil, errors.Join(err, rt.Close())
	}
	return model, func() error { return errors.Join(model.Close(), rt.Close()) }, nil
}

func (m *batchMeter) turn(ctx context.Context, model *mullama.Model, w batchWork, n int) error {
	var seconds, alone float64
	sides := []func() error{
		func() (err error) { seconds, err = m.ours(ctx, model, w, n); return err },
		func() (err error) { alone, err = m.theirs(ctx, w, n); return err },
	}
	if m.random.IntN(2) == 1 {
		slices.Reverse(sides)
	}
	for _, side := range sides {
		if err := side(); err != nil {
			return err
		}
	}
	values := func(seconds float64) map[string]float64 {
		return map[string]float64{"seconds": seconds, "prompts_s": float64(n) / seconds,
			"tokens_s": float64(n*m.o.GenerateTokens) / seconds}
	}
	m.add(w.name(n), values(seconds), values(alone))
	return nil
}

// ours answers n prompts, after as many as there are slots that warm up.
func (m *batchMeter) ours(
	ctx context.Context, model *mullama.Model, w batchWork, n int,
) (float64, error) {
	warm := batchWork{slots: w.slots, single: w.single}
	if err := m.answers(ctx, model, warm, w.slots, 1); err != nil {
		return 0, err
	}
	start := time.Now()
	err := m.answers(ctx, model, w, n, 1000)
	return time.Since(start).Seconds(), err
}

// answers has n prompts answered in the way of the work.
func (m *batchMeter) answers(
	ctx context.Context, model *mullama.Model, w batchWork, n, first int,
) error {
	vocab := model.Info().Vocab
	answer := func(i int) error {
		seed := m.o.Seed + uint64(1_000_000*m.round+first+i)
		return m.answer(ctx, model, pseudoTokens(m.o.PromptTokens, vocab, seed))
	}
	if w.single {
		for i := range n {
			if err := answer(i); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = answer(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (m *batchMeter) answer(
	ctx context.Context, model *mullama.Model, prompt []mullama.Token,
) error {
	o := greedy(m.o.GenerateTokens)
	o.Sampling.IgnoreEOS = true
	stream, err := model.GenerateTokens(ctx, prompt, o)
	if err != nil {
		return err
	}
	tokens := 0
	for {
		chunk, err := stream.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, stream.Close())
		}
		tokens += len(chunk.Tokens)
	}
	if tokens != m.o.GenerateTokens {
		return fmt.Errorf("an answer has %d tokens, not %d", tokens, m.o.GenerateTokens)
	}
	return nil
}

// wavesAlone is how many batches of a size llama.cpp alone computes at most.
const wavesAlone = 8

// theirs is how long llama.cpp alone takes for n prompts: as many whole batches as there are, and a
// last one of those that remain. Of many batches some are computed, and the others take their mean.
func (m *batchMeter) theirs(ctx context.Context, w batchWork, n int) (float64, error) {
	a, err := m.startAlone(ctx, w.threads)
	if err != nil {
		return 0, err
	}
	seconds := 0.0
	for _, part := range []struct{ size, times int }{{w.slots, n / w.slots}, {n % w.slots, 1}} {
		if part.size == 0 {
			continue
		}
		sum, waves := 0.0, min(part.times, wavesAlone)
		for range waves {
			wave, err := a.wave(part.size, true)
			if err != nil {
				return 0, err
			}
			sum += wave.Seconds
		}
		seconds += sum * float64(part.times) / float64(max(1, waves))
	}
	return seconds, nil
}

// startAlone starts llama.cpp alone with so many threads, once.
func (m *batchMeter) startAlone(ctx context.Context, threads int) (*alone, error) {
	if a, ok := m.alone[threads]; ok {
		return a, nil
	}
	path, err := filepath.Abs(m.o.model)
	if err != nil {
		return nil, err
	}
	s := streamOptions{options: m.o.options}
	s.Threads = threads
	a, err := startAlone(ctx, m.baseline, path, s.alone()...)
	if err != nil {
		return nil, err
	}
	m.alone[threads] = a
	m.result.Versions.Baseline = a.header.Engine
	return a, nil
}
