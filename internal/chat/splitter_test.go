package chat

import "testing"

func TestSplitterPartsThoughtsFromAnswers(t *testing.T) {
	for _, tt := range []struct {
		state                 splitState
		text, thought, answer string
	}{
		{splitStart, "plain", "", "plain"},
		{splitStart, "<think>\nhm\n</think>\n\nyes", "hm", "yes"},
		{splitStart, "\n<think>hm</think>yes </think>", "hm", "yes </think>"},
		{splitStart, "<thin air", "", "<thin air"},
		{splitThought, "hm < 5\n\nso</think> yes", "hm < 5\n\nso", "yes"},
		{splitThought, "never ends </thi", "never ends </thi", ""},
		{splitStart, "", "", ""},
	} {
		for size := 1; size <= len(tt.text)+1; size++ {
			p := NewSplitter("<think>", "</think>", false)
			p.state = tt.state
			var thought, answer string
			for rest := tt.text; ; {
				n := min(size, len(rest))
				a, b := p.Split(rest[:n], n == len(rest))
				thought, answer, rest = thought+a, answer+b, rest[n:]
				if rest == "" {
					break
				}
			}
			if thought != tt.thought || answer != tt.answer {
				t.Errorf("%q by %d: %q, %q", tt.text, size, thought, answer)
			}
		}
	}
}

func TestAPromptMayBeginTheThought(t *testing.T) {
	p := NewSplitter("[[", "]]", true)
	thought, answer := p.Split("deep]]plain <think>", true)
	if thought != "deep" || answer != "plain <think>" {
		t.Errorf("got the thought %q and the answer %q", thought, answer)
	}
}

func TestSplitterReadsChannels(t *testing.T) {
	const thought = "<|channel|>analysis<|message|>"
	for _, tt := range []struct{ text, thought, answer string }{
		{thought + "hm<|end|><|start|>assistant<|channel|>final<|message|>yes", "hm", "yes"},
		{"<|channel|>final<|message|>yes", "", "yes"},
		{thought + "a<|end|><|start|>assistant" + thought + "b<|end|>" +
			"<|start|>assistant<|channel|>commentary<|message|>so<|end|>" +
			"<|start|>assistant<|channel|>final<|message|> far < 5", "ab", "so far < 5"},
		{`{"a":"<|b"}`, "", `{"a":"<|b"}`},
		{thought + "never ends", "never ends", ""},
		{"<|channel|>fin", "", ""},
	} {
		for size := 1; size <= len(tt.text); size++ {
			p := NewSplitter(thought, "<|end|>", false)
			var thoughts, answer string
			for rest := tt.text; rest != ""; {
				n := min(size, len(rest))
				a, b := p.Split(rest[:n], n == len(rest))
				thoughts, answer, rest = thoughts+a, answer+b, rest[n:]
			}
			if thoughts != tt.thought || answer != tt.answer {
				t.Errorf("%q by %d: %q, %q", tt.text, size, thoughts, answer)
			}
		}
	}
}
