package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/mullama/mullama/internal/colbert"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/safetensors"
)

// BERTOptions say how a BERT model is converted.
type BERTOptions struct {
	Name, License string
	Type          gguf.TensorType // of matrices: F32, F16 or Q80
	// RandomHead adds a head that ranks documents, with random weights: for tests.
	RandomHead bool
}

// config is what is read of config.json.
type config struct {
	Layers      int     `json:"num_hidden_layers"`
	Context     int     `json:"max_position_embeddings"`
	Width       int     `json:"hidden_size"`
	FeedForward int     `json:"intermediate_size"`
	Heads       int     `json:"num_attention_heads"`
	Types       int     `json:"type_vocab_size"`
	Epsilon     float64 `json:"layer_norm_eps"`
}

// tokenizer is what is read of tokenizer.json.
type tokenizer struct {
	Added []struct {
		ID      int    `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Model struct {
		Type  string         `json:"type"`
		Vocab map[string]int `json:"vocab"`
	} `json:"model"`
}

// vocabulary has the tokens of both lists.
func (t *tokenizer) vocabulary() *colbert.Vocabulary {
	v := &colbert.Vocabulary{Tokens: maps.Clone(t.Model.Vocab)}
	for _, added := range t.Added {
		if added.Content != "" {
			v.Tokens[added.Content] = added.ID
		}
	}
	v.Unknown, v.Mask = v.Tokens["[UNK]"], v.Tokens["[MASK]"]
	return v
}

// BERT writes the BERT model with a WordPiece vocabulary that lies in a folder in Hugging Face's
// layout. One for late interaction is written with what it declares.
func BERT(out io.Writer, folder fs.FS, o BERTOptions) error {
	var c config
	if err := readJSON(folder, "config.json", &c); err != nil {
		return err
	}
	var t tokenizer
	if err := readJSON(folder, "tokenizer.json", &t); err != nil {
		return err
	}
	pooling, err := readPooling(folder)
	if err != nil {
		return err
	}
	if o.RandomHead {
		pooling = poolingRank
	}
	v := t.vocabulary()
	late, err := readLate(folder, v, c.Width)
	if err != nil {
		return err
	}
	if late != nil {
		pooling = poolingNone
	}
	w := &gguf.Writer{}
	s := shape{c.Layers, c.Context, c.Width, c.FeedForward, c.Heads, c.Types, float32(c.Epsilon)}
	fileTypes := map[gguf.TensorType]gguf.FileType{
		gguf.F32: gguf.FileF32, gguf.F16: gguf.FileF16, gguf.Q80: gguf.FileQ80,
	}
	s.describe(w, o.Name, o.License, pooling, fileTypes[o.Type])
	if err := setWordPieces(w, &t, v); err != nil {
		return err
	}
	weights, err := readWeights(folder)
	if err != nil {
		return err
	}
	if late != nil {
		if err := late.add(w, weights, o.Type); err != nil {
			return err
		}
	}
	if err := addBERT(w, weights, o.Type); err != nil {
		return err
	}
	if o.RandomHead {
		addHead(w, c.Width)
	}
	_, err = w.WriteTo(out)
	return err
}

func readWeights(folder fs.FS) (*safetensors.File, error) {
	weights, err := fs.ReadFile(folder, "model.safetensors")
	if err != nil {
		return nil, err
	}
	return safetensors.Read(bytes.NewReader(weights), int64(len(weights)))
}

func readJSON(folder fs.FS, name string, into any) error {
	b, err := fs.ReadFile(folder, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// readPooling reads how sentence-transformers pools; the mean where it does not say.
func readPooling(folder fs.FS) (uint32, error) {
	var pooling struct {
		CLS bool `json:"pooling_mode_cls_token"`
	}
	err := readJSON(folder, "1_Pooling/config.json", &pooling)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if pooling.CLS {
		return poolingCLS, nil
	}
	return poolingMean, nil
}

// setWordPieces sets the vocabulary. llama.cpp marks the pieces that begin a word, WordPiece those
// that do not.
func setWordPieces(w *gguf.Writer, t *tokenizer, v *colbert.Vocabulary) error {
	if t.Model.Type != "WordPiece" {
		return fmt.Errorf("the vocabulary is %q; only WordPiece is converted", t.Model.Type)
	}
	special := map[int]bool{}
	for _, added := range t.Added {
		_, piece := t.Model.Vocab[added.Content]
		special[added.ID] = added.Special || added.Content != "" && !piece
	}
	texts, kinds := make([]string, len(v.Tokens)), make([]int32, len(v.Tokens))
	for text, id := range v.Tokens {
		if id < 0 || id >= len(texts) {
			return fmt.Errorf("token %q has the number %d of %d", text, id, len(texts))
		}
		kinds[id] = tokenNormal
		switch rest, inner := strings.CutPrefix(text, "##"); {
		case special[id]:
			texts[id], kinds[id] = text, tokenControl
		case inner:
			texts[id] = rest
		default:
			texts[id] = "\u2581" + text
		}
	}
	w.Set("tokenizer.ggml.model", "bert")
	w.Set("tokenizer.ggml.pre", "bert-bge")
	w.Set("tokenizer.ggml.tokens", texts)
	w.Set("tokenizer.ggml.token_type", kinds)
	for _, named := range []struct{ key, text string }{
		{"bos", "[CLS]"}, {"eos", "[SEP]"}, {"unknown", "[UNK]"}, {"seperator", "[SEP]"},
		{"padding", "[PAD]"}, {"cls", "[CLS]"}, {"mask", "[MASK]"},
	} {
		id, ok := v.Tokens[named.text]
		if !ok {
			return fmt.Errorf("the vocabulary has no %s", named.text)
		}
		w.Set("tokenizer.ggml."+named.key+"_token_id", uint32(id))
	}
	return nil
}

// tensorNames are those of the tensors outside of layers, and of parts of a layer.
var tensorNames = strings.NewReplacer(
	"embeddings.word_embeddings", "token_embd",
	"embeddings.position_embeddings", "position_embd",
	"embeddings.token_type_embeddings", "token_types",
	"embeddings.LayerNorm", "token_embd_norm",
	"encoder.layer", "blk",
	"attention.self.query", "attn_q",
	"attention.self.key", "attn_k",
	"attention.self.value", "attn_v",
	"attention.output.dense", "attn_output",
	"attention.output.LayerNorm", "attn_output_norm",
	"intermediate.dense", "ffn_up",
	"output.dense", "ffn_down",
	"output.LayerNorm", "layer_output_norm",
)

// normNames are those of the tensors of norms, which older files call otherwise.
var normNames = strings.NewReplacer("norm.gamma", "norm.weight", "norm.beta", "norm.bias")

func addBERT(w *gguf.Writer, file *safetensors.File, t gguf.TensorType) error {
	slices.SortFunc(file.Tensors, func(a, b safetensors.Tensor) int {
		return strings.Compare(a.Name, b.Name)
	})
	for i := range file.Tensors {
		tensor := &file.Tensors[i]
		name := strings.TrimPrefix(tensor.Name, "bert.")
		if strings.HasSuffix(name, "position_ids") || strings.HasPrefix(name, "pooler.") ||
			name == lateWeight {
			continue
		}
		name = normNames.Replace(tensorNames.Replace(name))
		kind := t
		if len(tensor.Shape) != 2 || strings.HasPrefix(name, "position_embd") ||
			strings.HasPrefix(name, "token_types") {
			kind = gguf.F32
		}
		numbers, err := file.Floats(tensor)
		if err != nil {
			return err
		}
		data, err := encode(numbers, kind)
		if err != nil {
			return fmt.Errorf("convert tensor %q: %w", tensor.Name, err)
		}
		add(w, name, kind, innerFirst(tensor.Shape), data)
	}
	return nil
}

// addHead adds a head of random numbers, the same each time.
func addHead(w *gguf.Writer, width int) {
	random := rand.New(rand.NewPCG(3, 0)) //nolint:gosec // not for secrets
	numbers := func(n int) []byte {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(random.NormFloat64() / math.Sqrt(float64(width)))
		}
		data, err := encode(x, gguf.F32)
		if err != nil {
			panic(err) // of F32 there is none
		}
		return data
	}
	n := uint64(width)
	add(w, "cls.weight", gguf.F32, []uint64{n, n}, numbers(width*width))
	add(w, "cls.bias", gguf.F32, []uint64{n}, make([]byte, 4*width))
	add(w, "cls.output.weight", gguf.F32, []uint64{n, 1}, numbers(width))
	add(w, "cls.output.bias", gguf.F32, []uint64{1}, make([]byte, 4))
}
