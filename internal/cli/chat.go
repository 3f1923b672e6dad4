package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mullama/mullama"
)

const (
	chatPrompt     = ">>> "
	continuePrompt = "... "
	tripleQuote    = `"""`
)

// errLeave ends a chat.
var errLeave = errors.New("leave")

// chatting is a chat on the terminal.
type chatting struct {
	app   *app
	talk  *talk
	lines lineReader
}

// chat reads messages and commands until the user leaves. Ctrl-C stops an answer, not the chat.
func (a *app) chat(ctx context.Context, t *talk) error {
	lines, err := a.lines()
	if err != nil {
		return err
	}
	defer lines.close()
	c := &chatting{app: a, talk: t, lines: lines}
	c.say("Type a message, /? for help, /bye to leave.")
	for {
		text, err := c.readMessage()
		switch {
		case errors.Is(err, errLineInterrupted):
			c.say("Ctrl-D or /bye leaves.")
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		err = c.take(ctx, text)
		if errors.Is(err, errLeave) {
			return nil
		}
		if lost := a.stdout.failed(); lost != nil {
			return lost
		}
		a.report(err)
	}
}

// say prints one line for the user.
func (c *chatting) say(format string, args ...any) {
	fmt.Fprintf(c.app.stdout, format+"\n", args...)
}

// readMessage reads a line, or several when """ begins the text and until """ ends it.
func (c *chatting) readMessage() (string, error) {
	text, err := c.lines.readLine(chatPrompt)
	if err != nil {
		return "", err
	}
	for isOpen(text) {
		more, err := c.lines.readLine(continuePrompt)
		if err != nil {
			return "", err
		}
		text += "\n" + more
	}
	if text = strings.TrimSpace(text); text != "" {
		c.lines.remember(text)
	}
	return text, nil
}

// isOpen reports whether text, or the text of a /set system command, begins with """ and does not
// end with it yet.
func isOpen(text string) bool {
	if first, rest := cutWord(text); first == "/set" {
		if second, system := cutWord(rest); second == "system" {
			text = system
		}
	}
	inner, found := strings.CutPrefix(strings.TrimSpace(text), tripleQuote)
	return found && !strings.HasSuffix(inner, tripleQuote)
}

// take does what the user typed: a command, or a message to answer.
func (c *chatting) take(ctx context.Context, text string) error {
	if text == "" {
		return nil
	}
	if strings.HasPrefix(text, "/") {
		return c.command(text)
	}
	text = unquote(text)
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if err := validText("the message", text); err != nil {
		return err
	}
	return c.answer(ctx, text)
}

// answer prints the answer to text.
func (c *chatting) answer(ctx context.Context, text string) error {
	ctx, stop := c.app.interruptible(ctx)
	defer stop()
	last, err := c.talk.answer(ctx, text, &textPrinter{app: c.app,
		hideThoughts: c.talk.thinking.hidden})
	if errors.Is(err, mullama.ErrContextFull) {
		return (&failure{code: exitTooSmall, message: err.Error()}).
			withHint("/clear forgets the chat; --ctx-size at the start allows a longer one")
	}
	if err != nil {
		return err
	}
	if c.talk.verbose {
		c.app.printTimings(last.Stats, 0)
	}
	c.say("")
	return nil
}

// unquote takes the """ around a text off.
func unquote(text string) string {
	if inner, found := strings.CutPrefix(text, tripleQuote); found {
		return strings.TrimPrefix(strings.TrimSuffix(inner, tripleQuote), "\n")
	}
	return text
}
