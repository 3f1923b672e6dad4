package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

const (
	alphabet = "the quick brown fox jumps over the lazy dog "
	twice    = alphabet + alphabet
)

func TestAPromptThatContinuesAConversationIsNotReadAgain(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(3, 64, 400)})
	first := read(t, submit(t, e, askFor(8, twice)))
	expect(t, "cached at first", first.last.Counters.CachedTokens, 0)
	next := twice + first.text + " and then?"
	second := read(t, submit(t, e, askFor(4, next)))
	// The last token of the answer was sampled and never decoded.
	expect(t, "cached then", second.last.Counters.CachedTokens, len(twice)+7)
	expect(t, "text", second.text, next[:4])
	branch := read(t, submit(t, e, askFor(4, alphabet+"something else entirely")))
	expect(t, "cached of a branch", branch.last.Counters.CachedTokens, len(alphabet))
	expect(t, "cached in all", e.Stats().CachedTokens, len(twice)+7+len(alphabet))
}

func TestAFreshRequestReadsAllOfItsPrompt(t *testing.T) {
	for name, l := range map[string]engine.Limits{
		"a pool": limits(3, 64, 400), "parts": split(3, 64, 200),
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := start(t, scripted.Config{Limits: l})
			first := read(t, submit(t, e, askFor(8, twice)))
			request := askFor(8, twice)
			request.Fresh = true
			again := read(t, submit(t, e, request))
			expect(t, "cached", again.last.Counters.CachedTokens, 0)
			expect(t, "text", again.text, first.text)
			request.Fresh = false
			third := read(t, submit(t, e, request))
			expect(t, "cached then", third.last.Counters.CachedTokens, len(twice)-1)
		})
	}
}

func TestTheSamePromptIsReadOnceForAllWhoAskAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(6, 16, 2000), Fault: slow})
		var streams []*engine.Stream
		for range 5 {
			streams = append(streams, submit(t, e, askFor(6, twice)))
		}
		for i, s := range streams {
			r := read(t, s)
			want := len(twice) - 1
			if i == 0 {
				want = 0
			}
			expect(t, fmt.Sprintf("cached tokens of request %d", i),
				r.last.Counters.CachedTokens, want)
			expect(t, "text", r.text, twice[:6])
		}
		if n := e.Stats().DecodedTokens; n > len(twice)+5*6+5 {
			t.Errorf("%d tokens were decoded for 5 requests of one prompt", n)
		}
	})
}

func TestModelsThatKeepAStateReuseWholePromptsOnly(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: whole(limits(4, 64, 2000)), Whole: true})
	read(t, submit(t, e, askFor(8, twice)))
	again := read(t, submit(t, e, askFor(8, twice)))
	expect(t, "cached of the same prompt", again.last.Counters.CachedTokens, len(twice)-1)
	longer := read(t, submit(t, e, askFor(8, twice+"and more")))
	expect(t, "cached of a longer one", longer.last.Counters.CachedTokens, len(twice)-1)
	branch := read(t, submit(t, e, askFor(8, alphabet+"something else")))
	expect(t, "cached of a branch", branch.last.Counters.CachedTokens, 0)
}

func whole(l engine.Limits) engine.Limits {
	l.Whole = true
	return l
}

func TestIdlePrefixesGiveTheirCellsToRequests(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(8, 64, 200)})
	for i := range 10 {
		prompt := strings.Repeat(string(rune('a'+i)), 150)
		r := read(t, submit(t, e, askFor(10, prompt)))
		if r.err != nil || r.text != prompt[:10] {
			t.Errorf("request %d: %v", i, &r)
		}
	}
	if s := e.Stats(); s.CellsIdle == 0 || s.CellsIdle > s.Cells || s.Requeued > 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestALongPromptIsNotStarvedByShortOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: limits(4, 16, 4000), Fault: slow})
		long := submit(t, e, askFor(1, strings.Repeat("l", 300)))
		var short sync.WaitGroup
		for i := range 3 {
			short.Go(func() {
				for n := range 60 {
					prompt := fmt.Sprintf("%d %d %s", i, n, strings.Repeat("s", 14))
					read(t, submit(t, e, askFor(1, prompt)))
				}
			})
		}
		r := read(t, long)
		if d := r.last.Counters.Prefill; d > 100*tick {
			t.Errorf("the long prompt took %v beside short ones", d)
		}
		short.Wait()
	})
}

