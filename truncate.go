package mullama

import (
	"fmt"
	"unicode/utf8"
)

// Truncation says what was left out of a prompt so that it fits in the context.
type Truncation struct {
	Messages int // whole messages, the oldest ones
	Tokens   int // tokens of the prompt: at least so many, if a text was too long to be counted
}

// answerReserve is how many tokens a cut leaves for an answer of unknown length, or a quarter of a
// small context.
const answerReserve = 512

// room is how many tokens a prompt may have when it may be cut.
func (m *Model) room(maxTokens int) int {
	size := m.shared.size
	reserve := min(answerReserve, size/4)
	if maxTokens > 0 {
		reserve = min(maxTokens, size/2)
	}
	return size - reserve
}

// fitTokens cuts a prompt that is too long: the first keep tokens stay, and as many of the last as
// fit.
func (m *Model) fitTokens(prompt []Token, opts *GenerateOptions) ([]Token, Truncation) {
	if !opts.Truncate || m.shared.size == 0 || len(prompt) < m.shared.size {
		return prompt, Truncation{}
	}
	room := m.room(opts.MaxTokens)
	keep := min(max(opts.Keep, 0), room/2)
	cut := len(prompt) - room
	kept := append(append([]Token(nil), prompt[:keep]...), prompt[keep+cut:]...)
	return kept, Truncation{Tokens: cut}
}

// clip leaves out the middle of a text that is far too long for the context, because tokenizing it
// could take minutes: what is left has the first keep tokens and more than enough of the last. It
// returns how many tokens that were, at least.
func (m *Model) clip(text string, keep int) (string, int) {
	if m.checkLength("clip", text) == nil {
		return text, 0
	}
	size := m.shared.size
	head := likelyBytes * min(max(keep, 0), size)
	tail := len(text) - likelyBytes*size
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	if tail <= head {
		return text, 0
	}
	return text[:head] + text[tail:], (tail - head + likelyBytes - 1) / likelyBytes
}

// clipLast is clip for the last message of a conversation.
func (m *Model) clipLast(messages []Message) ([]Message, int) {
	if len(messages) == 0 {
		return messages, 0
	}
	last := messages[len(messages)-1]
	text, clipped := m.clip(last.Content, 0)
	if clipped == 0 {
		return messages, 0
	}
	last.Content = text
	return append(messages[:len(messages)-1:len(messages)-1], last), clipped
}

// skipEndless leaves out the turns up to the last message that alone is far too long for the
// context, and returns how many messages that were. The last turn is left as it is.
func (m *Model) skipEndless(messages []Message) ([]Message, int) {
	starts := turnStarts(messages)
	for i := len(starts) - 1; i > 0; i-- {
		for _, message := range messages[starts[i-1]:starts[i]] {
			if m.checkLength("chat", message.Content) != nil {
				rest := fromTurn(messages, starts[i])
				return rest, len(messages) - len(rest)
			}
		}
	}
	return messages, 0
}

// fitChat renders a conversation, without its oldest messages if it does not fit with them. System
// messages stay, and so does the last turn; where that alone is too long, its last message loses
// its beginning. No more is left out than has to be, and what remains begins with a user's
// message, which many templates insist on.
func (m *Model) fitChat(
	messages []Message, opts *ChatOptions,
) (*ChatPrompt, Truncation, error) {
	var before Truncation
	if opts.Truncate {
		messages, before.Messages = m.skipEndless(messages)
		messages, before.Tokens = m.clipLast(messages)
	}
	prompt, err := m.FormatChat(messages, opts)
	size := m.shared.size
	if err != nil || !opts.Truncate || size == 0 || len(prompt.Tokens) < size {
		return prompt, before, err
	}
	whole, room := len(prompt.Tokens), m.room(opts.MaxTokens)
	starts := turnStarts(messages)
	low, high := 1, len(starts)-1 // the turn to begin with; turns before low do not fit
	var found Truncation
	for low <= high {
		middle := (low + high) / 2
		rest := fromTurn(messages, starts[middle])
		shorter, err := m.FormatChat(rest, opts)
		if err != nil {
			return nil, Truncation{}, err
		}
		if len(shorter.Tokens) > room {
			low = middle + 1
			continue
		}
		prompt, high = shorter, middle-1
		found = Truncation{
			Messages: len(messages) - len(rest), Tokens: whole - len(shorter.Tokens),
		}
	}
	if found.Messages == 0 {
		prompt, found, err = m.cutLastTurn(messages, opts, whole, room)
	}
	found.Messages += before.Messages
	found.Tokens += before.Tokens
	return prompt, found, err
}

// cutLastTurn renders the last turn and the system message without the beginning of the last
// message, so much of it that the rest fits in room.
func (m *Model) cutLastTurn(
	messages []Message, opts *ChatOptions, whole, room int,
) (*ChatPrompt, Truncation, error) {
	starts := turnStarts(messages)
	rest := fromTurn(messages, starts[len(starts)-1])
	prompt, err := m.FormatChat(rest, opts)
	if err != nil {
		return nil, Truncation{}, err
	}
	empty := append([]Message(nil), rest...)
	empty[len(empty)-1].Content = ""
	frame, err := m.FormatChat(empty, opts)
	if err != nil {
		return nil, Truncation{}, err
	}
	head, cut := commonStart(prompt.Tokens, frame.Tokens), len(prompt.Tokens)-room
	if len(frame.Tokens) > room/2 || cut <= 0 {
		return nil, Truncation{}, &Error{Kind: ErrContextFull, Op: "chat", Err: fmt.Errorf(
			"the conversation has %d tokens and the context takes %d; without the last message "+
				"there are still %d", whole, m.shared.size, len(frame.Tokens))}
	}
	prompt.Tokens = append(prompt.Tokens[:head:head], prompt.Tokens[head+cut:]...)
	return prompt, Truncation{Messages: len(messages) - len(rest),
		Tokens: whole - len(prompt.Tokens)}, nil
}

func commonStart(a, b []Token) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// turnStarts are the indices of the messages with which a shortened conversation may begin: those
// of users, or the last one if no user speaks.
func turnStarts(messages []Message) []int {
	var starts []int
	for i, message := range messages {
		if message.Role == "user" {
			starts = append(starts, i)
		}
	}
	if len(starts) == 0 {
		starts = []int{len(messages) - 1}
	}
	return starts
}

// fromTurn returns the messages from index start on, after all system messages before it.
func fromTurn(messages []Message, start int) []Message {
	var rest []Message
	for _, message := range messages[:start] {
		if message.Role == "system" {
			rest = append(rest, message)
		}
	}
	return append(rest, messages[start:]...)
}
