package synth

import (
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"

	"github.com/mullama/mullama/internal/gguf"
)

// vector writes the elements of a norm, bias or rope_freqs tensor.
func vector(s Shape, t planned, rng *rand.Rand) gguf.TensorWriter {
	return func(w io.Writer) error {
		b := make([]byte, 0, 4*t.dims[0])
		for i := range t.dims[0] {
			x := 1.0 // a norm that changes nothing
			switch t.role {
			case bias:
				x = 0.02 * rng.NormFloat64()
			case ropeScale:
				x = llama3Divisor(s, int(i))
			}
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		}
		_, err := w.Write(b)
		return err
	}
}

// llama3Divisor divides the i-th rotary frequency: by the factor where a wave is longer than the
// 8192 positions that Llama 3 was first trained with, by 1 where it is shorter than a quarter of
// them, and by something in between in between.
func llama3Divisor(s Shape, i int) float64 {
	const trained = 8192.0
	factor := float64(s.RopeFactor)
	wave := 2 * math.Pi * math.Pow(float64(s.RopeBase), 2*float64(i)/float64(s.HeadDim))
	switch {
	case wave < trained/4:
		return 1
	case wave > trained:
		return factor
	}
	smooth := (trained/wave - 1) / 3
	return 1 / ((1-smooth)/factor + smooth)
}
