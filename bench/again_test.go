package bench

import "testing"

func TestACommandNamesThePeersThatWereMeasured(t *testing.T) {
	for _, tt := range []struct {
		r    Result
		want string
	}{
		{Result{Group: "streams", Waves: []Wave{{Side: "ours"}, {Side: "baseline"},
			{Side: "unsampled"}, {Side: "library"}, {Side: "ollama"}, {Side: "node-llama-cpp"}}},
			"c --peer node-llama-cpp=MODULES --peer ollama=PROGRAM"},
		{Result{Group: "embedding", Points: []Point{{Case: "llama_cpp: 16 tokens, calls of 1"},
			{Case: "llama-server: 16 tokens, calls of 1"},
			{Case: "llama-server: 64 tokens, calls of 1"},
			{Case: "onnxruntime-int8: 16 tokens, calls of 1"},
			{Case: "fastembed-int8: 16 tokens, calls of 1"},
			{Case: "sentence-transformers: 16 tokens, calls of 1"}}},
			"c --peer llama-server=PROGRAM --python PYTHON --torch PYTHON"},
		{Result{Group: "maxsim", Points: []Point{{Case: "f32, 10 documents, 1 threads"},
			{Case: "numpy f32, 10 documents, 1 threads"},
			{Case: "pylate f32, 10 documents, 1 threads"}}}, "c --python PYTHON --torch PYTHON"},
		{Result{Group: "store", Points: []Point{{Case: "quantise from F16 to Q4_K_M",
			Baseline: map[string]float64{"quantize_s": 1}}}}, "c --llama-quantize PROGRAM"},
		{Result{Group: "store", Points: []Point{{Case: "quantise from F16 to Q4_K_M"}}}, "c"},
		{Result{Group: "memory", Points: []Point{{Case: "cpu"}}}, "c"},
	} {
		tt.r.Command = "c"
		if got := again(&tt.r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.r.Group, got, tt.want)
		}
	}
}
