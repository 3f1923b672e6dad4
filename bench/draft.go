package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// repeatedText ends where a list begins that has been there twice.
var repeatedText = func() string {
	const list = "apples, carrots, white bread, olive oil, honey, cinnamon, rice, black pepper, " +
		"butter, lemons, potatoes, cheese, flour, sugar, eggs, milk, salt, onions, garlic, tea"
	return "The list: " + list + ".\nThe same list: " + list + ".\nThe same list:"
}()

func draftCommand() *cobra.Command {
	var o options
	var draft string
	cmd := &cobra.Command{
		Use:   "draft",
		Short: "Measure one request with guessed tokens and without",
		Long: `Measure tokens per second of one greedy request in this process, with drafts and
without them in turn: ngram-simple, which guesses that what came before comes again, on a text that
repeats itself, where it is always right, and on one that does not; the model as its own draft
model, which is right as often but takes as long as the model; and the smaller model of --draft.

Drafts that do not pay are left out after a trial, as they are for everyone who loads a model so:
the two cases in which they cannot pay show what the trials cost.`,
		Example: `  mullama bench draft --model smollm2.gguf
  mullama bench draft --model large.gguf --draft small.gguf --rounds 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return drafts(cmd, o, draft) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.StringVar(&draft, "draft", "", "GGUF file of a smaller model with the same vocabulary")
	f.IntVar(&o.Rounds, "rounds", 10, "turns of every case, with drafts and without")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "length of the answers")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the order of the sides")
	return cmd
}

// draftCase is a text, and who guesses how it goes on.
type draftCase struct {
	name, text string
	load       mullama.LoadOptions
}

// draftCases are all cases for a model, and a smaller one if there is one.
func draftCases(model, draft string) []draftCase {
	cases := []draftCase{
		{"ngram-simple, a list again", repeatedText,
			mullama.LoadOptions{DraftType: "ngram-simple"}},
		{"ngram-simple, free text", defaultText, mullama.LoadOptions{DraftType: "ngram-simple"}},
		{"itself, free text", defaultText, mullama.LoadOptions{Draft: model}},
	}
	if draft != "" {
		name := strings.ToLower(filepath.Base(draft)) + ", free text"
		cases = append(cases, draftCase{name, defaultText, mullama.LoadOptions{Draft: draft}})
	}
	return cases
}

// drafts runs the group and writes its result.
func drafts(cmd *cobra.Command, o options, draft string) (err error) {
	if o.Rounds < 1 || o.GenerateTokens < 2 || o.Threads < 1 {
		return errors.New("rounds and threads must be at least 1, and generate-tokens 2")
	}
	if draft != "" {
		if _, err := mullama.Inspect(draft); err != nil {
			return fmt.Errorf("--draft: %w", err)
		}
	}
	o.Slots, o.Context, o.PromptTokens = 1, o.GenerateTokens+len(repeatedText), 1
	o.Reps, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, defaultText
	p, err := newProbes(cmd, "draft", o)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(o.model)
	if err != nil {
		return err
	}
	runtime, err := mullama.Open(mullama.Options{LibraryDir: o.library})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	m := &drafting{probes: p, runtime: runtime, path: path,
		random: rand.New(rand.NewPCG(o.Seed, 3))}
	p.result.SameText = true
	err = p.rounds(func() error {
		for _, c := range draftCases(path, draft) {
			if err := m.turn(cmd.Context(), c); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !p.result.SameText {
		p.warn("drafts changed the text, so the two sides did different work")
	}
	return p.finish(cmd.OutOrStdout())
}

// drafting has a model answer with drafts and without.
type drafting struct {
	*probes
	runtime *mullama.Runtime
	path    string
	random  *rand.Rand
}

// drafted is an answer of one side.
type drafted struct {
	sum    string
	values map[string]float64
}

// turn measures both sides of a case, in a random order.
func (m *drafting) turn(ctx context.Context, c draftCase) error {
	sides := []mullama.LoadOptions{c.load, {}}
	got := make([]drafted, 2)
	for _, i := range m.random.Perm(2) {
		var err error
		if got[i], err = m.side(ctx, sides[i], c.text); err != nil {
			return err
		}
	}
	with, without := got[0], got[1]
	m.result.SameText = m.result.SameText && with.sum == without.sum
	m.add(c.name, with.values, map[string]float64{"tg": without.values["tg"]})
	return nil
}

// side loads the model, has it answer once to warm up, rests as llama.cpp's threads spin for a
// while after their work, and measures the next answer.
func (m *drafting) side(
	ctx context.Context, o mullama.LoadOptions, text string,
) (_ drafted, err error) {
	o.Slots, o.ContextSize, o.Threads, o.BatchThreads = 1, m.o.Context, m.o.Threads, m.o.Threads
	model, err := m.runtime.Load(ctx, m.path, &o)
	if err != nil {
		return drafted{}, err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	if _, err := m.answer(ctx, model, text); err != nil {
		return drafted{}, err
	}
	time.Sleep(calm)
	return m.answer(ctx, model, text)
}

func (m *drafting) answer(
	ctx context.Context, model *mullama.Model, text string,
) (drafted, error) {
	o := greedy(m.o.GenerateTokens)
	o.Sampling.IgnoreEOS = true
	stream, err := model.Generate(ctx, text, o)
	if err != nil {
		return drafted{}, err
	}
	got, err := stream.Collect()
	if err != nil {
		return drafted{}, err
	}
	s := got.Stats
	values := map[string]float64{"tg": float64(s.GeneratedTokens-1) / s.Decode.Seconds(),
		"drafted": float64(s.DraftedTokens)}
	if s.DraftedTokens > 0 {
		values["accepted_percent"] = 100 * float64(s.AcceptedTokens) / float64(s.DraftedTokens)
	}
	if n := s.Steps; n > 0 {
		values["tokens_step"] = float64(s.GeneratedTokens) / float64(n)
	}
	return drafted{sum: sumOf(slices.Clone(got.Tokens)), values: values}, nil
}

// draftStandings are answers with drafts beside those without.
func draftStandings(r *Result) []standing {
	rows := rowMap(r)
	var all []standing
	for _, name := range casesOf(r.Points) {
		row := rows[slug(name)+"_tg"]
		if row.Ratio == nil {
			continue
		}
		all = append(all, standing{what: "drafts: " + name + ", " + r.Model.File, where: where(r),
			other: "the same without drafts"}.of(row.Samples, row.BaselineSamples))
	}
	return all
}
