package bench

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama"
)

func multiGPUCommand() *cobra.Command {
	var o options
	var splits []string
	cmd := &cobra.Command{
		Use:   "multi-gpu",
		Short: "Measure all GPUs beside one",
		Long: `Measure prompts and generation with the model on one GPU and on all of them, for each
way to split it. On a machine with fewer than two GPUs nothing is measured.`,
		Example: "  mullama bench multi-gpu --model llama-13b.gguf --split layer,tensor",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return multiGPU(cmd, o, splits) },
	}
	o.Rounds, o.PromptTokens, o.GenerateTokens = 3, 512, 128
	o.probeFlags(cmd)
	cmd.Flags().StringSliceVar(&splits, "split", []string{"layer", "tensor"},
		"how the GPUs share the model: layer, tensor, or row, which CUDA cannot do any more")
	return cmd
}

// multiGPU runs the group and writes its result.
func multiGPU(cmd *cobra.Command, o options, splits []string) error {
	if err := o.checkProbe(); err != nil {
		return err
	}
	gpus, err := readGPUs(o.library)
	if err != nil {
		return err
	}
	if len(gpus) < 2 {
		return notMeasured(cmd.OutOrStdout(), len(gpus))
	}
	p, err := newProbes(cmd, "multi-gpu", o)
	if err != nil {
		return err
	}
	if err := p.compared(); err != nil {
		return err
	}
	err = p.rounds(func() error {
		one := p.loadOptions()
		one.Devices, one.SplitMode = []string{gpus[0].Name}, "none"
		if err := p.onGPUs(cmd, "1 gpu", one); err != nil {
			return err
		}
		for _, split := range splits {
			all := p.loadOptions()
			all.SplitMode = split
			name := fmt.Sprintf("%d gpus, %s", len(gpus), split)
			if err := p.onGPUs(cmd, name, all); err != nil {
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

// notMeasured says why there is no result.
func notMeasured(out io.Writer, gpus int) error {
	plural := "s"
	if gpus == 1 {
		plural = ""
	}
	_, err := fmt.Fprintf(out, "not measured: %d GPU%s\n", gpus, plural)
	return err
}

// onGPUs measures both sides with the model on the GPUs that the options say.
func (p *probes) onGPUs(cmd *cobra.Command, name string, load mullama.LoadOptions) error {
	load.GPULayers = new(-1)
	got, err := p.probe(cmd.Context(), p.work(load))
	if err != nil {
		return err
	}
	mode := map[string]int{"none": 0, "layer": 1, "row": 2, "tensor": 3}[load.SplitMode]
	baseline, err := p.alone(cmd.Context(), fmt.Sprintf("split=%d", mode))
	if err != nil {
		return err
	}
	values := paces(got.Reps)
	got.memory(values)
	p.add("on "+name, values, baseline)
	return nil
}
