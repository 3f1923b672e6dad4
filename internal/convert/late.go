package convert

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/mullama/mullama/internal/colbert"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/safetensors"
)

// lateWeight is the projection in the files of ColBERT's authors, among the other tensors.
const lateWeight = "linear.weight"

// late is what a model for late interaction has beside others.
type late struct {
	settings   *colbert.Settings
	projection *colbert.Projection // nil: none in a folder of its own
	width      int                 // of the vectors before it
}

// readLate returns nil for a model that is none for late interaction.
func readLate(folder fs.FS, v *colbert.Vocabulary, width int) (*late, error) {
	settings, err := colbert.Published(folder, v)
	if settings == nil || err != nil {
		return nil, unsupportedLate(err)
	}
	projection, err := colbert.ReadProjection(folder, width)
	if err != nil {
		return nil, unsupportedLate(err)
	}
	return &late{settings, projection, width}, nil
}

// unsupportedLate gives an error of package colbert the kind of this package.
func unsupportedLate(err error) error {
	if errors.Is(err, colbert.ErrUnsupported) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// add writes the settings, and the projection under the name that llama.cpp has for it.
func (l *late) add(w *gguf.Writer, weights *safetensors.File, t gguf.TensorType) error {
	l.settings.Store(w)
	p := l.projection
	if tensor := weights.Find(lateWeight); p == nil && tensor != nil && len(tensor.Shape) == 2 {
		p = &colbert.Projection{In: l.width, Out: int(tensor.Shape[0])}
		var err error
		if p.Weight, err = colbert.Tensor(weights, lateWeight, p.Out, p.In); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	if t == gguf.Q80 && p.In%quantBlock != 0 {
		t = gguf.F16
	}
	data, err := encode(p.Weight, t)
	if err != nil {
		return err
	}
	w.Set("bert.embedding_length_out", uint32(p.Out))
	add(w, "dense_2.weight", t, []uint64{uint64(p.In), uint64(p.Out)}, data)
	if p.Bias == nil {
		return nil
	}
	if data, err = encode(p.Bias, gguf.F32); err != nil {
		return err
	}
	add(w, "dense_2.bias", gguf.F32, []uint64{uint64(p.Out)}, data)
	return nil
}
