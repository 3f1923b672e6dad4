package bench

import (
	"github.com/spf13/cobra"
)

func memoryCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "memory",
		Short: "Measure the memory of a loaded model, on the GPU and on the CPU",
		Long: `Measure the most memory of a process that loads the model and answers a prompt: with
all layers on the GPU, if there is one, and on the CPU alone. Beside it is what llama.cpp counts:
weights, KV cache and buffers.`,
		Example: "  mullama bench memory --model llama-1b.gguf --context 4096",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return memoryUse(cmd, o) },
	}
	o.PromptTokens, o.GenerateTokens, o.Context = 512, 32, 4096
	o.probeFlags(cmd)
	return cmd
}

// memoryUse runs the group and writes its result.
func memoryUse(cmd *cobra.Command, o options) error {
	if err := o.checkProbe(); err != nil {
		return err
	}
	p, err := newProbes(cmd, "memory", o)
	if err != nil {
		return err
	}
	type place struct {
		name   string
		layers int
	}
	places := []place{{"cpu", 0}}
	if len(p.result.Machine.GPUs) > 0 {
		places = []place{{"gpu", -1}, {"cpu", 0}}
	}
	err = p.rounds(func() error {
		for _, at := range places {
			load := p.loadOptions()
			load.GPULayers = &at.layers
			got, err := p.probe(cmd.Context(), p.work(load))
			if err != nil {
				return err
			}
			values := map[string]float64{}
			got.memory(values)
			p.add(at.name, values, nil)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.finish(cmd.OutOrStdout())
}
