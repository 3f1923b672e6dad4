package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

// qualityText is what the perplexity is taken of.
//
//go:embed quality.txt
var qualityText string

// qualityPrompts are continued with every type of the KV cache.
var qualityPrompts = []string{
	"The history of the printing press begins with",
	"To bake a simple loaf of bread, you first",
	"def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
	"Dear Sir or Madam, I am writing to complain about",
	"The three most important properties of water are",
	"Once upon a time, in a small village by the sea, there lived a",
	"Question: Why is the sky blue? Answer:",
	"In 1969, the first people walked on the moon. Since then,",
}

func kvQualityCommand() *cobra.Command {
	var o kvOptions
	cmd := &cobra.Command{
		Use:   "kv-quality",
		Short: "Measure what smaller types of the KV cache change in the text",
		Long: `Measure what types of the KV cache change: 8 prompts are continued greedily with each
type and compared with f16, token by token; and the perplexity of a text is computed by llama.cpp
alone. Speed plays no part, so the machine need not be quiet.`,
		Example: "  mullama bench kv-quality --model smollm2.gguf --types q8_0,q8_0/q4_0",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return kvQuality(cmd, o) },
	}
	o.define(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&o.types, "types", []string{
		"bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "q8_0/q4_0", "q4_0/q8_0",
	}, "types of the cache, or of keys and values as in q8_0/q4_0")
	f.IntVar(&o.GenerateTokens, "generate-tokens", 128, "length of the answers")
	return cmd
}

// kvQuality runs the group and writes its result.
func kvQuality(cmd *cobra.Command, o kvOptions) error {
	if o.GenerateTokens < 1 || o.Threads < 1 {
		return errors.New("generate-tokens and threads must be at least 1")
	}
	pairs, err := parseKV(o.types)
	if err != nil {
		return err
	}
	o.Rounds, o.Reps, o.PromptTokens, o.Context = 1, 1, len(qualityPrompts), 2048
	o.Slots, o.ColdStarts, o.MaxForeign, o.Text = 1, 1, 1, "x"
	p, err := newProbes(cmd, "kv-quality", o.options)
	if err != nil {
		return err
	}
	if err := p.compared(); err != nil {
		return err
	}
	f16 := kvPair{"f16", "f16"}
	want, err := p.texts(cmd.Context(), f16)
	if err != nil {
		return err
	}
	usual, err := p.perplexity(cmd.Context(), f16)
	if err != nil {
		return err
	}
	pairs = slices.DeleteFunc(pairs, func(q kvPair) bool { return q == f16 })
	err = p.rounds(func() error {
		for _, pair := range append([]kvPair{f16}, pairs...) { // f16 again: is it repeatable?
			got, err := p.texts(cmd.Context(), pair)
			if err != nil {
				return err
			}
			values := agreement(want, got)
			if values["perplexity"], err = p.perplexity(cmd.Context(), pair); err != nil {
				return err
			}
			values["perplexity_more_percent"] = 100 * (values["perplexity"]/usual - 1)
			p.add(pair.String(), values, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}

// texts continues the prompts with types of the KV cache, one after the other.
func (p *probes) texts(ctx context.Context, pair kvPair) (texts [][]mullama.Token, err error) {
	runtime, err := mullama.Open(mullama.Options{LibraryDir: p.o.library})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	load := p.loadOptions()
	load.KVTypeK, load.KVTypeV = pair.k, pair.v
	model, err := runtime.Load(ctx, p.o.model, &load)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	o := greedy(p.o.GenerateTokens)
	o.Sampling.IgnoreEOS = true
	for _, prompt := range qualityPrompts {
		stream, err := model.Generate(ctx, prompt, o)
		if err != nil {
			return nil, err
		}
		got, err := stream.Collect()
		if err != nil {
			return nil, err
		}
		texts = append(texts, got.Tokens)
	}
	return texts, nil
}

// agreement compares texts token by token.
func agreement(want, got [][]mullama.Token) map[string]float64 {
	var first []float64
	same, all, whole := 0, 0, 0
	for i := range want {
		differs := -1
		for at, token := range want[i] {
			all++
			switch {
			case at < len(got[i]) && got[i][at] == token:
				same++
			case differs < 0:
				differs = at
			}
		}
		if differs < 0 {
			differs = len(want[i])
			whole++
		}
		first = append(first, float64(differs))
	}
	return map[string]float64{
		"same_percent": 100 * float64(same) / float64(all), "same_texts": float64(whole),
		"first_difference": median(first),
	}
}

// perplexity has llama.cpp alone read the text.
func (p *probes) perplexity(ctx context.Context, pair kvPair) (float64, error) {
	args := append(slices.Clone(p.baseline[1:]), "perplexity", p.o.model, qualityText,
		fmt.Sprintf("threads=%d", p.o.Threads), fmt.Sprintf("ctx=%d", p.o.Context), "batch=256",
		fmt.Sprintf("kv_k=%d", kvTypes[pair.k]), fmt.Sprintf("kv_v=%d", kvTypes[pair.v]))
	cmd := exec.CommandContext(ctx, p.baseline[0], args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, stageError(p.baseline, "perplexity", err, stderr.String())
	}
	var line struct {
		Perplexity float64 `json:"perplexity"`
	}
	if err := json.Unmarshal(out, &line); err != nil {
		return 0, fmt.Errorf("perplexity of %s: %w", p.baseline[0], err)
	}
	return line.Perplexity, nil
}
