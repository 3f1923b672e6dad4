package testmodels

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
)

// lateWidth is how many numbers the vectors of [LateFiles] have.
const lateWidth = 128

// LateFiles are the files that make a model for late interaction of MiniLM's, by their names: a
// random projection, the same each time, and what PyLate's configuration says of queries and
// documents, with says in its place.
func LateFiles(says map[string]any) (map[string][]byte, error) {
	config := map[string]any{"query_prefix": "[unused0]", "document_prefix": "[unused1]",
		"query_length": 32, "document_length": 180, "similarity_fn_name": "MaxSim"}
	maps.Copy(config, says)
	files := map[string][]byte{}
	for name, value := range map[string]any{
		"config_sentence_transformers.json": config,
		"modules.json": []map[string]any{
			{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
			{"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"}},
		"1_Dense/config.json": map[string]any{"in_features": 384, "out_features": lateWidth,
			"bias": false, "activation_function": "torch.nn.modules.linear.Identity"},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	files["1_Dense/model.safetensors"] = randomDense(lateWidth, 384)
	return files, nil
}

// randomDense is a safetensors file with a matrix.
func randomDense(rows, columns int) []byte {
	random := rand.New(rand.NewPCG(11, 0)) //nolint:gosec // not for secrets
	header := fmt.Sprintf(`{"linear.weight":{"dtype":"F32","shape":[%d,%d],"data_offsets":[0,%d]}}`,
		rows, columns, 4*rows*columns)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	for range rows * columns {
		x := float32(random.NormFloat64() / math.Sqrt(float64(columns)))
		file = binary.LittleEndian.AppendUint32(file, math.Float32bits(x))
	}
	return file
}
