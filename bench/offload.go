package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// probeFlags declares what the groups that measure in fresh processes have in common. The values
// that o has are the defaults.
func (o *options) probeFlags(cmd *cobra.Command) {
	o.define(cmd)
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", max(1, o.Rounds), "turns of every case")
	f.IntVar(&o.Reps, "reps", 1, "repetitions in a process, after one that warms up")
	f.IntVar(&o.PromptTokens, "prompt-tokens", o.PromptTokens, "length of the prompt")
	f.IntVar(&o.GenerateTokens, "generate-tokens", o.GenerateTokens, "length of the answer")
	f.IntVar(&o.Context, "context", o.Context,
		"context size; 0: as the prompt and the answer need")
}

// checkProbe refuses numbers that leave nothing to measure, and completes the others.
func (o *options) checkProbe() error {
	if o.Rounds < 1 || o.Reps < 1 || o.PromptTokens < 1 || o.GenerateTokens < 2 || o.Threads < 1 {
		return errors.New("rounds, reps, prompt-tokens and threads must be at least 1, and " +
			"generate-tokens 2")
	}
	if o.Context == 0 {
		o.Context = o.PromptTokens + o.GenerateTokens + 64
	}
	if least := o.PromptTokens + o.GenerateTokens; o.Context < least {
		return fmt.Errorf("the context is %d tokens, but prompt and answer have %d: raise "+
			"--context", o.Context, least)
	}
	o.Slots, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, "x"
	return nil
}

func offloadCommand() *cobra.Command {
	var o options
	var layers []string
	cmd := &cobra.Command{
		Use:   "offload",
		Short: "Measure speed and GPU memory by the number of layers on the GPU",
		Long: `Measure prompts, generation and memory with some and with all layers on the GPU, each
beside a C program that has llama.cpp offload as many. Layers are numbers, all, or steps: none,
every fifth and all. Without a GPU there is one case, the CPU's.`,
		Example: "  mullama bench offload --model qwen2.5-7b.gguf --layers 0,10,20,all --rounds 1",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return offload(cmd, o, layers) },
	}
	o.Rounds, o.PromptTokens, o.GenerateTokens = 3, 512, 128
	o.probeFlags(cmd)
	cmd.Flags().StringSliceVar(&layers, "layers", []string{"steps"},
		"numbers of layers on the GPU, all, or steps")
	return cmd
}

// offload runs the group and writes its result.
func offload(cmd *cobra.Command, o options, words []string) error {
	if err := o.checkProbe(); err != nil {
		return err
	}
	info, err := mullama.Inspect(o.model)
	if err != nil {
		return err
	}
	layers, err := parseLayers(words, info.Layers)
	if err != nil {
		return err
	}
	p, err := newProbes(cmd, "offload", o)
	if err != nil {
		return err
	}
	if err := p.compared(); err != nil {
		return err
	}
	if len(p.result.Machine.GPUs) == 0 {
		layers = []int{0}
		p.warn("there is no GPU, so no layer was offloaded")
	}
	err = p.rounds(func() error {
		for _, n := range layers {
			if err := p.offloaded(cmd.Context(), n, info.Layers); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}

// offloaded measures both sides with n layers on the GPU.
func (p *probes) offloaded(ctx context.Context, n, layers int) error {
	load := p.loadOptions()
	load.GPULayers = &n
	got, err := p.probe(ctx, p.work(load))
	if err != nil {
		return err
	}
	baseline, err := p.alone(ctx, fmt.Sprintf("gpu_layers=%d", n))
	if err != nil {
		return err
	}
	values := paces(got.Reps)
	got.memory(values)
	name := fmt.Sprintf("layers %d", n)
	if n > layers {
		name = "layers all"
	}
	p.add(name, values, baseline)
	return nil
}

// parseLayers turns numbers, "all" and "steps" into numbers of layers. All are one more than the
// model says, for the output layer.
func parseLayers(words []string, layers int) ([]int, error) {
	var all []int
	for _, word := range words {
		switch word = strings.TrimSpace(word); word {
		case "all":
			all = append(all, layers+1)
		case "steps":
			for n := 0; n <= layers; n += 5 {
				all = append(all, n)
			}
			all = append(all, layers+1)
		default:
			n, err := strconv.Atoi(word)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("--layers has %q; use numbers from 0, all, or steps", word)
			}
			all = append(all, min(n, layers+1))
		}
	}
	if len(all) == 0 {
		return nil, errors.New("--layers is empty; use numbers from 0, all, or steps")
	}
	return all, nil
}
