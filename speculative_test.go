package mullama_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// loadDrafted loads a model with one that drafts for it, whether that pays or not.
func loadDrafted(
	t *testing.T, rt *mullama.Runtime, path string, o mullama.LoadOptions,
) *mullama.Model {
	t.Helper()
	mullama.DraftAlways(&o)
	return load(t, rt, path, o)
}

// draftedCalls are calls of each kind. Those of a kind that sample are three, for a text may part
// where a choice lies on the border of two tokens: a step of several tokens rounds otherwise than
// one of one.
func draftedCalls() map[string][]mullama.GenerateOptions {
	limited := func(s *mullama.Sampling) mullama.GenerateOptions {
		return mullama.GenerateOptions{Sampling: s, MaxTokens: 40}
	}
	constrained, described, probable := limited(random(3)), limited(random(4)), limited(greedy())
	constrained.Grammar = `root ::= ("yes " | "no " | "perhaps ")+ "!"`
	described.JSONSchema = `{"type": "array", "items": {"enum": ["a", "b", 7]}}`
	probable.Logprobs, probable.TopLogprobs = true, 3
	calls := map[string][]mullama.GenerateOptions{"greedy": {limited(greedy())},
		"grammar": {constrained}, "schema": {described}, "probabilities": {probable}}
	for seed := range uint32(3) {
		penalised := random(seed)
		penalised.RepeatPenalty, penalised.RepeatLastN, penalised.PresencePenalty = 1.3, 64, 0.5
		calls["seeded"] = append(calls["seeded"], limited(random(seed)))
		calls["penalised"] = append(calls["penalised"], limited(penalised))
	}
	return calls
}

func TestDraftsChangeNoText(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	plain := load(t, rt, path, mullama.LoadOptions{Slots: 1})
	for name, load := range map[string]mullama.LoadOptions{
		"its twin":   {Draft: path, DraftTokens: 5},
		"a stranger": {Draft: tinyFile(t, synth.Options{Seed: 9})},
		"a lookup":   {DraftType: "ngram-simple"},
	} {
		for _, slots := range []int{1, 4} {
			load.Slots = slots
			drafted := loadDrafted(t, rt, path, load)
			for what, calls := range draftedCalls() {
				t.Run(fmt.Sprintf("%s/%s/%d", what, name, slots), func(t *testing.T) {
					var other []string
					for _, o := range calls {
						want := generate(t, plain, "once upon a time", o)
						got := generate(t, drafted, "once upon a time", o)
						if !sameAnswer(got, want) {
							other = append(other, fmt.Sprintf("got %q %s, want %q %s", got.Text,
								got.FinishReason, want.Text, want.FinishReason))
						}
						checkDrafts(t, got.Stats, load.Draft != "",
							name == "its twin" && what == "greedy")
					}
					if len(other) > len(calls)/3 {
						t.Errorf("%d of %d texts: %s", len(other), len(calls),
							strings.Join(other, "\n"))
					}
				})
			}
		}
	}
}

func sameAnswer(a, b *mullama.Result) bool {
	return a.Text == b.Text && slices.Equal(a.Tokens, b.Tokens) &&
		a.FinishReason == b.FinishReason && len(a.Logprobs) == len(b.Logprobs)
}

// checkDrafts checks how many tokens were drafted and accepted, nearly all by a model's twin.
func checkDrafts(t *testing.T, s mullama.Stats, byModel, byTwin bool) {
	t.Helper()
	if s.DraftedTokens == 0 && byModel || s.AcceptedTokens > s.DraftedTokens ||
		byTwin && s.AcceptedTokens <= s.DraftedTokens*9/10 {
		t.Errorf("%d of %d drafts accepted", s.AcceptedTokens, s.DraftedTokens)
	}
}

