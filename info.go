package mullama

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/gguf"
)

// Info is what a GGUF file says of the model in it. Numbers are 0 and texts are empty when the file
// does not say.
type Info struct {
	Path            string   `json:"path"`
	Name            string   `json:"name"`
	Architecture    string   `json:"architecture"`
	Quantization    string   `json:"quantization"`
	Parameters      int64    `json:"parameters"`
	SizeBytes       int64    `json:"size_bytes"`
	ContextLength   int      `json:"context_length"`
	EmbeddingLength int      `json:"embedding_length"`
	Layers          int      `json:"layers"`
	Heads           int      `json:"heads"`
	KVHeads         int      `json:"kv_heads"`
	Vocab           int      `json:"vocab"`
	Template        string   `json:"template,omitempty"`
	License         string   `json:"license,omitempty"`
	Capabilities    []string `json:"capabilities"`
	// LateInteraction is nil for a model that is none for late interaction.
	LateInteraction *LateInteraction `json:"late_interaction,omitempty"`
	// Metadata has the file's keys; a long array is given as its length.
	Metadata map[string]any `json:"metadata,omitempty"`
	// StoredParameters are the PARAMETERs of a daemon's model, a line each as its Modelfile has
	// them, and StoredSystem is its SYSTEM.
	StoredParameters, StoredSystem string `json:"-"`

	output     int // length of embeddings, where it is not EmbeddingLength
	headLength uint64
	window     int    // tokens that some layers look back
	recurrent  bool   // some layers keep a state
	experts    bool   // parts of layers that only some tokens use
	rows       bool   // GPUs can look up the embeddings of its tokens
	valueSize  uint64 // length of a head's values
}

// Dimensions is how many numbers an embedding has, 0 if that is not known. A model for late
// interaction makes its own shorter.
func (i *Info) Dimensions() int {
	if i.output > 0 {
		return i.output
	}
	return i.EmbeddingLength
}

// Inspect reads what a GGUF file says of its model, without the engine. A model that is split into
// several files is described by its first, with the size of all.
func Inspect(path string) (*Info, error) {
	i, f, err := inspect(path)
	if err != nil {
		return nil, err
	}
	i.setInsert(hasFillInMiddle(f))
	return i, nil
}

