package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
	"github.com/mullama/mullama/internal/testmodels"
)

// needEngine skips the test when the native library is not built.
func needEngine(t *testing.T) {
	t.Helper()
	runtime, err := mullama.Open(mullama.Options{})
	if errors.Is(err, mullama.ErrLibraryMissing) && os.Getenv(testmodels.RequireEnv) != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = runtime.Close()
}

// realRun runs a command line on the real engine, with buffers for streams.
func realRun(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return realRunUntil(t.Context(), stdin, args...)
}

// realRunUntil is realRun with a context, for what is done when a test has ended.
func realRunUntil(ctx context.Context, stdin string, args ...string) outcome {
	var out, errOut bytes.Buffer
	a := newApp()
	a.env = readEnvironment(os.Getenv)
	a.stdin, a.stdout, a.stderr = strings.NewReader(stdin), &output{w: &out}, &errOut
	a.stdinIsTerminal, a.stdoutIsTerminal, a.stderrIsTerminal = false, false, false
	code := a.execute(ctx, args)
	return outcome{code, out.String(), errOut.String()}
}

// tinyModel writes a small model.
func tinyModel(t *testing.T, o synth.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.TinyFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRealAnswer(t *testing.T) {
	needEngine(t)
	model := testmodels.Path(t, "smollm2")
	args := []string{
		"run",
		model,
		"--temperature",
		"0",
		"--threads",
		"1",
		"--system",
		"You are a helpful assistant.",
	}
	got := realRun(t, "What is the capital of France?\n", append(args, "-n", "12")...)
	if got.code != 0 || !strings.Contains(got.out, "Paris") || got.err != "" {
		t.Errorf("got %+v", got)
	}
	got = realRun(t, "", append(args, "--json", "--logprobs", "2", "-n", "3", "Say hello.")...)
	lines := decodeLines(t, got.out)
	last := lines[len(lines)-1]
	if got.code != 0 || last["done"] != true || last["finish_reason"] != "length" {
		t.Fatalf("got %+v", got)
	}
	stats := last["stats"].(map[string]any)
	if stats["generated_tokens"] != 3.0 || stats["load_ms"].(float64) <= 0 ||
		stats["prefill_ms"].(float64) <= 0 {
		t.Errorf("stats %v", stats)
	}
	logprobs := lines[0]["logprobs"].([]any)[0].(map[string]any)
	if logprobs["logprob"].(float64) > 0 || len(logprobs["top"].([]any)) != 2 {
		t.Errorf("logprobs %v", logprobs)
	}
}

func TestRealAnswerFollowsASchema(t *testing.T) {
	needEngine(t)
	schema := filepath.Join(t.TempDir(), "s.json")
	text := `{"type":"object","properties":{"n":{"enum":[1,2]}},"required":["n"],` +
		`"additionalProperties":false}`
	if err := os.WriteFile(schema, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	got := realRun(
		t,
		"",
		"run",
		tinyModel(t, synth.Options{}),
		"--threads",
		"1",
		"--json-schema",
		schema,
		"-n",
		"200",
		"--seed",
		"1",
		"Give me an object.",
	)
	object := decodeLines(t, strings.ReplaceAll(got.out, "\n", ""))
	if got.code != 0 || len(object) != 1 || object[0]["n"] != 1.0 && object[0]["n"] != 2.0 {
		t.Errorf("got %+v", got)
	}
}

func TestRealTokensThereAndBack(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{})
	text := "héllo\x00 <|im_end|> \xff"
	ids := realRun(t, text, "tokenize", model, "--ids")
	if back := realRun(t, ids.out, "detokenize", model); back != (outcome{0, text, ""}) {
		t.Errorf("%q came back as %+v", text, back)
	}
	got := realRun(t, "", "tokenize", model, "--special", "<|im_end|>")
	if !strings.Contains(got.out, `"<|im_end|>"`) {
		t.Errorf("got %+v", got)
	}
}

func TestRealVersionAndDoctor(t *testing.T) {
	needEngine(t)
	if got := realRun(t, "", "version"); got.code != 0 || !strings.Contains(got.out, "llama.cpp") {
		t.Errorf("got %+v", got)
	}
	if got := realRun(t, "", "doctor"); !strings.Contains(got.out, "CPU") {
		t.Errorf("got %+v", got)
	}
}

func TestRealInterruptEndsTheAnswer(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{Context: 1 << 16})
	var out firstWrite
	out.written = make(chan struct{})
	a := newApp()
	a.stdin, a.stdout, a.stderr = strings.NewReader(""), &output{w: &out}, new(bytes.Buffer)
	a.stdinIsTerminal, a.stdoutIsTerminal, a.stderrIsTerminal = false, false, false
	a.interruptible = func(parent context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(parent)
		go func() {
			select {
			case <-out.written:
			case <-parent.Done():
			}
			cancel()
		}()
		return ctx, cancel
	}
	code := a.execute(
		t.Context(),
		[]string{"run", model, "--threads", "1", "-c", "60000", "--ignore-eos", "Go on."},
	)
	if code != exitInterrupted {
		t.Errorf("code %d", code)
	}
}

