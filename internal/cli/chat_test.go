package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

// scriptedLines types lines for a chat. The line ^C stands for Ctrl-C.
type scriptedLines struct {
	lines      []string
	prompts    []string
	remembered []string
	closed     bool
}

func (l *scriptedLines) readLine(prompt string) (string, error) {
	l.prompts = append(l.prompts, prompt)
	if len(l.lines) == 0 {
		return "", io.EOF
	}
	line := l.lines[0]
	l.lines = l.lines[1:]
	if line == "^C" {
		return "", errLineInterrupted
	}
	return line, nil
}

func (l *scriptedLines) remember(text string) { l.remembered = append(l.remembered, text) }
func (l *scriptedLines) close()               { l.closed = true }

// chatWith types lines into a chat over fake.
func chatWith(t *testing.T, fake *fakeEngine, lines ...string) (outcome, *scriptedLines) {
	t.Helper()
	a, out, errOut := testApp(fake, "")
	script := &scriptedLines{lines: lines}
	a.stdinIsTerminal, a.stdoutIsTerminal = true, true
	a.lines = func() (lineReader, error) { return script, nil }
	code := a.execute(context.Background(), []string{"run", "m.gguf"})
	if !script.closed {
		t.Error("the terminal was not given back")
	}
	return outcome{code, out.String(), errOut.String()}, script
}

// echoFake returns an engine whose model answers with what it heard.
func echoFake() *fakeEngine {
	fake := newFake()
	fake.model.echo = true
	return fake
}

func TestChatKeepsHistoryAndClearForgetsIt(t *testing.T) {
	fake := echoFake()
	got, _ := chatWith(t, fake, "first", "second", "/clear", "third", "/bye", "never")
	if got.code != 0 || got.err != "" {
		t.Fatalf("got %+v", got)
	}
	golden(t, "chat", got.out)
	if len(fake.model.chats) != 3 {
		t.Fatalf("%d requests", len(fake.model.chats))
	}
	second := fake.model.chats[1]
	if len(second) != 3 || second[0].Content != "first" || second[1].Role != "assistant" ||
		!strings.Contains(second[1].Content, `heard "first"`) || second[2].Content != "second" {
		t.Errorf("second request %+v", second)
	}
	if third := fake.model.chats[2]; len(third) != 1 || third[0].Content != "third" {
		t.Errorf("third request %+v", third)
	}
}

func TestChatEndsAtCtrlD(t *testing.T) {
	if got, _ := chatWith(t, echoFake()); got.code != 0 || got.err != "" {
		t.Errorf("got %+v", got)
	}
}

func TestChatReadsSeveralLines(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"on lines of their own", []string{`"""`, "one", " two", `"""`}, "one\n two\n"},
		{"beside the text", []string{`"""one`, `two"""`}, "one\ntwo"},
		{"on one line", []string{`"""one"""`}, "one"},
		{"a slash inside", []string{`"""/bye"""`}, "/bye"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fake := echoFake()
			_, script := chatWith(t, fake, tt.lines...)
			if len(fake.model.chats) != 1 || fake.model.chats[0][0].Content != tt.want {
				t.Errorf("asked %+v, want %q", fake.model.chats, tt.want)
			}
			if len(tt.lines) > 1 && script.prompts[1] != continuePrompt {
				t.Errorf("prompts %q", script.prompts)
			}
			if whole := strings.Join(
				tt.lines,
				"\n",
			); len(script.remembered) != 1 ||
				script.remembered[0] != whole {
				t.Errorf("remembered %q, want %q", script.remembered, whole)
			}
		})
	}
}

func TestCtrlCAtThePromptDropsTheLine(t *testing.T) {
	fake := echoFake()
	got, _ := chatWith(t, fake, `"""half`, "^C", "whole")
	if got.code != 0 || len(fake.model.chats) != 1 || fake.model.chats[0][0].Content != "whole" {
		t.Errorf("asked %+v (%+v)", fake.model.chats, got)
	}
	if !strings.Contains(got.out, "Ctrl-D or /bye leaves.") {
		t.Errorf("out %q", got.out)
	}
}

func TestCtrlCStopsTheAnswerAndNotTheChat(t *testing.T) {
	fake := echoFake()
	a, out, errOut := testApp(fake, "")
	fake.model.started = make(chan struct{})
	a.stdinIsTerminal, a.stdoutIsTerminal = true, true
	a.lines = func() (lineReader, error) {
		return &scriptedLines{lines: []string{"count forever", "again"}}, nil
	}
	calls := 0
	a.interruptible = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		if calls++; calls == 2 { // after the load
			go func() { <-fake.model.started; cancel() }()
		}
		return ctx, cancel
	}
	code := a.execute(context.Background(), []string{"run", "m.gguf"})
	if code != 0 || errOut.Len() != 0 ||
		!strings.Contains(out.String(), `heard "again" after 2 messages`) {
		t.Errorf("code %d, out %q, err %q", code, out, errOut)
	}
	if second := fake.model.chats[1]; second[1].Content != "one two " {
		t.Errorf("the answer that was cut short is remembered as %q", second[1].Content)
	}
}

