package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mullama/mullama"
)

func TestRunPrintsTheAnswerAndALineEnd(t *testing.T) {
	fake := newFake()
	got := run(fake, "", "run", "model.gguf", "Capital", "of France?")
	if got != (outcome{0, "Paris.\n", ""}) {
		t.Errorf("got %+v", got)
	}
	want := []mullama.Message{{Role: "user", Content: "Capital of France?"}}
	if len(fake.model.chats) != 1 || fake.model.chats[0][0].Content != want[0].Content {
		t.Errorf("asked %+v, want %+v", fake.model.chats, want)
	}
	if !fake.closed || !fake.model.closed {
		t.Error("the engine or the model was not closed")
	}
}

func TestRunTakesThePromptFromArgumentsAndStdin(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		want        string
	}{
		{"arguments", "", []string{"one", "two"}, "one two"},
		{"stdin without its line end", "from stdin\n", nil, "from stdin"},
		{"stdin with a Windows line end", "from stdin\r\n", nil, "from stdin"},
		{"only one line end is taken off", "a\n\n", nil, "a\n"},
		{"both", "text\n", []string{"Summarise:"}, "Summarise:\n\ntext"},
		{"a dash after two dashes", "", []string{"--", "-n is a flag"}, "-n is a flag"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := newFake()
			got := run(fake, tt.stdin, append([]string{"run", "--raw", "m.gguf"}, tt.args...)...)
			if got.code != 0 || len(fake.model.prompts) != 1 || fake.model.prompts[0] != tt.want {
				t.Errorf("asked %q, want %q (%+v)", fake.model.prompts, tt.want, got)
			}
		})
	}
}

func TestRunSendsSystemMessageFirst(t *testing.T) {
	fake := newFake()
	run(fake, "", "run", "m.gguf", "--system", "Be brief.", "Hi")
	chat := fake.model.chats[0]
	if len(chat) != 2 || chat[0].Role != "system" || chat[0].Content != "Be brief." ||
		chat[1].Role != "user" {
		t.Errorf("asked %+v", chat)
	}
}

func TestRunWithoutTemplateContinuesThePromptAndSaysSo(t *testing.T) {
	fake := newFake()
	fake.model.info.Template = ""
	got := run(fake, "", "run", "m.gguf", "Once upon")
	if got.code != 0 || got.out != "Paris.\n" || strings.Count(got.err, "no chat template") != 1 {
		t.Errorf("got %+v", got)
	}
	if len(fake.model.prompts) != 1 || fake.model.prompts[0] != "Once upon" {
		t.Errorf("asked %q", fake.model.prompts)
	}
	if got := run(fake, "", "run", "m.gguf", "--raw", "Once upon"); got.err != "" {
		t.Errorf("--raw was asked for, yet stderr has %q", got.err)
	}
	got = run(fake, "", "run", "m.gguf", "--system", "x", "Hi")
	if got.code != exitUsage || !strings.Contains(got.err, "no chat template") {
		t.Errorf("system message: %+v", got)
	}
}

