package convert_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mullama/mullama/internal/colbert"
	"github.com/mullama/mullama/internal/convert"
	"github.com/mullama/mullama/internal/gguf"
)

// weights is a safetensors file of such tensors, whose numbers count up from 0.
func weights(shapes map[string][]int) []byte {
	header, data := map[string]any{}, []byte{}
	for name, shape := range shapes {
		start, n := len(data), 1
		for _, d := range shape {
			n *= d
		}
		for i := range n {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
		}
		header[name] = map[string]any{
			"dtype": "F32", "shape": shape, "data_offsets": []int{start, len(data)},
		}
	}
	text, _ := json.Marshal(header)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(file, text...), data...)
}

// folder is a BERT model of one layer, too small for anything but to be converted.
func folder() fstest.MapFS {
	vocab := map[string]int{"hello": 5, "##s": 6}
	var added []string
	for i, text := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		vocab[text] = i
		added = append(added, fmt.Sprintf(`{"id": %d, "special": true}`, i))
	}
	pieces, _ := json.Marshal(vocab)
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"config.json": file(`{"num_hidden_layers": 1, "max_position_embeddings": 8,
			"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2,
			"type_vocab_size": 2, "layer_norm_eps": 1e-12}`),
		"tokenizer.json": file(`{"added_tokens": [` + strings.Join(added, ", ") +
			`], "model": {"type": "WordPiece", "vocab": ` + string(pieces) + `}}`),
		"1_Pooling/config.json": file(`{"pooling_mode_cls_token": true}`),
		"model.safetensors": {Data: weights(map[string][]int{
			"embeddings.word_embeddings.weight":               {7, 32},
			"embeddings.position_embeddings.weight":           {8, 32},
			"encoder.layer.0.attention.output.dense.weight":   {32, 32},
			"encoder.layer.0.output.LayerNorm.bias":           {32},
			"pooler.dense.weight":                             {32, 32},
			"embeddings.position_ids":                         {1},
			"encoder.layer.0.attention.self.query.weight":     {32, 32},
			"encoder.layer.0.attention.output.LayerNorm.bias": {32},
		})},
	}
}