func TestSetChangesTheNextRequest(t *testing.T) {
	fake := echoFake()
	got, _ := chatWith(
		t,
		fake,
		"/set parameter temperature 0.25",
		"/set parameter stop \"\\n\\n\" END",
		"/set parameter top-k 7",
		"/set system Be brief.",
		"/set verbose",
		"hello",
		"/set quiet",
		`/set system """`,
		"Two",
		`lines."""`,
		"bye",
	)
	if got.code != 0 {
		t.Fatalf("got %+v", got)
	}
	request := fake.model.requests[0]
	if request.Sampling.Temperature != 0.25 || request.Sampling.TopK != 7 {
		t.Errorf("sampling %+v", request.Sampling)
	}
	if len(request.Stop) != 2 || request.Stop[0] != "\n\n" || request.Stop[1] != "END" {
		t.Errorf("stop %q", request.Stop)
	}
	if first := fake.model.chats[0][0]; first.Role != "system" || first.Content != "Be brief." {
		t.Errorf("first message %+v", first)
	}
	if first := fake.model.chats[1][0]; first.Content != "Two\nlines." {
		t.Errorf("system message of several lines: %q", first.Content)
	}
	if strings.Count(got.err, "first token") != 1 {
		t.Errorf("timings printed after the wrong answers: %q", got.err)
	}
}

func TestChatCommandsThatAreWrongGetOneSentence(t *testing.T) {
	for line, want := range map[string]string{
		"/bogus":                          "there is no command /bogus",
		"/set":                            "/set wants parameter",
		"/set colour red":                 "/set wants parameter",
		"/set parameter":                  "wants a name and a value",
		"/set parameter temperature":      "temperature wants a value",
		"/set parameter temperature warm": `temperature: "warm" is not a number`,
		"/set parameter top_p -1":         "top_p",
		"/set parameter heat 1":           "there is no parameter heat",
		"/set parameter num_ctx 10":       "chosen when the model is loaded",
		"/set parameter stop \"open":      "a quote does not end",
		"/show weights":                   "/show wants",
	} {
		t.Run(line, func(t *testing.T) {
			fake := echoFake()
			got, _ := chatWith(t, fake, line)
			if got.code != 0 || !strings.Contains(got.err, want) || len(fake.model.chats) != 0 {
				t.Errorf("got %+v, want %q", got, want)
			}
			checkErrorForm(t, got.err)
		})
	}
}

func TestShowInsideAChat(t *testing.T) {
	got, _ := chatWith(
		t,
		echoFake(),
		"/show",
		"/show parameters",
		"/show system",
		"/show template",
		"/?",
	)
	if got.err != "" {
		t.Errorf("err %q", got.err)
	}
	golden(t, "chat_show", got.out)
}

func TestShowTellsWhatTheModelHasAndWhatTheUserChose(t *testing.T) {
	fake := echoFake()
	fake.model.info.StoredParameters = "temperature                    0.5\nstop      \"a b\"\n"
	fake.model.info.StoredSystem = "You are brief."
	got, _ := chatWith(t, fake, "/show parameters", "/show system", "/set parameter top_k 7",
		"/set parameter dry_last_n 3", "/set system x", "/show parameters", "/show system")
	const own = "Model defined parameters\n  temperature  0.5\n  stop         \"a b\"\n"
	before, after, _ := strings.Cut(got.out, "top_k is 7.")
	if !strings.Contains(before, own+"You are brief.\n") || strings.Contains(before, "User") {
		t.Errorf("at first %q", before)
	}
	if !strings.Contains(after, own+"\nUser defined parameters\n  top_k       7\n"+
		"  dry_last_n  3\nx\n") {
		t.Errorf("then %q, err %q", after, got.err)
	}
}

func TestAFailedAnswerIsSaidAndForgotten(t *testing.T) {
	fake := newFake()
	fake.model.chunks, fake.model.err = fake.model.chunks[:1], errors.New(
		"decode step: device lost",
	)
	got, _ := chatWith(t, fake, "one", "two")
	if got.code != 0 || strings.Count(got.err, "mullama: decode step: device lost") != 2 {
		t.Errorf("got %+v", got)
	}
	if len(fake.model.chats[1]) != 1 {
		t.Errorf("second request %+v", fake.model.chats[1])
	}
}

func TestAFullContextInAChatPointsToClear(t *testing.T) {
	fake := newFake()
	fake.model.chunks, fake.model.err = nil, mullama.ErrContextFull
	got, _ := chatWith(t, fake, "one")
	if !strings.Contains(got.err, "hint: /clear") {
		t.Errorf("err %q", got.err)
	}
}

func TestAModelWithoutTemplateChatsWithoutMemory(t *testing.T) {
	fake := echoFake()
	fake.model.info.Template = ""
	got, _ := chatWith(t, fake, "one", "two", "/set system x", "/show template")
	if len(fake.model.prompts) != 2 || fake.model.prompts[1] != "two" {
		t.Errorf("prompts %q", fake.model.prompts)
	}
	if !strings.Contains(got.err, "no chat template, so a system message") ||
		!strings.Contains(got.out, "There is no chat template.") {
		t.Errorf("got %+v", got)
	}
}

func TestJSONNeedsAPrompt(t *testing.T) {
	a, _, errOut := testApp(newFake(), "")
	a.stdinIsTerminal, a.stdoutIsTerminal = true, true
	if code := a.execute(
		context.Background(),
		[]string{"run", "m.gguf", "--json"},
	); code != exitUsage {
		t.Errorf("code %d, err %q", code, errOut)
	}
}