func TestRunJSONPrintsChunksThenStats(t *testing.T) {
	fake := newFake()
	a, out, _ := testApp(fake, "")
	talk, err := a.newTalk(
		fake.model,
		&runOptions{settings: defaultSettings(), json: true, logprobs: -1},
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.answerOnce(context.Background(), talk, "Hi", 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	golden(t, "run_json", out.String())
}

func TestRunJSONPrintsLogprobsWithTheirBytes(t *testing.T) {
	fake := newFake()
	fake.model.chunks = []mullama.Chunk{
		{Text: "", Tokens: []mullama.Token{7}, Logprobs: []mullama.TokenLogprob{
			{
				Token:   7,
				Logprob: -0.5,
				Bytes:   []byte{0xf0, 0x9f},
				Top: []mullama.TopLogprob{
					{Token: 7, Logprob: -0.5, Bytes: []byte{0xf0, 0x9f}},
					{Token: 8, Logprob: -1.5, Bytes: []byte("x")},
				},
			},
		}},
		{Done: true, FinishReason: mullama.FinishLength},
	}
	got := run(fake, "", "run", "m.gguf", "--json", "--logprobs", "2", "Hi")
	golden(t, "run_json_logprobs", got.out)
	if request := fake.model.requests[0]; !request.Logprobs || request.TopLogprobs != 2 {
		t.Errorf("asked for logprobs %v, %d", request.Logprobs, request.TopLogprobs)
	}
}

func TestRunJSONEndsWithTheErrorWhenTheAnswerFails(t *testing.T) {
	fake := newFake()
	fake.model.chunks, fake.model.err = fake.model.chunks[:1], mullama.ErrContextFull
	got := run(fake, "", "run", "m.gguf", "--json", "Hi")
	lines := decodeLines(t, got.out)
	if got.code != exitTooSmall || len(lines) != 2 || lines[1]["error"] == nil {
		t.Errorf("got %+v", got)
	}
}

func TestVerbosePrintsTimingsToStderr(t *testing.T) {
	a, _, errOut := testApp(newFake(), "")
	a.printTimings(doneChunk().Stats, 1500*time.Millisecond)
	golden(t, "timings", errOut.String())

	got := run(newFake(), "", "run", "m.gguf", "--verbose", "Hi")
	if got.out != "Paris.\n" || !strings.Contains(got.err, "50.0 tokens/s") {
		t.Errorf("got %+v", got)
	}
}

func TestInterruptPrintsWhatIsThereAndEndsWith130(t *testing.T) {
	fake := newFake()
	fake.model.hang, fake.model.started = true, make(chan struct{})
	a, out, errOut := testApp(fake, "")
	loads := 0
	a.interruptible = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		if loads++; loads == 2 { // the first is for loading
			go func() { <-fake.model.started; cancel() }()
		}
		return ctx, cancel
	}
	code := a.execute(context.Background(), []string{"run", "m.gguf", "count"})
	if code != exitInterrupted || out.String() != "one two \n" || errOut.String() != "" {
		t.Errorf("code %d, out %q, err %q", code, out, errOut)
	}
}

func TestInterruptWhileLoadingEndsWith130(t *testing.T) {
	fake := newFake()
	a, out, errOut := testApp(fake, "")
	a.interruptible = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	code := a.execute(context.Background(), []string{"run", "m.gguf", "hi"})
	if code != exitInterrupted || out.Len() != 0 || errOut.Len() != 0 {
		t.Errorf("code %d, out %q, err %q", code, out, errOut)
	}
}

// brokenWriter fails every write.
type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"a closed pipe ends quietly", &os.PathError{Op: "write", Err: syscall.EPIPE}, ""},
		{"a closed in-memory pipe too", io.ErrClosedPipe, ""},
		{"a full disk is said", errors.New("no space left on device"),
			"mullama: write the output: no space left on device\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, line := range []string{"run m.gguf Hi", "show m.gguf", "tokenize m.gguf a"} {
				args := strings.Fields(line)
				a, _, errOut := testApp(newFake(), "")
				a.stdout = &output{w: brokenWriter{tt.err}}
				if code := a.execute(context.Background(), args); code != exitFailed {
					t.Errorf("%v: code %d", args, code)
				}
				if errOut.String() != tt.want {
					t.Errorf("%v: stderr %q, want %q", args, errOut, tt.want)
				}
			}
		})
	}
}

func TestRunRefusesAPromptThatIsNone(t *testing.T) {
	for _, tt := range []struct{ name, line, stdin, want string }{
		{"no file", "run", "", "needs a model"},
		{"no prompt", "run m", "", "prompt is empty"},
		{"blank", "run m", " \n", "prompt is empty"},
		{"not UTF-8", "run m", "ab\xff\n", "byte 0xff at offset 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(newFake(), tt.stdin, strings.Fields(tt.line)...)
			checkRefusal(t, got, exitUsage, tt.want)
		})
	}
}

