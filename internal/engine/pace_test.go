package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// steady makes a step take 5 ms and 1 ms more for each token of a prompt. After the first steps,
// which teach the engine that, it tells note how long steps take that do both.
func steady(note func(time.Duration)) func(*scripted.Plan) scripted.Fault {
	return func(p *scripted.Plan) scripted.Fault {
		tokens := map[int32]int{}
		for _, token := range p.Tokens {
			tokens[token.Seq]++
		}
		took, rows := 5*time.Millisecond, 0
		for _, n := range tokens {
			if n == 1 {
				rows++
			} else {
				took += time.Duration(n) * time.Millisecond
			}
		}
		if p.Step > 30 && rows > 0 && rows < len(tokens) {
			note(took)
		}
		return scripted.Fault{Delay: took}
	}
}

// One request generates. A step may take twice as long for each prompt that waits, and four times
// at most.
func TestStepsKeepTheirTimeHoweverManyPromptsWait(t *testing.T) {
	for _, prompts := range []int{1, 4, 16, 30} {
		t.Run(fmt.Sprint(prompts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var worst time.Duration
				e, _ := start(t, scripted.Config{
					Limits: limits(64, 512, 40000),
					Fault:  steady(func(took time.Duration) { worst = max(worst, took) }),
				})
				reader := submit(t, e, askFor(600, strings.Repeat("generate this ", 45)))
				time.Sleep(time.Second) // its prompt is read, and it generates
				var waiting []*engine.Stream
				for i := range prompts {
					prompt := strings.Repeat(string(rune('A'+i)), 600)
					waiting = append(waiting, submit(t, e, askFor(1, prompt)))
				}
				for _, s := range waiting {
					read(t, s)
				}
				read(t, reader)
				most := engine.DefaultStepTime * time.Duration(min(2*prompts, 4)) * 11 / 10
				if worst == 0 || worst > most {
					t.Errorf("a step took %v, want at most %v", worst, most)
				}
			})
		})
	}
}

// Steps take 6 ms, 3 ms more for each row, 15 ms more if there are prompt tokens, 0.5 ms for each
// of those, 2 ms for each thousand cells that a token looks at; and all that 10 % more or less.
func TestPaceLearnsWhatStepsAreMadeOf(t *testing.T) {
	const limit, runs = 80 * time.Millisecond, 20
	cost := func(rows, tokens, reach int) float64 {
		ms := 6 + 3*float64(rows) + 0.5*float64(tokens) + 0.002*float64(reach)
		if tokens > 0 {
			ms += 15
		}
		return ms
	}
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 1))
		p := engine.NewPace(limit)
		learn := func(rows, tokens, reach int) {
			noise := 0.9 + 0.2*random.Float64()
			ms := cost(rows, tokens, reach) * noise
			p.Learn(time.Duration(ms*float64(time.Millisecond)), rows, tokens, reach)
		}
		learn(0, 400, engine.ReachOf(400, 0))
		for step := range 400 {
			rows := 2 + random.IntN(15)
			reach, tokens, depth := rows*random.IntN(500), 0, random.IntN(4000)
			alone := cost(rows, 0, reach)
			if random.IntN(2) == 0 {
				tokens = min(512, p.Fit(rows, reach, depth))
				reach += engine.ReachOf(tokens, depth)
			}
			learn(rows, tokens, reach)
			got, want := cost(rows, tokens, reach), max(80, 2*alone+15)
			if step > 100 && tokens > 0 && (got < 0.75*want || got > 1.25*want) {
				t.Errorf("seed %d, step %d: %d rows, %d tokens at %d take %.0f ms, want %.0f",
					seed, step, rows, tokens, depth, got, want)
			}
		}
	}
}

// One request generates while four prompts of 110 tokens come, each of which takes 115 ms.
// Sequences have cells of their own: each prompt is read in one step, in none of which anybody
// generates, and the one that does waits for at most four times DefaultStepTime, and a quarter
// more.
func TestPromptsOfSequencesWithTheirOwnCellsAreReadWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limits(6, 512, 4800)
		l.CtxPerSeq = 800
		var stalled, worst time.Duration
		mixed := 0
		fault := func(p *scripted.Plan) scripted.Fault {
			fault := steady(func(time.Duration) { mixed++ })(p)
			if len(p.Tokens) > 1 {
				stalled += fault.Delay
			} else {
				stalled = 0
			}
			if p.Step > 30 {
				worst = max(worst, stalled)
			}
			return fault
		}
		e, model := start(t, scripted.Config{Limits: l, Record: true, Fault: fault})
		reader := submit(t, e, askFor(200, strings.Repeat("generate this ", 30)))
		time.Sleep(time.Second)
		var waiting []*engine.Stream
		for i := range 4 {
			prompt := strings.Repeat(string(rune('A'+i)), 110)
			waiting = append(waiting, submit(t, e, askFor(1, prompt)))
		}
		for _, s := range append(waiting, reader) {
			read(t, s)
		}
		whole := strings.Count(shape(model.Plans()), ":110*")
		if whole != 4 || mixed > 0 || worst < 110*time.Millisecond ||
			worst > 5*engine.DefaultStepTime {
			t.Errorf("%d of 4 prompts were read whole, %d steps did both, and the reader waited %v",
				whole, mixed, worst)
		}
	})
}