func TestDraftsOfARealModel(t *testing.T) {
	rt := openRuntime(t)
	path := testmodels.Path(t, "smollm2")
	plain := load(t, rt, path, mullama.LoadOptions{Slots: 1})
	drafted := loadDrafted(t, rt, path, mullama.LoadOptions{Slots: 2, Draft: path})
	var calls sync.WaitGroup
	for name, s := range map[string]*mullama.Sampling{"greedy": greedy(), "seeded": random(5)} {
		o := mullama.GenerateOptions{Sampling: s, MaxTokens: 48}
		const prompt = "The three largest cities of France are"
		want := generate(t, plain, prompt, o)
		calls.Go(func() {
			stream, err := drafted.Generate(t.Context(), prompt, &o)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := stream.Collect()
			if err != nil || got.Text != want.Text {
				t.Errorf("%s, %v: got %q\nwant %q", name, err, got.Text, want.Text)
				return
			}
			s := got.Stats
			t.Logf("%s: %d of %d drafts accepted", name, s.AcceptedTokens, s.DraftedTokens)
			if name == "greedy" && s.AcceptedTokens < s.DraftedTokens*9/10 {
				t.Errorf("of %d drafts %d were accepted", s.DraftedTokens, s.AcceptedTokens)
			}
		})
	}
	calls.Wait()
	if s := drafted.EngineStats(); s.Drafted == 0 || s.DraftsPaused {
		t.Errorf("stats %+v", s)
	}
}

func TestModelsThatCannotDraft(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	keys := func(name string, value any) string {
		return tinyFile(t, synth.Options{Keys: map[string]any{name: value}})
	}
	other := keys("tokenizer.ggml.model", "gpt2")
	ends := keys("tokenizer.ggml.add_eos_token", true)
	for name, tt := range map[string]struct {
		o     mullama.LoadOptions
		kind  error
		words []string
	}{
		"no file": {mullama.LoadOptions{Draft: "./none.gguf"}, mullama.ErrNotFound,
			[]string{"none.gguf"}},
		"no name": {mullama.LoadOptions{Draft: "none:1b"}, mullama.ErrNotFound,
			[]string{"find the draft model", "none:1b"}},
		"other words": {mullama.LoadOptions{Draft: other}, mullama.ErrUnsupported,
			[]string{path, other, "cannot draft for it: its vocabulary is of the kind"}},
		"another end": {mullama.LoadOptions{Draft: ends}, mullama.ErrUnsupported,
			[]string{path, ends, "cannot draft for it: their texts end with different tokens"}},
		"another type": {mullama.LoadOptions{DraftType: "eagle"}, mullama.ErrInvalidOption,
			[]string{`draft type is "eagle"; use one of draft-simple, ngram-simple`}},
		"too many": {mullama.LoadOptions{Draft: path, DraftTokens: 64}, mullama.ErrInvalidOption,
			[]string{"draft tokens are 64; use -1 to 63"}},
		"improbable": {mullama.LoadOptions{Draft: path, DraftProbability: 1.5},
			mullama.ErrInvalidOption, []string{"draft tokens is 1.5; use 0 to 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rt.Load(t.Context(), path, &tt.o)
			wantKind(t, err, tt.kind, tt.words...)
		})
	}
}

func TestThePlanCountsTheDraftModel(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{})
	o := mullama.LoadOptions{Slots: 1, ContextSize: 512}
	alone := load(t, rt, path, o).Plan()
	o.Draft = tinyFile(t, synth.Options{Seed: 3})
	planned, err := rt.Plan(path, &o)
	if err != nil {
		t.Fatal(err)
	}
	loaded := load(t, rt, path, o).Plan()
	all, _ := loaded.Size()
	before, _ := alone.Size()
	if loaded.Draft == 0 || all < before+loaded.Draft*9/10 {
		t.Errorf("%d bytes with a draft model of %d, %d without", all, loaded.Draft, before)
	}
	size, _ := planned.Size()
	if planned.Draft < loaded.Draft*9/10 || size < all*9/10 || size > all*11/10 {
		t.Errorf("planned %d and %d, loaded %d and %d", size, planned.Draft, all, loaded.Draft)
	}
	o.DraftTokens = mullama.NoDraft
	if plan := load(t, rt, path, o).Plan(); plan.Draft != 0 {
		t.Errorf("%v without drafts", plan)
	}
}
