package cli

import (
	"strings"
	"testing"

	"github.com/mullama/mullama"
)

// thinker is a model that thinks before it answers.
func thinker() *fakeEngine {
	fake := newFake()
	fake.model.info.Capabilities = []string{"completion", "thinking"}
	fake.model.chunks = []mullama.Chunk{{Thinking: "Let me "}, {Thinking: "see."}, {Text: "Paris"},
		{Text: "."}, doneChunk()}
	return fake
}

func TestThoughtsArePrintedBeforeTheAnswerAsByOllama(t *testing.T) {
	for flags, want := range map[string]string{
		"":               "Thinking...\nLet me see.\n...done thinking.\n\nParis.\n",
		"--hidethinking": "Paris.\n",
		"--think=high":   "Thinking...\nLet me see.\n...done thinking.\n\nParis.\n",
	} {
		args := append([]string{"run", "m.gguf", "Where?"}, strings.Fields(flags)...)
		if got := run(thinker(), "", args...); got.code != 0 || got.out != want {
			t.Errorf("%q: got %+v", flags, got)
		}
	}
	got := run(thinker(), "", "run", "m.gguf", "--json", "Where?")
	if !strings.Contains(got.out, `"thinking":"Let me "`) {
		t.Errorf("as JSON: %+v", got)
	}
}

func TestThinkReachesTheRequest(t *testing.T) {
	for flag, want := range map[string]string{
		"": "unset", "--think": "true", "--think=false": "false", "--think=high": "true high",
		"--think=MAX": "true max", "--think --format json": "false",
	} {
		fake := thinker()
		got := run(fake, "", append([]string{"run", "m.gguf", "Hi"}, strings.Fields(flag)...)...)
		if got.code != 0 {
			t.Fatalf("%q: %+v", flag, got)
		}
		if said := thinkingOf(&fake.model.thoughts[0]); said != want {
			t.Errorf("%q: the request says %q, want %q", flag, said, want)
		}
	}
	fake := newFake() // of a model that cannot think, nobody asks for thoughts
	if run(fake, "", "run", "m.gguf", "--think=false", "Hi"); fake.model.thoughts[0].ThoughtsApart {
		t.Error("thoughts of a model without any are taken apart")
	}
}

func thinkingOf(o *mullama.ChatOptions) string {
	said := "unset"
	if o.Thinking != nil {
		said = map[bool]string{true: "true", false: "false"}[*o.Thinking]
	}
	if level, ok := o.TemplateValues["reasoning_effort"].(string); ok {
		said += " " + level
	}
	return said
}

func TestAChatSwitchesThinking(t *testing.T) {
	fake := thinker()
	got, _ := chatWith(t, fake, "Hi", "/set nothink", "Hi", "/set think low", "Hi", "/set think no",
		"/set think", "Hi")
	if got.code != 0 || !strings.Contains(got.err, "/set think: use true, false or one of low") {
		t.Errorf("got %+v", got)
	}
	for i, want := range []string{"unset", "false", "true low", "true"} {
		if said := thinkingOf(&fake.model.thoughts[i]); said != want {
			t.Errorf("request %d says %q, want %q", i+1, said, want)
		}
	}
	if second := fake.model.chats[1][1]; second.Content != "Paris." ||
		second.Thinking != "Let me see." {
		t.Errorf("what was thought is remembered as %+v", second)
	}
}

func TestAModelThatCannotThinkSaysSo(t *testing.T) {
	got := run(newFake(), "", "run", "m.gguf", "--think", "Hi")
	if got.code != exitNotUsable || !strings.Contains(got.err, "does not support thinking") {
		t.Errorf("got %+v", got)
	}
	checkErrorForm(t, got.err)
	for _, args := range [][]string{{"--think=yes"}, {"--think", "--raw"}} {
		got := run(thinker(), "", append([]string{"run", "m.gguf", "Hi"}, args...)...)
		if got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
		checkErrorForm(t, got.err)
	}
	chat, _ := chatWith(t, newFake(), "/set think", "Hi")
	if !strings.Contains(chat.err, "does not support thinking") {
		t.Errorf("in a chat: %+v", chat)
	}
}
