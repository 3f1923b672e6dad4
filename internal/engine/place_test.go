package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// split are the limits of a model whose sequences have cells of their own.
func split(sequences, ubatch, each int) engine.Limits {
	l := limits(sequences, ubatch, sequences*each)
	l.CtxPerSeq = each
	return l
}

// conversation is the prompt of one that nobody else has.
func conversation(i int) string { return strings.Repeat(string(rune('a'+i)), 300) }

// gaps counts the steps whose sequences do not follow one another.
func gaps(plans []scripted.Plan) (n int) {
	for _, p := range plans {
		last := p.Tokens[0].Seq
		for _, token := range p.Tokens {
			if token.Seq != last && token.Seq != last+1 {
				n++
				break
			}
			last = token.Seq
		}
	}
	return n
}

func TestRequestsWithCellsOfTheirOwnRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := start(t, scripted.Config{Limits: split(8, 64, 512), Fault: slow, Record: true})
		for i := range 8 { // each leaves its conversation in another sequence
			read(t, submit(t, e, askFor(2, conversation(i))))
		}
		before := len(model.Plans())
		var streams []*engine.Stream
		for _, i := range []int{6, 1, 4, 20} { // the last one is new
			streams = append(streams, submit(t, e, askFor(20, conversation(i)+"go on")))
		}
		for i, s := range streams {
			r := read(t, s)
			want := 301 // with the token that was sampled first
			if i == 3 {
				want = 0
			}
			if n := r.last.Counters.CachedTokens; n < want-1 || n > want {
				t.Errorf("request %d: %d tokens were cached, want %d", i, n, want)
			}
		}
		if n := gaps(model.Plans()[before:]); n > 0 {
			t.Errorf("%d steps had gaps", n)
		}
	})
}

// A prompt that the cache has already goes apart from one that is new, so that llama.cpp computes
// neither of them alone.
func TestAPromptThatIsCachedGoesApartFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := start(t, scripted.Config{Limits: split(8, 2048, 512), Fault: slow,
			Record: true})
		for i := range 2 {
			read(t, submit(t, e, askFor(2, conversation(i))))
		}
		other := submit(t, e, askFor(20, "another"))
		time.Sleep(tick / 2) // its step goes on
		streams := []*engine.Stream{other}
		for _, i := range []int{7, 0, 6, 1} {
			streams = append(streams, submit(t, e, askFor(5, conversation(i))))
		}
		for _, s := range streams {
			read(t, s)
		}
		for _, p := range model.Plans() {
			of := map[int32]int{}
			for _, token := range p.Tokens {
				of[token.Seq]++
			}
			least, most := len(p.Tokens), 0
			for _, n := range of {
				least, most = min(least, n), max(most, n)
			}
			if least == 1 && most > 1 {
				t.Errorf("a step has %d tokens of one sequence and one of another", most)
			}
		}
	})
}

func TestAPrefixInTheWayMovesAndIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := start(t, scripted.Config{Limits: split(6, 64, 512), Fault: slow})
		for i := range 4 {
			read(t, submit(t, e, askFor(2, conversation(i))))
		}
		a, b := submit(t, e, askFor(9, conversation(0))), submit(t, e, askFor(9, conversation(3)))
		read(t, a)
		read(t, b)
		for _, i := range slices.Backward([]int{0, 1, 2, 3}) {
			r := read(t, submit(t, e, askFor(2, conversation(i))))
			expect(t, fmt.Sprint("cached of conversation ", i), r.last.Counters.CachedTokens, 299)
		}
	})
}

// copying counts the copies of sequences, each of which takes a real model time before a step.
type copying struct {
	*scripted.Model
	copies int
}

func (c *copying) Copy(src, dst, n int32) {
	c.copies++
	c.Model.Copy(src, dst, n)
}

// startCopying runs an engine whose sequences have cells of their own.
func startCopying(t *testing.T, l engine.Limits) (*engine.Engine, *copying) {
	model := &copying{Model: scripted.New(scripted.Config{Limits: l, Script: scripted.Echo,
		Fault: slow})}
	e := engine.New(model, engine.Config{})
	t.Cleanup(func() {
		e.Close()
		expect(t, "violations", fmt.Sprint(model.Violations()), "[]")
	})
	return e, model
}

// Prompts that come together and have nothing in common with those before take the places of
// prefixes that are as good as the others.
func TestABurstOfPromptsMovesNoPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := startCopying(t, split(16, 2048, 320))
		number := 0
		for _, width := range []int{16, 1, 2, 2, 8, 8, 16, 16, 4, 8, 8, 1, 12, 12, 8} {
			var streams []*engine.Stream
			for range width {
				number++
				prompt := strings.Repeat(fmt.Sprintf("%d, ", number), 40)
				streams = append(streams, submit(t, e, askFor(100, prompt)))
			}
			for _, s := range streams {
				read(t, s)
			}
		}
		expect(t, "copies", model.copies, 0)
	})
}

func TestAPrefixInTheWayTakesThePlaceOfAnOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, model := startCopying(t, split(4, 64, 512))
		for i := range 4 {
			read(t, submit(t, e, askFor(2, conversation(i))))
		}
		for range 10 {
			for i := range 3 {
				read(t, submit(t, e, askFor(2, conversation(i))))
			}
		}
		a, b := submit(t, e, askFor(9, conversation(1))), submit(t, e, askFor(9, conversation(9)))
		read(t, a)
		read(t, b)
		expect(t, "copies", model.copies, 1)
		for i := range 3 {
			r := read(t, submit(t, e, askFor(2, conversation(i))))
			expect(t, fmt.Sprint("cached of conversation ", i), r.last.Counters.CachedTokens, 299)
		}
	})
}
