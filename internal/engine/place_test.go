package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

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
