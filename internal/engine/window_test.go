package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/engine/scripted"
)

// TestPrefixesAreExactWhereModelsForget runs conversations that branch, are cancelled and fail, on
// models that lose what lies behind a sliding window, that keep a state alone, or that keep all.
// The scripted model checks at every token that all is there which a model would look at.
func TestPrefixesAreExactWhereModelsForget(t *testing.T) {
	cached := map[string]int{}
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 77))
		l := limits(2+random.IntN(10), 1+random.IntN(60), 200+random.IntN(500))
		cfg := scripted.Config{Limits: l, Fault: stumbles(random)}
		kind := []string{"window", "window", "state", "all"}[random.IntN(4)]
		switch kind {
		case "window":
			cfg.Limits.Window = 2 + random.IntN(60)
		case "state":
			cfg.Whole, cfg.Limits.Whole = true, true
		}
		if random.IntN(3) == 0 {
			cfg.Cells = l.Ctx / 2
		}
		t.Run(fmt.Sprintf("%d %s", seed, kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cached[kind] += converse(t, cfg, seed) })
		})
	}
	t.Logf("cached tokens: %v", cached)
	for _, kind := range []string{"window", "state", "all"} {
		if cached[kind] == 0 {
			t.Errorf("nothing was cached with %s", kind)
		}
	}
}

// stumbles makes steps slow, stop half-way and fail.
func stumbles(random *rand.Rand) func(*scripted.Plan) scripted.Fault {
	return func(p *scripted.Plan) scripted.Fault {
		f := scripted.Fault{
			Delay: time.Duration(random.IntN(3000)) * time.Microsecond,
			Kept:  random.IntN(len(p.Tokens) + 1),
		}
		switch random.IntN(100) {
		case 0, 1, 2:
			f.Err = engine.ErrCancelled
		case 3:
			f.Err = errBroken
		}
		return f
	}
}

// conversations are texts that any client may go on with.
type conversations struct {
	mu    sync.Mutex
	texts []string
}

func (c *conversations) pick(random *rand.Rand) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.texts[random.IntN(len(c.texts))]
	if random.IntN(3) == 0 {
		text = text[:1+random.IntN(len(text))]
	}
	return text
}

func (c *conversations) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts = append(c.texts, text)
}

// converse returns how many tokens were cached.
func converse(t *testing.T, cfg scripted.Config, seed uint64) int {
	e, model := start(t, cfg)
	all := &conversations{texts: []string{
		strings.Repeat("system ", 8), strings.Repeat("another ", 6),
	}}
	var group sync.WaitGroup
	for client := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(1000+client)))
			for range 12 {
				prompt := all.pick(random) + fmt.Sprintf("q%d %d", client, random.IntN(3))
				prompt = prompt[:min(len(prompt), cfg.Limits.Ctx/3)]
				all.add(prompt + askOnce(t, e, prompt, random))
			}
		})
	}
	group.Wait()
	synctest.Wait()
	stats := e.Stats()
	if got := model.Cached(); stats.CellsUsed != 0 || stats.CellsIdle != got {
		t.Errorf("the engine counts %d and %d idle cells, the model %d",
			stats.CellsUsed, stats.CellsIdle, got)
	}
	return stats.CachedTokens
}

// askOnce returns the answer, which is a start of the prompt.
func askOnce(t *testing.T, e *engine.Engine, prompt string, random *rand.Rand) string {
	s := submit(t, e, askFor(1+random.IntN(40), prompt))
	if random.IntN(6) == 0 {
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		s.Close()
	}
	r := read(t, s)
	// A state that is lost in most steps never gets to the end of its prompt.
	if r.err != nil && !expected(r.err) && !errors.Is(r.err, engine.ErrCancelled) {
		t.Errorf("got %v", &r)
	}
	if !strings.HasPrefix(prompt, r.text) {
		t.Errorf("got %q for %q", r.text, prompt)
	}
	return r.text
}
