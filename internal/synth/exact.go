package synth

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// ExactOptions choose what an exact-shape model has besides its weights.
type ExactOptions struct {
	// Vocab is a GGUF file whose tokenizer the model gets: llama-bpe for the Llama 3.2 shapes,
	// qwen2 for Qwen 2.5, llama-spm for Llama 2.
	Vocab *gguf.File
	// Template is the chat template; empty keeps the vocabulary's, if it has one.
	Template string
}

// ExactFile writes the model that Exact writes to a file.
func ExactFile(path string, s Shape, o ExactOptions) error {
	return writeFile(path, func(w io.Writer) error { return Exact(w, s, o) })
}

// Exact writes a model of exactly the shape s with the tensor types of a Q4_K_M quantisation.
// It needs about 100 MB of memory for any shape.
func Exact(w io.Writer, s Shape, o ExactOptions) error {
	g, err := exact(s, o)
	if err != nil {
		return err
	}
	_, err = g.WriteTo(w)
	return err
}

// exact prepares the writer.
func exact(s Shape, o ExactOptions) (*gguf.Writer, error) {
	var g gguf.Writer
	g.Set("general.architecture", s.Arch)
	g.Set("general.type", "model")
	g.Set("general.name", "synthetic "+s.Name)
	g.Set("general.file_type", uint32(gguf.FileQ4KM))
	g.Set("general.quantization_version", uint32(2))
	s.setKeys(&g)
	if err := copyTokenizer(&g, o.Vocab, s.Vocab); err != nil {
		return nil, err
	}
	if o.Template != "" {
		g.Set("tokenizer.chat_template", o.Template)
	}
	sigma := 1 / math.Sqrt(float64(s.Embedding)) // keeps activations finite through all layers
	pools := make(map[gguf.TensorType][]byte)
	for i, t := range s.plan(mixQ4KM) {
		if len(t.dims) == 1 {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			g.Add(t.name, t.kind, t.dims, vector(s, t, rng))
			continue
		}
		if pools[t.kind] == nil {
			pools[t.kind] = blockPool(t.kind, sigma)
		}
		g.Add(t.name, t.kind, t.dims, fromPool(pools[t.kind], t, i))
	}
	return &g, nil
}

// seed makes all synthetic models reproducible.
const seed = 42

// copyTokenizer copies the tokenizer of a vocabulary file and pads it to rows tokens.
func copyTokenizer(g *gguf.Writer, vocab *gguf.File, rows int) error {
	tokens, err := vocab.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return err
	}
	have := len(tokens)
	if have == 0 || have > rows {
		return fmt.Errorf("the vocabulary has %d tokens, the model has %d rows for them;"+
			" choose the vocabulary of the model's family", have, rows)
	}
	for _, k := range vocab.Keys {
		if !strings.HasPrefix(k.Name, "tokenizer.") {
			continue
		}
		value := k.Any()
		if k.Type == gguf.TypeArray {
			if value, err = vocab.Array(k.Name); err != nil {
				return err
			}
		}
		g.Set(k.Name, padTokens(k.Name, value, have, rows))
	}
	return nil
}

// padTokens lengthens the arrays that have one element per token. Published models pad too: the
// embedding of Qwen 2.5 7B has 128 rows more than its tokenizer has tokens.
func padTokens(key string, value any, have, rows int) any {
	const unused = 5 // LLAMA_TOKEN_TYPE_UNUSED
	switch key {
	case "tokenizer.ggml.tokens":
		tokens := append([]string(nil), value.([]string)...)
		for i := have; i < rows; i++ {
			tokens = append(tokens, fmt.Sprintf("[PAD%d]", i))
		}
		return tokens
	case "tokenizer.ggml.token_type":
		if kinds, ok := value.([]int32); ok {
			kinds = append([]int32(nil), kinds...)
			for range rows - have {
				kinds = append(kinds, unused)
			}
			return kinds
		}
	case "tokenizer.ggml.scores":
		if scores, ok := value.([]float32); ok {
			return append(append([]float32(nil), scores...), make([]float32, rows-have)...)
		}
	}
	return value
}

// poolBytes is the size of the random blocks that the tensors of a type are cut from: large enough
// that no cache holds them, small enough to make in a fraction of a second.
const poolBytes = 32 << 20

// poolBlocks is how many blocks of so many bytes a pool has: a prime number, so that no two rows of
// a matrix with fewer rows begin with the same block. Tokens with equal rows of the output would
// have equal logits.
func poolBlocks(size int) int {
	n := poolBytes / size
	for !big.NewInt(int64(n)).ProbablyPrime(0) { // no doubt for numbers this small
		n--
	}
	return n
}

// blockPool makes random blocks of a quantised type whose elements have a mean of zero and the
// standard deviation sigma. Any bytes are valid but for the half-precision scales, which are set.
func blockPool(t gguf.TensorType, sigma float64) []byte {
	_, size := t.Block()
	pool := make([]byte, poolBlocks(size)*size)
	_, _ = rand.NewChaCha8([32]byte{seed, byte(t)}).Read(pool) // never fails
	put := func(block []byte, x float64) {
		binary.LittleEndian.PutUint16(block, gguf.Half(float32(x)))
	}
	for at := 0; at < len(pool); at += size {
		block := pool[at : at+size]
		switch t {
		case gguf.Q4K: // 258 is the deviation of q*scale; the minimum takes 7.5 steps off
			put(block, sigma/258)
			put(block[2:], 7.5*sigma/258)
		case gguf.Q6K:
			put(block[size-2:], sigma/1365)
		case gguf.Q80:
			put(block, sigma/73.9)
		case gguf.Q50:
			put(block, sigma/9.23)
		}
	}
	return pool
}

// fromPool writes a tensor as blocks of the pool, from another start for each tensor.
func fromPool(pool []byte, t planned, index int) gguf.TensorWriter {
	return func(w io.Writer) error {
		elements, size := t.kind.Block()
		left := int(t.dims[0]*t.dims[1]) / elements * size
		for start := index * 9973 % (len(pool) / size) * size; left > 0; start = 0 {
			n, err := w.Write(pool[start:min(len(pool), start+left)])
			if err != nil {
				return err
			}
			left -= n
		}
		return nil
	}
}