func TestRunRefusesFlagsThatCannotWork(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"g.gbnf": `root ::= "a"`, "s.json": `{"type":"object"}`,
		"empty": " ", "bad.json": "{\n\"a\":}",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		flags string
		code  int
		want  string
	}{
		{"--grammar g.gbnf --json-schema s.json", 2,
			"--grammar and --json-schema cannot be used together"},
		{"--format json --json-schema s.json", 2, "cannot be used together"},
		{"--grammar missing", 3, "no such file"},
		{"--grammar empty", 2, "is empty"},
		{"--json-schema bad.json", 2, "bad.json is not valid JSON, line 2"},
		{"--format yaml", 2, "neither json nor"},
		{"--format {", 2, "not valid JSON"},
		{"--logprobs 1", 2, "add --json"},
		{"--logprobs -2 --json", 2, "too small"},
		{"--raw --system y", 2, "contradict"},
		{"--special", 2, "--special needs --raw"},
		{"--mirostat 2 --temperature 0", 2, "mirostat"},
		{"--top-p -0.5", 2, "top_p"},
		{"--min-p NaN", 2, `--min-p: "NaN" is not a number`},
		{"--num-predict -2", 2, "num_predict"},
		{"--logit-bias 5", 2, "TOKEN=VALUE"},
		{"--ctx-size 0", 2, "--ctx-size: 0 is too small"},
		{"--load-mode read --mlock", 2, "--load-mode already"},
		{"--load-mode fast", 2, "is not one of auto"},
		{"--tensor-split 1,-1", 2, "negative"},
		{"--gpu-layers many", 2, "'all'"},
		{"--bogus", 2, "unknown flag: --bogus"},
	} {
		t.Run(tt.flags, func(t *testing.T) {
			args := append([]string{"run", "m.gguf", "x"}, strings.Fields(tt.flags)...)
			checkRefusal(t, run(newFake(), "", args...), tt.code, tt.want)
		})
	}
}

func TestAnUnknownCommandGetsTheNearestOne(t *testing.T) {
	checkRefusal(t, run(newFake(), "", "rnu"), exitUsage, "did you mean 'mullama run'")
	checkRefusal(t, run(newFake(), "", "juggle"), exitUsage, "'mullama help' lists")
}

// checkRefusal checks that a command did nothing but say why.
func checkRefusal(t *testing.T, got outcome, code int, want string) {
	t.Helper()
	if got.code != code || !strings.Contains(got.err, want) || got.out != "" {
		t.Errorf("got %+v, want code %d and %q", got, code, want)
	}
	checkErrorForm(t, got.err)
}

// checkErrorForm checks that an error is one sentence and at most one hint.
func checkErrorForm(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !strings.HasPrefix(lines[0], "mullama: ") || len(lines) > 2 ||
		len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") {
		t.Errorf("not a sentence and a hint: %q", text)
	}
}

func TestWarningsOfTheEngineAreSentences(t *testing.T) {
	a, _, errOut := testApp(newFake(), "")
	log := a.logger().With("a", 1).WithGroup("g")
	log.Info("loaded")
	log.Warn("the context is long", "model", "m.gguf")
	if got, want := errOut.String(), "mullama: warning: the context is long\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTerminalNeverGetsControlCharactersFromTheModel(t *testing.T) {
	fake := newFake()
	fake.model.chunks = []mullama.Chunk{{Text: "a\x1b[2Jb\tc\n"}, doneChunk()}
	a, out, _ := testApp(fake, "")
	a.stdoutIsTerminal = true
	a.execute(context.Background(), []string{"run", "m.gguf", "Hi"})
	if got, want := out.String(), "a\uFFFD[2Jb\tc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := run(fake, "", "run", "m.gguf", "Hi"); got.out != "a\x1b[2Jb\tc\n" {
		t.Errorf("a pipe got %q, want the text unchanged", got.out)
	}
}
