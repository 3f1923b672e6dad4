package synth

import (
	"io"

	"github.com/mullama/mullama/internal/gguf"
)

// ProjectorFile writes a file that says it is a projector of images, as models that see have one.
// It holds one tensor of random numbers and sees nothing.
func ProjectorFile(path string, seed uint64) error {
	const width = 64
	w := &gguf.Writer{}
	w.Set("general.type", "mmproj")
	w.Set("general.architecture", "clip")
	w.Set("general.name", "Random projector")
	w.Set("clip.has_vision_encoder", true)
	w.Set("clip.projector_type", "mlp")
	w.Set("clip.vision.projection_dim", uint32(width))
	dims := []uint64{width, width}
	w.Add("mm.0.weight", gguf.F32, dims, normal(seed, "mm.0.weight", dims, 1))
	return writeFile(path, func(out io.Writer) error {
		_, err := w.WriteTo(out)
		return err
	})
}
