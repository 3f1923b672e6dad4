package engine_test

import (
	"fmt"
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
				if most := engine.DefaultStepTime * 11 / 10; worst == 0 || worst > most {
					t.Errorf("a step took %v, want at most %v", worst, most)
				}
			})
		})
	}
}
