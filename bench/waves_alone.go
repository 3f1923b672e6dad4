package bench

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
)

// alone is llama.cpp alone in a process that computes a wave whenever it is told to.
type alone struct {
	*worker
	header Header
}

// startAlone starts mullama-oracle for waves of a model.
func startAlone(ctx context.Context, p program, model string, options ...string) (*alone, error) {
	args := append(slices.Clone(p[1:]), "waves", model, "x")
	cmd := exec.CommandContext(ctx, p[0], append(args, options...)...)
	a := &alone{}
	var err error
	a.worker, err = startWorker("the baseline", cmd, &a.header)
	return a, err
}

// wave has it compute so many streams at once, and choose tokens from the logits or not.
func (a *alone) wave(streams int, sample bool) (Wave, error) {
	var rep struct {
		Generated int     `json:"generated"`
		Prompt    float64 `json:"prompt_s"`
		Generate  float64 `json:"generate_s"`
	}
	order := fmt.Appendf(nil, "%d %d", streams, map[bool]int{true: 1}[sample])
	if err := a.order(order, &rep); err != nil {
		return Wave{}, err
	}
	side := "baseline"
	if !sample {
		side = "unsampled"
	}
	w := Wave{
		Streams: streams, Side: side, Tokens: streams * rep.Generated,
		Seconds: rep.Prompt + rep.Generate, PromptSeconds: rep.Prompt,
		GenerateSeconds: rep.Generate,
	}
	if rep.Generated > 1 {
		w.Decode = float64(streams*(rep.Generated-1)) / rep.Generate
	}
	return w, nil
}
