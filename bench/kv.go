package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// kvTypes are the types of a KV cache, and the numbers that ggml has for them.
var kvTypes = map[string]int{
	"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "iq4_nl": 20,
	"bf16": 30,
}

// kvPair are the types of keys and values.
type kvPair struct{ k, v string }

func (p kvPair) String() string {
	if p.k == p.v {
		return p.k
	}
	return p.k + "/" + p.v
}

// parseKV turns words such as "q8_0" and "q8_0/q4_0" into types of keys and values.
func parseKV(words []string) ([]kvPair, error) {
	var pairs []kvPair
	for _, word := range words {
		k, v, two := strings.Cut(strings.TrimSpace(word), "/")
		if !two {
			v = k
		}
		for _, name := range []string{k, v} {
			if _, known := kvTypes[name]; !known {
				return nil, fmt.Errorf("--types has %q; use f32, f16, bf16, q8_0, q5_1, q5_0, "+
					"q4_1, q4_0 or iq4_nl, or two of them as in q8_0/q4_0", word)
			}
		}
		pairs = append(pairs, kvPair{k, v})
	}
	if len(pairs) == 0 {
		return nil, errors.New("--types is empty; name at least one type of the KV cache")
	}
	return pairs, nil
}

// kvOptions are the flags of bench kv.
type kvOptions struct {
	options
	types    []string
	contexts []int
}

func kvCommand() *cobra.Command {
	var o kvOptions
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Measure the KV cache's memory and speed by context size and type",
		Long: `Measure what a KV cache takes for each context size and type: as llama.cpp counts it,
and by the memory that is gone when the context has been made and used, on GPUs if there are any.`,
		Example: "  mullama bench kv --model qwen2.5-7b.gguf --contexts 2048,16384",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return kvUse(cmd, o) },
	}
	o.PromptTokens, o.GenerateTokens = 512, 32
	o.probeFlags(cmd)
	_ = cmd.Flags().MarkHidden("context") // which is given by --contexts
	f := cmd.Flags()
	f.StringSliceVar(&o.types, "types", []string{"f16", "q8_0", "q4_0"},
		"types of the cache, or of keys and values as in q8_0/q4_0")
	f.IntSliceVar(&o.contexts, "contexts", []int{2048, 4096, 8192, 16384}, "sizes of the context")
	return cmd
}

// kvUse runs the group and writes its result.
func kvUse(cmd *cobra.Command, o kvOptions) error {
	if err := o.checkProbe(); err != nil {
		return err
	}
	pairs, err := parseKV(o.types)
	if err != nil {
		return err
	}
	if len(o.contexts) == 0 || slices.Min(o.contexts) < o.Context {
		return fmt.Errorf("--contexts are %v; prompt and answer need at least %d tokens",
			o.contexts, o.Context)
	}
	p, err := newProbes(cmd, "kv", o.options)
	if err != nil {
		return err
	}
	err = p.rounds(func() error {
		for _, size := range o.contexts {
			for _, pair := range pairs {
				if err := p.cache(cmd.Context(), size, pair); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}

// cache measures a context with such a KV cache, beside a small one that has the weights already.
func (p *probes) cache(ctx context.Context, size int, pair kvPair) error {
	load := p.loadOptions()
	load.ContextSize, load.KVTypeK, load.KVTypeV = size, pair.k, pair.v
	w := p.work(load)
	w.Second = true
	got, err := p.probe(ctx, w)
	if err != nil {
		return err
	}
	values := paces(got.Reps)
	values["measured_mb"] = float64(got.Context) / 1e6
	for _, d := range got.Plan.Devices {
		values["cache_mb"] += float64(d.Cache) / 1e6
		values["compute_mb"] += float64(d.Compute) / 1e6
	}
	p.add(fmt.Sprintf("%s, %d tokens", pair, size), values, nil)
	return nil
}
