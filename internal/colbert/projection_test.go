package colbert

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// tensors is a safetensors file of vectors and matrices.
func tensors(all map[string][][]float32) string {
	header, data := map[string]any{}, []byte{}
	for name, rows := range all {
		start := len(data)
		for _, x := range slices.Concat(rows...) {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		shape := []int{len(rows), len(rows[0])}
		if strings.HasSuffix(name, "bias") {
			shape = shape[1:]
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape,
			"data_offsets": []int{start, len(data)}}
	}
	text, _ := json.Marshal(header)
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(text)))) + string(text) +
		string(data)
}

const oneDense = `[{"path": "", "type": "sentence_transformers.models.Transformer"},
	{"path": "1_Dense", "type": "pylate.models.Dense.Dense"}]`

const denseConfig = `{"in_features": 3, "out_features": 2,
	"activation_function": "torch.nn.modules.linear.Identity"}`

func TestSeveralProjectionsBecomeOne(t *testing.T) {
	folder := files(modulesFile, `[{"path": "", "type": "sentence_transformers.models.Transformer"},
		{"path": "1_Dense", "type": "pylate.models.Dense.Dense"},
		{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`,
		"1_Dense/config.json", denseConfig,
		"1_Dense/model.safetensors", tensors(map[string][][]float32{
			"linear.weight": {{1, 2, 3}, {4, 5, 6}}, "linear.bias": {{1, -1}}}),
		"2_Dense/config.json", `{"in_features": 2, "out_features": 2, "use_residual": true}`,
		"2_Dense/model.safetensors", tensors(map[string][][]float32{
			"linear.weight": {{1, 1}, {0, 2}}, "linear.bias": {{10, 0}}}))
	got, err := ReadProjection(folder, 3)
	if err != nil {
		t.Fatal(err)
	}
	// The second, with what goes by it, is {{2, 1}, {0, 3}}.
	weight, bias := []float32{6, 9, 12, 12, 15, 18}, []float32{11, -3}
	if got.In != 3 || got.Out != 2 || !slices.Equal(got.Weight, weight) ||
		!slices.Equal(got.Bias, bias) {
		t.Errorf("%+v, want %v and %v", got, weight, bias)
	}
	if none, err := ReadProjection(files(), 3); none != nil || err != nil {
		t.Errorf("without modules: %+v, %v", none, err)
	}
}

func TestProjectionsThatDoNotFitAreRefused(t *testing.T) {
	const config, weights = "1_Dense/config.json", "1_Dense/model.safetensors"
	good := tensors(map[string][][]float32{"linear.weight": {{1, 2, 3}, {4, 5, 6}}})
	for want, folder := range map[string]struct {
		texts       []string
		unsupported bool
	}{
		`the shape [1 2], not [2 3]`: {[]string{modulesFile, oneDense, config, denseConfig, weights,
			tensors(map[string][][]float32{"linear.weight": {{1, 2}}})}, false},
		"takes vectors of 4 numbers, and gets those of 3": {[]string{modulesFile, oneDense, config,
			strings.Replace(denseConfig, "3", "4", 1), weights, tensors(map[string][][]float32{
				"linear.weight": {{1, 2, 3, 4}, {4, 5, 6, 7}}})}, false},
		`there is no tensor "linear.weight"`: {[]string{modulesFile, oneDense, config, denseConfig,
			weights, tensors(map[string][][]float32{"weight": {{1}}})}, false},
		"there is no 1_Dense/model.safetensors": {[]string{modulesFile, oneDense, config,
			denseConfig}, false},
		"there is no 1_Dense/config.json": {[]string{modulesFile, oneDense}, false},
		"makes vectors of 0 numbers": {[]string{modulesFile, oneDense, config,
			strings.Replace(denseConfig, "2", "0", 1), weights, good}, false},
		`activation function "torch.nn.Tanh"`: {[]string{modulesFile, oneDense, config,
			strings.Replace(denseConfig, "torch.nn.modules.linear.Identity", "torch.nn.Tanh", 1),
			weights, good}, true},
		`the module "x.Pooling"`: {[]string{modulesFile, `[{"path": "", "type": "x.Pooling"}]`},
			true},
	} {
		_, err := ReadProjection(files(folder.texts...), 3)
		if err == nil || !strings.Contains(err.Error(), want) ||
			errors.Is(err, ErrUnsupported) != folder.unsupported {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
