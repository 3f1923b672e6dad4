package mullama_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/testmodels"
)

// nearTie is how far apart the log probabilities of two tokens may be for which of them is the
// likelier to depend on how the prompt was cut into batches. llama.cpp's attention adds up in 32
// bits where a batch has 64 tokens and more, and in 16 where it has fewer. Gemma's log
// probabilities move by up to 0.23 between a prompt that is read whole and one that is read in two
// parts, in a context that has served nobody; the lead of one token over another moves by up to
// twice that.
const nearTie = 0.46

// TestReusedPrefixesGiveTheSameText compares greedy texts of a model that has served many
// conversations, which branch and are evicted, with those of one that has served nobody.
func TestReusedPrefixesGiveTheSameText(t *testing.T) {
	for _, tt := range []struct {
		name, layout string
		long         int // sentences of the longest conversations; two of them fill a context
	}{
		{"smollm2", "unified", 7}, {"gemma270", "unified", pastTheWindow},
		{"qwen05", "unified", 7}, {"smollm2", "split", 7},
	} {
		t.Run(tt.name+" "+tt.layout, func(t *testing.T) {
			rt := openRuntime(t)
			path := testmodels.Path(t, tt.name)
			warm := load(t, rt, path,
				mullama.LoadOptions{ContextSize: 68 * tt.long, Slots: 2, KVLayout: tt.layout})
			random := rand.New(rand.NewPCG(5, 6))
			texts := conversationTokens(t, warm, tt.long)
			cached, same, ties := 0, 0, 0
			for range 9 {
				prompt := texts[random.IntN(len(texts))]
				got := continueGreedily(t, warm, prompt)
				want := continueGreedily(t, fresh(t, rt, path), prompt)
				if want.Stats.CachedTokens != 0 {
					t.Fatal("the model to compare with has served somebody")
				}
				cached += got.Stats.CachedTokens
				if i := firstDifference(got.Tokens, want.Tokens); i < 0 {
					same++
				} else if isNearTie(want.Logprobs[i], got.Tokens[i]) {
					ties++
				} else {
					t.Errorf("after %d cached of %d tokens, token %d is %d, want %d: %+v",
						got.Stats.CachedTokens, len(prompt), i, got.Tokens[i], want.Tokens[i],
						want.Logprobs[i])
				}
				// The conversation goes on from here.
				texts = append(texts, slices.Concat(prompt, got.Tokens, texts[0][:20]))
			}
			t.Logf(
				"%d texts the same, %d up to a near tie; %d tokens were cached",
				same,
				ties,
				cached,
			)
			if cached == 0 || ties > 4 {
				t.Errorf("%d tokens were cached, %d near ties", cached, ties)
			}
		})
	}
}

// fresh loads a context that has served nobody; the weights are those that are loaded.
func fresh(t *testing.T, rt *mullama.Runtime, path string) *mullama.Model {
	t.Helper()
	return load(t, rt, path, mullama.LoadOptions{ContextSize: 1024, Slots: 1,
		CacheTokens: 1024 + len(t.Name()) + freshNumber()})
}

var freshNumbers int

// freshNumber makes the options of each load differ, so that none is shared.
func freshNumber() int {
	freshNumbers += 256
	return freshNumbers
}

func continueGreedily(t *testing.T, m *mullama.Model, prompt []mullama.Token) *mullama.Result {
	t.Helper()
	s, err := m.GenerateTokens(t.Context(), prompt, &mullama.GenerateOptions{
		Sampling: greedy(), MaxTokens: 16, TopLogprobs: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pastTheWindow sentences are longer than the window of Gemma's layers.
const pastTheWindow = 15

// conversationTokens are prompts that share their beginnings, the longest of so many sentences.
func conversationTokens(t *testing.T, m *mullama.Model, long int) [][]mullama.Token {
	t.Helper()
	base := "The history of the city begins long before its walls were built. Fishermen lived at " +
		"the mouth of the river, and traders came over the hills with salt and amber. "
	var all [][]mullama.Token
	for _, more := range []string{
		"", "In spring the market opened.", "In spring the ships came home.",
		base + "What happened then? ", base + base + base + "What happened then? ",
		strings.Repeat(base, long),
		strings.Repeat(base, long) + "And then? ",
	} {
		tokens, err := m.Tokenize(base+more, mullama.TokenizeOptions{AddSpecial: true})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tokens)
	}
	return all
}

func firstDifference(a, b []mullama.Token) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b)) - 1
	}
	return -1
}

// isNearTie reports whether token was almost as likely as the one that was picked.
func isNearTie(picked mullama.TokenLogprob, token mullama.Token) bool {
	return slices.ContainsFunc(picked.Top, func(top mullama.TopLogprob) bool {
		return top.Token == token && picked.Logprob-top.Logprob < nearTie
	})
}

// TestASeedRepeatsItsTextInASplitCache asks the same again and again while the cache fills with
// other conversations, which in a pool would move its cells.
func TestASeedRepeatsItsTextInASplitCache(t *testing.T) {
	rt := openRuntime(t)
	m := load(t, rt, testmodels.Path(t, "smollm2"),
		mullama.LoadOptions{ContextSize: 512, Slots: 4, KVLayout: "split"})
	texts := conversationTokens(t, m, 7)
	ask := func(prompt []mullama.Token, seed uint32) []mullama.Token {
		sampling := mullama.Sampling{Temperature: 1, Seed: &seed}
		s, err := m.GenerateTokens(t.Context(), prompt,
			&mullama.GenerateOptions{Sampling: &sampling, MaxTokens: 24})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Collect()
		if err != nil {
			t.Fatal(err)
		}
		return r.Tokens
	}
	want := ask(texts[2], 7)
	for i := range 8 {
		ask(texts[3+i%2], uint32(i))
		if got := ask(texts[2], 7); !slices.Equal(got, want) {
			t.Errorf("after %d other conversations: %v, want %v", i+1, got, want)
		}
	}
}