func bert(t *testing.T, o convert.BERTOptions) *gguf.File {
	t.Helper()
	var out bytes.Buffer
	if err := convert.BERT(&out, folder(), o); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(out.Bytes()), int64(out.Len()), gguf.KeepArrays(100))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBERTGetsTheNamesOfLlamaCpp(t *testing.T) {
	f := bert(t, convert.BERTOptions{Name: "tiny", Type: gguf.Q80})
	var got []string
	for _, tensor := range f.Tensors {
		got = append(got, fmt.Sprintf("%s %v %v", tensor.Name, tensor.Type, tensor.Dims))
	}
	want := []string{
		"position_embd.weight F32 [32 8]", "token_embd.weight Q8_0 [32 7]",
		"blk.0.attn_output_norm.bias F32 [32]", "blk.0.attn_output.weight Q8_0 [32 32]",
		"blk.0.attn_q.weight Q8_0 [32 32]", "blk.0.layer_output_norm.bias F32 [32]",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("tensors\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBERTKeepsWordsAndTheirParts(t *testing.T) {
	f := bert(t, convert.BERTOptions{Name: "tiny", Type: gguf.F16})
	texts, err := f.Strings("tokenizer.ggml.tokens")
	want := []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁hello", "s"}
	if err != nil || !slices.Equal(texts, want) {
		t.Errorf("tokens %q, %v; want %q", texts, err, want)
	}
	if cls, _ := f.Int("tokenizer.ggml.cls_token_id"); cls != 2 {
		t.Errorf("CLS is token %d, want 2", cls)
	}
	if pooling, _ := f.Int("bert.pooling_type"); pooling != 2 {
		t.Errorf("pooling %d, want 2, of the first token", pooling)
	}
}

func TestBERTCanGetARandomHead(t *testing.T) {
	f := bert(t, convert.BERTOptions{Name: "tiny", Type: gguf.F32, RandomHead: true})
	if pooling, _ := f.Int("bert.pooling_type"); pooling != 4 {
		t.Errorf("pooling %d, want 4, which ranks", pooling)
	}
	heads := 0
	for _, tensor := range f.Tensors {
		if strings.HasPrefix(tensor.Name, "cls.") {
			heads++
		}
	}
	if heads != 4 {
		t.Errorf("%d tensors of a head, want 4", heads)
	}
}

func TestBERTRefusesOtherVocabularies(t *testing.T) {
	files := folder()
	files["tokenizer.json"] = &fstest.MapFile{Data: []byte(`{"model": {"type": "BPE"}}`)}
	err := convert.BERT(&bytes.Buffer{}, files, convert.BERTOptions{})
	if err == nil || !strings.Contains(err.Error(), "WordPiece") {
		t.Errorf("a BPE vocabulary: %v", err)
	}
}

// late adds to a folder what makes a model for late interaction of it.
func late(files fstest.MapFS) fstest.MapFS {
	tokenizer := string(files["tokenizer.json"].Data)
	tokenizer = strings.Replace(tokenizer, `"added_tokens": [`, `"added_tokens": [
		{"id": 7, "content": "[Q] ", "special": false}, {"id": 8, "content": "[D] "}, `, 1)
	for name, text := range map[string]string{
		"tokenizer.json":                    tokenizer,
		"config_sentence_transformers.json": `{"query_length": 6, "skiplist_words": ["hello"]}`,
		"modules.json": `[{"path": "", "type": "sentence_transformers.models.Transformer"},
			{"path": "1_Dense", "type": "pylate.models.Dense.Dense"}]`,
		"1_Dense/config.json":       `{"in_features": 32, "out_features": 16}`,
		"1_Dense/model.safetensors": string(weights(map[string][]int{"linear.weight": {16, 32}})),
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func converted(t *testing.T, files fstest.MapFS) *gguf.File {
	t.Helper()
	var out bytes.Buffer
	if err := convert.BERT(&out, files, convert.BERTOptions{Type: gguf.F16}); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Read(bytes.NewReader(out.Bytes()), int64(out.Len()), gguf.KeepArrays(100))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOlderNamesOfNormsAreKnown(t *testing.T) {
	files := folder()
	files["model.safetensors"].Data = weights(map[string][]int{"embeddings.LayerNorm.gamma": {32},
		"encoder.layer.0.attention.output.LayerNorm.beta": {32}})
	f := converted(t, files)
	if a, b := f.Tensors[0].Name, f.Tensors[1].Name; a != "token_embd_norm.weight" ||
		b != "blk.0.attn_output_norm.bias" {
		t.Errorf("norms became %s and %s", a, b)
	}
}

func TestModelsForLateInteractionKeepWhatTheyDeclare(t *testing.T) {
	f := converted(t, late(folder()))
	got, err := colbert.Declared(f, 9)
	if err != nil || got.QueryMarker != 7 || got.DocumentMarker != 8 || got.QueryLength != 6 ||
		got.DocumentLength != 180 || got.Expansion != 4 || !slices.Equal(got.Skip, []int{5}) {
		t.Errorf("%+v, %v", got, err)
	}
	texts, _ := f.Strings("tokenizer.ggml.tokens")
	kinds, _ := f.Ints("tokenizer.ggml.token_type")
	if len(texts) != 9 || texts[7] != "[Q] " || kinds[7] != 3 || kinds[8] != 3 {
		t.Errorf("tokens %q of the kinds %v; markers must be none of text", texts, kinds)
	}
	pooling, _ := f.Int("bert.pooling_type")
	width, _ := f.Int("bert.embedding_length_out")
	if i := slices.IndexFunc(f.Tensors, func(t gguf.Tensor) bool {
		return t.Name == "dense_2.weight"
	}); pooling != 0 || width != 16 || i < 0 || !slices.Equal(f.Tensors[i].Dims, []uint64{32, 16}) {
		t.Errorf("pooling %d, %d numbers, tensor %d", pooling, width, i)
	}
}

func TestModelsOfColBERTsAuthorsHaveTheirProjectionAmongTheTensors(t *testing.T) {
	files := folder()
	files["artifact.metadata"] = &fstest.MapFile{Data: []byte(`{"query_token_id": "hello",
		"doc_token_id": "[MASK]", "query_maxlen": 16}`)}
	shapes := map[string][]int{"linear.weight": {8, 32}, "bert.pooler.dense.weight": {32, 32},
		"bert.embeddings.word_embeddings.weight": {7, 32}}
	files["model.safetensors"].Data = weights(shapes)
	f := converted(t, files)
	got, err := colbert.Declared(f, 7)
	if err != nil || got.QueryMarker != 5 || got.DocumentMarker != 4 || got.QueryLength != 16 {
		t.Errorf("%+v, %v", got, err)
	}
	if len(f.Tensors) != 2 || f.Tensors[0].Name != "dense_2.weight" {
		t.Errorf("tensors %+v", f.Tensors)
	}
	shapes["linear.weight"] = []int{8, 31}
	files["model.safetensors"].Data = weights(shapes)
	err = convert.BERT(&bytes.Buffer{}, files, convert.BERTOptions{Type: gguf.F16})
	if err == nil || !strings.Contains(err.Error(), "the shape [8 31], not [8 32]") {
		t.Errorf("a projection of vectors of another length: %v", err)
	}
}

func TestWhatModelsForLateInteractionCannotHaveIsUnsupported(t *testing.T) {
	files := late(folder())
	files["1_Dense/config.json"].Data = []byte(`{"in_features": 32, "out_features": 16,
		"activation_function": "torch.nn.modules.activation.Tanh"}`)
	err := convert.BERT(&bytes.Buffer{}, files, convert.BERTOptions{Type: gguf.F16})
	if !errors.Is(err, convert.ErrUnsupported) {
		t.Errorf("an activation function: %v", err)
	}
}

func FuzzE5(f *testing.F) {
	f.Add([]byte("E5S1"))
	f.Add(append([]byte("E5S1"), make([]byte, 100)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := convert.E5(&bytes.Buffer{}, b, &gguf.File{}); err == nil {
			t.Error("converted without a vocabulary")
		}
	})
}