// firstWrite says when something was written.
type firstWrite struct {
	written chan struct{}
	done    bool
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if !w.done {
		w.done = true
		close(w.written)
	}
	return len(p), nil
}

func TestRealBadFiles(t *testing.T) {
	needEngine(t)
	for _, tt := range []struct {
		name    string
		options synth.Options
		damage  func(path string) error
	}{
		{"empty", synth.Options{}, func(p string) error { return os.Truncate(p, 0) }},
		{"a text", synth.Options{}, func(p string) error {
			return os.WriteFile(p, []byte("This is a text of some length and no model."), 0o644)
		}},
		{"truncated", synth.Options{}, func(p string) error { return synth.Truncate(p, 1000) }},
		{"a version to come", synth.Options{}, func(p string) error {
			return synth.SetVersion(p, 99)
		}},
		{"another byte order", synth.Options{}, synth.SwapByteOrder},
		{"an unknown architecture", synth.Options{Declare: "quantum"}, nil},
		{"a missing tensor", synth.Options{Omit: []string{"output_norm.weight"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tinyModel(t, tt.options)
			if tt.damage != nil {
				if err := tt.damage(path); err != nil {
					t.Fatal(err)
				}
			}
			checkRefusal(t, realRun(t, "", "run", path, "Hi"), exitNotUsable, path)
			if len(tt.options.Omit) > 0 {
				return // tokens need no tensors
			}
			checkRefusal(t, realRun(t, "", "tokenize", path, "Hi"), exitNotUsable, path)
		})
	}
	dir := t.TempDir()
	for _, command := range []string{"run", "show"} {
		checkRefusal(t, realRun(t, "x", command, dir), exitNotUsable, "directory")
		missing := filepath.Join(dir, "no.gguf")
		checkRefusal(t, realRun(t, "x", command, missing), exitNotFound, missing)
	}
}

func TestRealFileWithoutPermission(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	path := tinyModel(t, synth.Options{})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, realRun(t, "", "show", path), exitNotFound, "permission")
}

func TestRealOptionsThatCannotWork(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{Context: 256})
	base := tinyModel(t, synth.Options{NoTemplate: true})
	broken := tinyModel(t, synth.Options{Template: "{% for %}"})
	grammar := filepath.Join(t.TempDir(), "bad.gbnf")
	if err := os.WriteFile(grammar, []byte("root ::= ("), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, model, flags string
		code               int
		want               string
	}{
		{"grammar", model, "--grammar " + grammar, exitUsage, "grammar"},
		{"schema", model, `--format {"type":"odd"}`, exitUsage, "odd"},
		{"KV cache type", model, "--cache-type-k q9", exitUsage, "q9"},
		{"sampler", model, "--samplers luck", exitUsage, "luck"},
		{"override", model, "--override-kv nonsense", exitUsage, "nonsense"},
		{"device", model, "--device TPU7", exitUsage, "TPU7"},
		{"token to bias", model, "--logit-bias 999999=1", exitUsage, "999999"},
		{"batches", model, "--batch-size 8 --ubatch-size 16", exitUsage, "batch size"},
		{"system without template", base, "--system y", exitUsage, "no chat template"},
		{"template", broken, "", exitNotUsable, "template"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"run", tt.model, "Hi"}, strings.Fields(tt.flags)...)
			checkRefusal(t, realRun(t, "", args...), tt.code, tt.want)
		})
	}
}

func TestRealPromptsThatDoNotFit(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{Context: 256})
	for name, words := range map[string]int{"a little": 300, "5 MB": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			got := realRun(t, strings.Repeat("word ", words), "run", model)
			checkRefusal(t, got, exitTooSmall, "context")
		})
	}
}

func TestRealContextForWhichThereIsNoMemory(t *testing.T) {
	needEngine(t)
	model := testmodels.Path(t, "smollm2")
	got := realRun(t, "", "run", model, "--ctx-size", "20000000", "Hi") // 480 GB of KV cache
	checkRefusal(t, got, exitTooSmall, "memory")
}

func TestRealContextLongerThanTheModelsIsWarnedAbout(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{Context: 256})
	got := realRun(t, "", "run", model, "--threads", "1", "--ctx-size", "512", "-n", "2", "Hi")
	if got.code != 0 || strings.Count(got.err, "warning") != 1 ||
		!strings.Contains(got.err, "512") {
		t.Errorf("got %+v", got)
	}
}

func TestRealBaseModelIsContinuedRaw(t *testing.T) {
	needEngine(t)
	model := tinyModel(t, synth.Options{NoTemplate: true})
	got := realRun(t, "", "run", model, "--threads", "1", "-n", "2", "Once upon")
	if got.code != 0 || strings.Count(got.err, "no chat template") != 1 {
		t.Errorf("got %+v", got)
	}
}
