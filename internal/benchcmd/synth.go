package benchcmd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/synth"
)

const synthLong = `Write a GGUF model with random weights and exactly the shape, tensor types and
size of a published model in Q4_K_M, to measure speed and memory without the published weights. Its
text is noise; say "synthetic weights, exact shape" wherever its numbers appear.

Shapes and the vocabulary file each wants (from: go run ./tools/fetchmodels vocabs):
%s
The shape tiny is a model of a few hundred kilobytes for tests and wants no vocabulary file, and
projector is a file that says it is a projector of images. Two more are made for, or of, the model
in --model: adapter is a LoRA adapter, and safetensors a folder with the model as it would be
published.`

// vocabOf names the vocabulary file for the shapes of a family.
var vocabOf = map[string]string{
	"llama3.2-1b": "ggml-vocab-llama-bpe.gguf",
	"llama3.2-3b": "ggml-vocab-llama-bpe.gguf",
	"qwen2.5-7b":  "ggml-vocab-qwen2.gguf",
	"llama2-13b":  "ggml-vocab-llama-spm.gguf",
}

func newSynth() *cobra.Command {
	var o synthOptions
	cmd := &cobra.Command{
		Use:     "synth SHAPE OUT",
		Short:   "Write a model with random weights and the shape of a published one",
		Long:    fmt.Sprintf(synthLong, shapeList()),
		Example: "  mullama-bench synth llama3.2-1b 1b.gguf --vocab ggml-vocab-llama-bpe.gguf",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			start := time.Now()
			if err := o.write(args[0], args[1]); err != nil || args[0] == "safetensors" {
				return err
			}
			return report(cmd, args[1], time.Since(start))
		},
	}
	cmd.Flags().StringVar(&o.vocab, "vocab", "", "GGUF `file` whose tokenizer the model gets")
	cmd.Flags().StringVar(&o.template, "template", "", "Jinja `file` with the chat template")
	cmd.Flags().StringVar(&o.model, "model", "", "GGUF `file` for which an adapter is made, or "+
		"which is written as safetensors")
	return cmd
}

// synthOptions are files that what is written depends on.
type synthOptions struct{ vocab, template, model string }

func shapeList() string {
	var b strings.Builder
	for _, s := range synth.Shapes {
		fmt.Fprintf(&b, "  %-12s  %s\n", s.Name, vocabOf[s.Name])
	}
	return b.String()
}

func (o *synthOptions) write(shape, out string) error {
	var text []byte
	if o.template != "" {
		var err error
		if text, err = os.ReadFile(o.template); err != nil {
			return fmt.Errorf("read the template: %w", err)
		}
	}
	switch shape {
	case "adapter", "safetensors":
		return o.writeFor(shape, out)
	case "projector":
		return synth.ProjectorFile(out, 0)
	case "tiny":
		return synth.TinyFile(out, synth.Options{Template: string(text)})
	}
	s, ok := synth.FindShape(shape)
	if !ok {
		return fmt.Errorf("no shape is named %q; mullama-bench synth --help lists them", shape)
	}
	if o.vocab == "" {
		return fmt.Errorf("shape %s needs a vocabulary; pass --vocab %s", shape, vocabOf[shape])
	}
	tokenizer, err := gguf.Open(o.vocab)
	if err != nil {
		return fmt.Errorf("open the vocabulary: %w", err)
	}
	return synth.ExactFile(out, s, synth.ExactOptions{Vocab: tokenizer, Template: string(text)})
}

// writeFor writes what belongs to a model.
func (o *synthOptions) writeFor(shape, out string) error {
	if o.model == "" {
		return fmt.Errorf("%s needs a model; pass --model FILE", shape)
	}
	if shape == "adapter" {
		return synth.AdapterFile(out, o.model, synth.AdapterOptions{})
	}
	if err := os.MkdirAll(out, 0o750); err != nil {
		return err
	}
	return synth.Publish(out, o.model)
}

// report reads the file back and prints what it is.
func report(cmd *cobra.Command, path string, took time.Duration) error {
	f, err := gguf.Open(path)
	if err != nil {
		return errors.Join(errors.New("the file that was written cannot be read"), err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, %d parameters, %d tensors of %d bytes, %.1f s\n",
		path, f.Size, f.Parameters(), len(f.Tensors), f.TensorBytes(), took.Seconds())
	return nil
}