// TestReusedPrefixesAreRightInRandomSchedules relies on the scripted model, which compares all that
// the cache holds with the prompt at every token.
func TestReusedPrefixesAreRightInRandomSchedules(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 9))
		l := limits(1+random.IntN(10), 1+random.IntN(40), 150+random.IntN(400))
		cfg := scripted.Config{Limits: l, Whole: random.IntN(3) == 0}
		cfg.Limits.Whole = cfg.Whole
		size := 1
		if random.IntN(3) == 0 { // cells for each sequence, and prompts that are worth a move
			size, cfg.Limits.CtxPerSeq = 4, 700
			cfg.Limits.Ctx = cfg.Limits.CtxPerSeq * cfg.Limits.Sequences
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { reuseRandomly(t, cfg, random, size) })
	}
}

func reuseRandomly(t *testing.T, cfg scripted.Config, random *rand.Rand, size int) {
	e, _ := start(t, cfg)
	var bases []string
	for range 4 {
		base := strings.Repeat(string(rune('a'+random.IntN(3))), size*(10+random.IntN(60)))
		bases = append(bases, base)
		bases = append(bases, base+strings.Repeat("z", random.IntN(30)))
	}
	var all sync.WaitGroup
	for range 30 {
		prompt := bases[random.IntN(len(bases))] + strings.Repeat("t", random.IntN(40))
		n, leave := 1+random.IntN(30), random.IntN(6) == 0
		all.Go(func() {
			s := submit(t, e, askFor(n, prompt))
			if leave {
				s.Close()
			}
			if r := read(t, s); !leave && (r.err != nil || r.text != prompt[:min(n, len(prompt))]) {
				t.Errorf("prompt of %d: %v", len(prompt), &r)
			}
		})
		if random.IntN(3) == 0 {
			all.Wait()
		}
	}
	all.Wait()
}

func TestAFullContextGoesOnWhenAsked(t *testing.T) {
	whole := strings.Repeat("abcdefg", 20)
	long := func([]engine.Token, engine.Sampling) []scripted.Piece {
		return scripted.Echo(scripted.Prompt(whole), engine.Sampling{})
	}
	e, _ := start(t, scripted.Config{Limits: limits(4, 16, 40), Script: long, Shifts: true})
	req := ask("0123456789")
	got := read(t, submit(t, e, req))
	expect(t, "without: finish", got.last.Finish, engine.FinishLength)
	expect(t, "without: tokens", len(got.tokens), 31)
	req.Shift, req.Keep = true, 4
	got = read(t, submit(t, e, req))
	expect(t, "finish", got.last.Finish, engine.FinishStop)
	expect(t, "text", got.text, whole)
	if n := got.last.Counters.ShiftedTokens; n < 110 || n > 140 {
		t.Errorf("%d tokens were dropped", n)
	}
}

func TestIdlePrefixesHoldAShareOfTheCache(t *testing.T) {
	e, _ := start(t, scripted.Config{Limits: limits(20, 512, 16000)})
	for i := range 12 {
		read(t, submit(t, e, askFor(2, strings.Repeat(string(rune('a'+i)), 400))))
	}
	if n := e.Stats().CellsIdle; n < 1600 || n > 2000 {
		t.Errorf("idle prefixes hold %d cells, want at most an eighth of 16000", n)
	}
	long := strings.Repeat("z", 4000)
	read(t, submit(t, e, askFor(2, long)))
	again := read(t, submit(t, e, askFor(2, long)))
	expect(t, "cached of the conversation that goes on", again.last.Counters.CachedTokens, 3999)
}
