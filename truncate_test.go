package mullama_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mullama/mullama"
	"github.com/mullama/mullama/internal/synth"
)

// conversation is a system message and n turns of about words tokens each, and a last question.
func conversation(n, words int) []mullama.Message {
	messages := []mullama.Message{{Role: "system", Content: "be kind"}}
	for range n {
		messages = append(messages,
			mullama.Message{Role: "user", Content: strings.Repeat("more ", words)},
			mullama.Message{Role: "assistant", Content: strings.Repeat("yes ", words)})
	}
	return append(messages, mullama.Message{Role: "user", Content: "hello"})
}

func chatStream(
	t *testing.T, m *mullama.Model, messages []mullama.Message, o mullama.GenerateOptions,
) (*mullama.Stream, error) {
	t.Helper()
	o.Sampling = greedy()
	s, err := m.Chat(t.Context(), messages, &mullama.ChatOptions{GenerateOptions: o})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestAConversationThatDoesNotFitLosesItsOldestTurnsWhenAsked(t *testing.T) {
	m := tinyModel(t)
	messages := conversation(8, 20)
	_, err := chatStream(t, m, messages, mullama.GenerateOptions{MaxTokens: 16})
	wantKind(t, err, mullama.ErrContextFull)

	s, err := chatStream(t, m, messages, mullama.GenerateOptions{MaxTokens: 16, Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	cut := s.Truncation()
	if cut.Messages == 0 || cut.Messages%2 != 0 || cut.Tokens <= 0 {
		t.Fatalf("cut %+v; want whole turns", cut)
	}
	result, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	kept := append(messages[:1:1], messages[1+cut.Messages:]...)
	want := format(t, m, kept, mullama.ChatOptions{})
	if result.Stats.PromptTokens != len(want.Tokens) {
		t.Errorf("the prompt has %d tokens; the system message and the last turns have %d",
			result.Stats.PromptTokens, len(want.Tokens))
	}
	if room := m.ContextSize() - 16; len(want.Tokens) > room {
		t.Errorf("%d tokens leave no room for the answer", len(want.Tokens))
	}
	more := append(messages[:1:1], messages[1+cut.Messages-2:]...)
	if p := format(t, m, more, mullama.ChatOptions{}); len(p.Tokens) <= m.ContextSize()-16 {
		t.Errorf("one more turn would have fitted: %d tokens", len(p.Tokens))
	}
}

func TestAConversationThatFitsIsNotCut(t *testing.T) {
	m := tinyModel(t)
	s, err := chatStream(t, m, conversation(1, 5), mullama.GenerateOptions{Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	if cut := s.Truncation(); cut != (mullama.Truncation{}) {
		t.Errorf("cut %+v", cut)
	}
}

// truncated answers a chat that must be cut to leave room for 12 tokens.
func truncated(
	t *testing.T, m *mullama.Model, messages []mullama.Message,
) (*mullama.Result, mullama.Truncation) {
	t.Helper()
	s, err := chatStream(t, m, messages, mullama.GenerateOptions{MaxTokens: 12, Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	return r, s.Truncation()
}

func TestALastMessageThatDoesNotFitLosesItsBeginning(t *testing.T) {
	m := tinyModel(t)
	messages := append(conversation(1, 5),
		mullama.Message{Role: "user", Content: strings.Repeat("more ", 600) + "end"})
	r, cut := truncated(t, m, messages)
	if cut.Messages != 3 || cut.Tokens < 100 ||
		r.Stats.PromptTokens != m.ContextSize()-12 {
		t.Errorf("cut %+v, the prompt has %d tokens", cut, r.Stats.PromptTokens)
	}
	messages[0].Content = strings.Repeat("be kind ", 400) // the system message alone is too long
	_, err := chatStream(t, m, messages, mullama.GenerateOptions{Truncate: true})
	wantKind(t, err, mullama.ErrContextFull, "without the last message")
}

func TestAnEndlessOldMessageIsLeftOut(t *testing.T) {
	m := tinyModel(t)
	messages := conversation(2, 5)
	messages[1].Content = strings.Repeat("more ", 100_000)
	s, err := chatStream(t, m, messages, mullama.GenerateOptions{Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	if cut := s.Truncation(); cut.Messages != 2 {
		t.Errorf("cut %+v; want the first turn", cut)
	}
}

func TestAnEndlessLastMessageLosesItsBeginning(t *testing.T) {
	m := tinyModel(t)
	messages := append(conversation(1, 5),
		mullama.Message{Role: "user", Content: strings.Repeat("more ü", 100_000)})
	r, cut := truncated(t, m, messages)
	if cut.Messages != 3 || cut.Tokens < 50_000 ||
		r.Stats.PromptTokens > m.ContextSize()-12 {
		t.Errorf("cut %+v, the prompt has %d tokens", cut, r.Stats.PromptTokens)
	}
}

func TestAnEndlessPromptIsCutWhenAsked(t *testing.T) {
	m := tinyModel(t)
	prompt := "first " + strings.Repeat("möre ", 100_000)
	o := &mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 12}
	_, err := m.Generate(t.Context(), prompt, o)
	wantKind(t, err, mullama.ErrContextFull)

	o.Truncate, o.Keep = true, 4
	s, err := m.Generate(t.Context(), prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	if cut := s.Truncation(); cut.Tokens < 50_000 || r.Stats.PromptTokens > m.ContextSize()-12 {
		t.Errorf("cut %+v, the prompt has %d tokens", cut, r.Stats.PromptTokens)
	}
}

func TestAPromptThatDoesNotFitKeepsItsBeginningAndEndWhenAsked(t *testing.T) {
	m := tinyModel(t) // of 512 tokens
	prompt := make([]mullama.Token, 800)
	for i := range prompt {
		prompt[i] = mullama.Token(synth.TokenStart + 10 + i%50)
	}
	o := &mullama.GenerateOptions{Sampling: greedy(), MaxTokens: 100}
	if _, err := m.GenerateTokens(t.Context(), prompt, o); !errors.Is(err, mullama.ErrContextFull) {
		t.Fatalf("error %v; want %v", err, mullama.ErrContextFull)
	}
	o.Truncate, o.Keep = true, 4
	s, err := m.GenerateTokens(t.Context(), prompt, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Collect()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Truncation().Tokens; got != 800-412 || r.Stats.PromptTokens != 412 ||
		r.Stats.GeneratedTokens != 100 {
		t.Errorf("cut %d, prompt %d, answer %d", got, r.Stats.PromptTokens, r.Stats.GeneratedTokens)
	}
}
