package mullama_test

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

func TestQuantizedModelsAreSmallerAndAnswer(t *testing.T) {
	rt := openRuntime(t)
	path := tinyFile(t, synth.Options{FullPrecision: true})
	out := filepath.Join(t.TempDir(), "new.gguf")
	var told []int
	err := rt.Quantize(t.Context(), path, out, &mullama.QuantizeOptions{Type: "q8_0", Threads: 1,
		Progress: func(done, all int) { told = append(told, done, all) }})
	if err != nil {
		t.Fatal(err)
	}
	before, errBefore := mullama.Inspect(path)
	after, errAfter := mullama.Inspect(out)
	if errBefore != nil || errAfter != nil || after.Quantization != "Q8_0" ||
		after.SizeBytes > before.SizeBytes/2 {
		t.Errorf("before %+v, after %+v, %v %v", before, after, errBefore, errAfter)
	}
	if len(told) < 4 || told[0] != 0 || told[len(told)-2]+1 != told[len(told)-1] {
		t.Errorf("told of %v", told)
	}
	if got := generate(t, load(t, rt, out, mullama.LoadOptions{}), "once", mullama.GenerateOptions{
		Sampling: greedy(), MaxTokens: 4,
	}); got.Text == "" {
		t.Error("the new model says nothing")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

func TestTypesHaveNamesInAnyCaseAndShorterOnes(t *testing.T) {
	rt := openRuntime(t)
	types := rt.QuantizeTypes()
	for _, name := range []string{"F16", "Q4_K_M", "IQ2_XXS", "TQ1_0", "MXFP4_MOE"} {
		if !slices.Contains(types, name) {
			t.Errorf("there is no type %s among %q", name, types)
		}
	}
	path := tinyFile(t, synth.Options{})
	out := filepath.Join(t.TempDir(), "new.gguf")
	for name, want := range map[string]string{"q4_k": "Q4_K_M", "copy": "F16", "Bf16": "BF16"} {
		err := rt.Quantize(t.Context(), path, out, &mullama.QuantizeOptions{Type: name})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := mullama.Inspect(out); err != nil || info.Quantization != want {
			t.Errorf("%s gives %+v, %v", name, info, err)
		}
	}
}

// TestWhatCannotBeQuantizedIsRefused looks whether all is as before, too.
func TestWhatCannotBeQuantizedIsRefused(t *testing.T) {
	rt := openRuntime(t)
	dir := t.TempDir()
	path := tinyFile(t, synth.Options{})
	write := func(name string, text []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	small := filepath.Join(dir, "small.gguf")
	err := rt.Quantize(t.Context(), path, small, &mullama.QuantizeOptions{Type: "Q8_0"})
	if err != nil {
		t.Fatal(err)
	}
	adapter := adapterFile(t, path, synth.AdapterOptions{})
	huge := binary.LittleEndian.AppendUint32(nil, 1) // one entry, its name, and a length
	huge = append(binary.LittleEndian.AppendUint32(huge, 1), "a\x01\x00\x00\x00\xff\xff\xff\x7f"...)
	wide := filepath.Join(dir, "wide.gguf") // with rows long enough for all types
	if err := synth.TinyOf(wide, synth.Shape{Arch: "llama", Layers: 1, Embedding: 256,
		FeedForward: 256, Heads: 2, KVHeads: 1, HeadDim: 128, Context: 64, RopeBase: 10000,
		Epsilon: 1e-5}, synth.Options{}); err != nil {
		t.Fatal(err)
	}
	out, nowhere := filepath.Join(dir, "out.gguf"), filepath.Join(dir, "no", "x.gguf")
	text, oldHuge := write("t.gguf", []byte("text")), write("h", huge)
	type options = mullama.QuantizeOptions
	q8, wrong := options{Type: "Q8_0"}, mullama.ErrInvalidOption
	with := func(imatrix string) options { return options{Type: "Q4_0", Imatrix: imatrix} }
	for name, tt := range map[string]struct {
		path, out string
		o         options
		kind      error
		want      string
	}{
		"unknown type": {path, out, options{Type: "Q9"}, wrong, "Q4_K_M, "},
		"again":        {small, out, options{Type: "Q4_0"}, wrong, "already"},
		"itself":       {path, path, q8, wrong, "itself"},
		"no file":      {path + "x", out, q8, mullama.ErrNotFound, "x"},
		"text":         {text, out, q8, mullama.ErrNotGGUF, "t.gguf"},
		"an adapter":   {adapter, out, q8, mullama.ErrUnsupported, "adapter"},
		"no folder":    {path, nowhere, q8, mullama.ErrStore, "x.gguf"},
		"needs matrix": {wide, out, options{Type: "IQ2_XXS"}, wrong, "importance matrix"},
		"wrong matrix": {path, out, with(path), wrong, "not an importance"},
		"text matrix":  {path, out, with(text), wrong, "importance"},
		"huge matrix":  {path, out, with(oldHuge), wrong, "importance"},
		"no matrix":    {path, out, with(path + "x"), mullama.ErrNotFound, "matrix"},
		"tensor type":  {path, out, options{Type: "Q4_0", OutputType: "x"}, wrong, `"x"`},
		"threads":      {path, out, options{Type: "Q4_0", Threads: -1}, wrong, "-1"},
	} {
		t.Run(name, func(t *testing.T) {
			wantKind(t, rt.Quantize(t.Context(), tt.path, tt.out, &tt.o), tt.kind, tt.want)
			if _, err := os.Stat(out); err == nil {
				t.Error("there is a new file")
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	again := &options{Type: "Q4_0", Requantize: true}
	if err := rt.Quantize(t.Context(), small, out, again); err != nil {
		t.Error(err)
	}
}

func TestACancelledQuantizeLeavesNothing(t *testing.T) {
	rt := openRuntime(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	if err := os.WriteFile(out, []byte("what was there"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := &mullama.QuantizeOptions{Type: "Q8_0", Progress: func(done, _ int) {
		if done == 3 {
			cancel()
		}
	}}
	err := rt.Quantize(ctx, tinyFile(t, synth.Options{}), out, o)
	wantKind(t, err, mullama.ErrCancelled)
	text, _ := os.ReadFile(out)
	files, _ := os.ReadDir(dir)
	if string(text) != "what was there" || len(files) != 1 {
		t.Errorf("the file says %q, and there are %d files", text, len(files))
	}
}

func TestAModelIsQuantizedWhenItIsCreated(t *testing.T) {
	rt, dir, _ := withStore(t)
	importModel(t, rt, "base", synth.Options{})
	var told []string
	options := &mullama.CreateOptions{From: "base", Quantize: "q8_0"}
	options.Progress = func(p mullama.Progress) {
		if len(told) == 0 || told[len(told)-1] != p.Status {
			told = append(told, p.Status)
		}
	}
	m, err := rt.Create(t.Context(), "small", options)
	if err != nil {
		t.Fatal(err)
	}
	if m.Details.QuantizationLevel != "Q8_0" || told[0] != "quantizing F16 model to Q8_0" {
		t.Errorf("it is %+v, and %q was told", m.Details, told)
	}
	lease, err := rt.Acquire(t.Context(), "small", mullama.AcquireOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lease.Release()
	if err := rt.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	before, _ := os.ReadDir(filepath.Join(dir, "blobs"))
	again := &mullama.CreateOptions{From: "small", Quantize: "Q4_0"}
	_, err = rt.Create(t.Context(), "smaller", again)
	wantKind(t, err, mullama.ErrInvalidOption, "already", "create smaller")
	_, err = rt.Create(t.Context(), "odd", &mullama.CreateOptions{From: "base", Quantize: "Q9"})
	wantKind(t, err, mullama.ErrInvalidOption, "Q4_K_M")
	ctx, cancel := context.WithCancel(t.Context())
	options.Progress = func(p mullama.Progress) {
		if strings.HasPrefix(p.Status, "quantizing") && p.Completed > 0 {
			cancel()
		}
	}
	_, err = rt.Create(ctx, "cut", options)
	wantKind(t, err, mullama.ErrCancelled)
	if after, _ := os.ReadDir(filepath.Join(dir, "blobs")); len(after) != len(before) {
		t.Errorf("%d blobs became %d", len(before), len(after))
	}
}
