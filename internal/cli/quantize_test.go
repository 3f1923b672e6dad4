package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

func TestQuantizeWritesAFileAndTellsItsSize(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.gguf"), filepath.Join(dir, "out.gguf")
	if err := os.WriteFile(in, make([]byte, 2000), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := newFake()
	got := run(fake, "", "quantize", in, out, "Q4_K_M", "-t", "3", "--pure")
	if want := out + ": 9 B, from 2.0 kB\n"; got != (outcome{0, want, ""}) {
		t.Errorf("got %+v", got)
	}
	want := in + " " + out + " Q4_K_M 3 true false"
	if len(fake.quantized) != 1 || fake.quantized[0] != want || !fake.closed {
		t.Errorf("asked for %q, want %q", fake.quantized, want)
	}
}

func TestQuantizeSaysWhatIsWrong(t *testing.T) {
	fake := newFake()
	fake.quantizeErr = &mullama.Error{Kind: mullama.ErrInvalidOption, Op: "quantise x",
		Err: os.ErrExist, Hint: "take another"}
	got := run(fake, "", "quantize", "x", "y", "Q9")
	checkRefusal(t, got, exitUsage, "quantise x")
	checkRefusal(t, run(newFake(), "", "quantize", "x", "y"), exitUsage, "quantize needs")
}

func TestFilesMayHaveAScale(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a=2")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"a.gguf": "a.gguf", "a.gguf=0.5": "a.gguf 0.5", "a.gguf=-2": "a.gguf -2",
		"a=b.gguf": "a=b.gguf", odd: odd, odd + "=3": odd + " 3",
	} {
		path, scale := splitScale(text)
		if scale != nil {
			path += " " + formatNumber(*scale)
		}
		if path != want {
			t.Errorf("%s is %q, want %q", text, path, want)
		}
	}
}

func TestAdapterFlagsReachTheLoad(t *testing.T) {
	fake := newFake()
	run(fake, "", "run", "m.gguf", "--lora", "a.gguf", "--lora", "b.gguf=0.5",
		"--control-vector", "c.gguf=2", "--control-vector-layers", "3-9", "Hi")
	o := fake.load
	if len(o.Adapters) != 2 || o.Adapters[0].Scale != nil || *o.Adapters[1].Scale != 0.5 ||
		len(o.ControlVectors) != 1 || *o.ControlVectors[0].Scale != 2 ||
		o.ControlLayers != [2]int{3, 9} {
		t.Errorf("the options are %+v", o)
	}
	got := run(newFake(), "", "run", "m.gguf", "--control-vector-layers", "9-3", "Hi")
	checkRefusal(t, got, exitUsage, "5-20")
	got = run(newFake(), "", "serve", "--lora", "a.gguf")
	if got.code != exitUsage || !strings.Contains(got.err, "--model") {
		t.Errorf("serve says %+v", got)
	}
}
