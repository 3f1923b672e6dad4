package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

const quantizeLong = `Write a model to a new file with its weights in another type.

TYPE is one of F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0,
IQ4_NL, IQ4_XS, MXFP4_MOE, Q3_K_L, Q3_K_M, Q3_K_S, IQ3_M, IQ3_S, IQ3_XS, IQ3_XXS, Q2_K, Q2_K_S,
IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS, IQ1_M, IQ1_S, TQ2_0, TQ1_0, Q2_0, Q1_0, and COPY, which changes no
weight and makes one file of a model in parts.

Q4_K_M is a good choice. Types of less than three bits need an importance matrix, and others gain
by one. The new file is there when all of it is written.`

const quantizeExample = `  mullama quantize model-f16.gguf model-q4.gguf Q4_K_M
  mullama quantize model-f16.gguf model-iq2.gguf IQ2_M --imatrix model.imatrix`

// quantizeCommand builds `mullama quantize`.
func (a *app) quantizeCommand() *cobra.Command {
	o := &mullama.QuantizeOptions{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "quantize FILE NEW-FILE TYPE",
		Short:   "Write a model with its weights in another type",
		Long:    quantizeLong,
		Example: quantizeExample,
		Args:    exactly(3, "a file, a new file and a type"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Type = args[2]
			return a.quantize(cmd.Context(), args[0], args[1], o, asJSON)
		},
	}
	set := cmd.Flags()
	set.StringVar(&o.Imatrix, "imatrix", "", "`FILE` with an importance matrix, of llama-imatrix")
	set.VarP(countFlag(&o.Threads), "threads", "t", "CPU threads (default: the cores)")
	set.BoolVar(&o.Requantize, "allow-requantize", false,
		"take a model that is quantised already, which costs quality")
	set.BoolVar(&o.Pure, "pure", false,
		"give all tensors the type, and those that matter most no better one")
	set.BoolVar(&o.LeaveOutput, "leave-output-tensor", false, "leave output.weight as it is")
	set.StringVar(&o.OutputType, "output-tensor-type", "", "`TYPE` of output.weight, as q8_0")
	set.StringVar(&o.EmbeddingType, "token-embedding-type", "",
		"`TYPE` of the table of tokens, as q8_0")
	defineJSON(cmd, &asJSON, "print JSON")
	return cmd
}

func (a *app) quantize(
	ctx context.Context, path, out string, o *mullama.QuantizeOptions, asJSON bool,
) error {
	engine, err := a.openEngine()
	if err != nil {
		return err
	}
	defer engine.Close()
	ctx, stop := a.interruptible(ctx)
	defer stop()
	bar := a.newProgressBar("quantising to " + o.Type)
	defer bar.finish()
	o.Progress = func(done, all int) { bar.update(float32(done) / float32(max(all, 1))) }
	if err := engine.Quantize(ctx, path, out, o); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		return err
	}
	bar.finish()
	before, err := os.Stat(path)
	if err != nil {
		return err
	}
	after, err := os.Stat(out)
	if err != nil {
		return err
	}
	if asJSON {
		return a.printJSON(struct {
			File   string `json:"file"`
			Type   string `json:"type"`
			Size   int64  `json:"size"`
			Before int64  `json:"size_before"`
		}{out, o.Type, after.Size(), before.Size()})
	}
	fmt.Fprintf(a.stdout, "%s: %s, from %s\n", out, humanize.Bytes(uint64(after.Size())),
		humanize.Bytes(uint64(before.Size())))
	return nil
}