// inspect is Inspect without what takes reading the whole vocabulary.
func inspect(path string) (*Info, *gguf.File, error) {
	if path == "" {
		return nil, nil, &Error{Kind: ErrNotFound, Op: "read a model",
			Err: errors.New("the path is empty; name a .gguf file")}
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, nil, wrap("read "+path, withoutPath(err, path))
	}
	i := &Info{
		Path:            path,
		Name:            f.String("general.name"),
		Architecture:    f.Architecture(),
		Quantization:    f.Quantization(),
		Parameters:      f.Parameters(),
		SizeBytes:       f.Size,
		ContextLength:   archInt(f, "context_length"),
		EmbeddingLength: archInt(f, "embedding_length"),
		Layers:          archInt(f, "block_count"),
		Heads:           archMax(f, "attention.head_count"),
		KVHeads:         archMax(f, "attention.head_count_kv"),
		Vocab:           vocabSize(f),
		Template:        f.String("tokenizer.chat_template"),
		License:         license(f),
		Metadata:        metadata(f),
		output:          archInt(f, "embedding_length_out"),
		headLength:      uint64(max(0, archInt(f, "attention.key_length"))),
		window:          archInt(f, "attention.sliding_window"),
		experts:         archInt(f, "expert_count") > 0,
		rows:            gpuLooksUp(f),
		valueSize:       uint64(max(0, archInt(f, "attention.value_length"))),
		recurrent:       archInt(f, "ssm.state_size")+archInt(f, "wkv.head_size") > 0,
	}
	if i.Name == "" {
		i.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	if i.KVHeads == 0 {
		i.KVHeads = i.Heads
	}
	i.Capabilities = capabilities(f, i.Template)
	if i.LateInteraction, err = lateInteraction(f, i.Vocab); err != nil {
		return nil, nil, wrap("read "+path, err)
	}
	return i, f, addParts(i, path)
}

// setInsert adds the capability to fill in the middle of a text.
func (i *Info) setInsert(can bool) {
	if can && slices.Contains(i.Capabilities, "completion") {
		i.Capabilities = append(i.Capabilities, "insert")
	}
}

// addParts adds what the further files of a split model hold.
func addParts(i *Info, path string) error {
	for n, part := range gguf.SplitPaths(path) {
		if n == 0 {
			continue
		}
		f, err := gguf.Open(part)
		if err != nil {
			return wrap("read "+part, withoutPath(err, part))
		}
		i.Parameters += f.Parameters()
		i.SizeBytes += f.Size
	}
	return nil
}

// withoutPath drops the path from the front of a message that wrap will put there.
func withoutPath(err error, path string) error {
	if rest, ok := strings.CutPrefix(err.Error(), path+": "); ok {
		return &pathless{rest, err}
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) && e.Path == path {
		return &pathless{e.Err.Error(), err}
	}
	return err
}

type pathless struct {
	message string
	err     error
}

func (p *pathless) Error() string { return p.message }
func (p *pathless) Unwrap() error { return p.err }

func archInt(f *gguf.File, key string) int {
	n, _ := f.Int(f.ArchKey(key))
	return int(n)
}

// archMax returns the largest entry of a key that has one number, or one per layer.
func archMax(f *gguf.File, key string) int {
	most := int64(0)
	numbers, err := f.Ints(f.ArchKey(key))
	if err != nil {
		return 0
	}
	for _, n := range numbers {
		most = max(most, n)
	}
	return int(most)
}

func vocabSize(f *gguf.File) int {
	v, ok := f.Value("tokenizer.ggml.tokens")
	if !ok {
		return archInt(f, "vocab_size")
	}
	return int(v.Len)
}

func license(f *gguf.File) string {
	for _, key := range []string{"general.license.name", "general.license"} {
		if text := f.String(key); text != "" {
			return text
		}
	}
	return ""
}

// metadata returns the file's keys, long arrays as a text that says their type and length.
func metadata(f *gguf.File) map[string]any {
	m := make(map[string]any, len(f.Keys))
	for _, key := range f.Keys {
		if key.Any() == nil {
			m[key.Name] = fmt.Sprintf("%d × %s", key.Len, key.Elem)
			continue
		}
		m[key.Name] = key.Any()
	}
	return m
}

// capabilities derives what a model can do from its kind and its chat template.
func capabilities(f *gguf.File, template string) []string {
	var caps []string
	if isEmbedder(f) {
		return append(caps, "embedding")
	}
	caps = append(caps, "completion")
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(template, w) {
				return true
			}
		}
		return false
	}
	if has("tools", "tool_calls") {
		caps = append(caps, "tools")
	}
	if has("<think>", "enable_thinking", "reasoning_content", "<|channel|>", "[THINK]") {
		caps = append(caps, "thinking")
	}
	if _, ok := f.Value(f.ArchKey("vision.block_count")); ok {
		caps = append(caps, "vision")
	}
	return caps
}

func isEmbedder(f *gguf.File) bool {
	if _, ok := f.Value(f.ArchKey("pooling_type")); ok {
		return true
	}
	return strings.Contains(f.Architecture(), "bert")
}

// hasFillInMiddle looks for the tokens around prefix, suffix and middle: named by a key, or by the
// texts that the known families give them.
func hasFillInMiddle(f *gguf.File) bool {
	for _, key := range []string{"fim_mid_token_id", "middle_token_id"} {
		if _, ok := f.Value("tokenizer.ggml." + key); ok {
			return true
		}
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return false
	}
	for _, t := range tokens {
		switch t {
		case "<|fim_middle|>", "<fim_middle>", "<fim-middle>", "<|fim▁end|>", "<MID>", "▁<MID>":
			return true
		}
	}
	return false
}
