package mullama

import (
	"context"
	"errors"
	"sync"

	"github.com/mullama/mullama/internal/gotemplate"
	"github.com/mullama/mullama/internal/llama"
)

// Token is the number of an entry of a model's vocabulary.
type Token = int32

// Model is a loaded model, of a [Runtime] in this process or of a daemon that a [Client] speaks to.
// It serves as many calls at once as it has slots; more wait their turn.
type Model struct {
	shared *loaded
	free   func()
	remote *remote // nil for a model of this process

	mu     sync.Mutex // guards the rest
	closed bool
	calls  sync.WaitGroup          // those inside shared; not their streams
	stop   context.CancelCauseFunc // cancels the streams
	ctx    context.Context         // done when the model is closed
	chats  map[string]*llama.Chat  // parsed templates by source
	// showsTools says of the sources of templates whether tools are in what they render.
	showsTools map[string]bool

	goTemplates map[string]*gotemplate.Template // those of Go
}

func newModel(shared *loaded, free func()) *Model {
	m := &Model{shared: shared, free: free, chats: map[string]*llama.Chat{},
		showsTools: map[string]bool{}}
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	return m
}

// Info returns what the model's file says of it.
func (m *Model) Info() *Info { return m.shared.info }

// Plan says on which devices the model is. It is nil for a vocabulary alone and for a model of a
// daemon.
func (m *Model) Plan() *Plan { return m.shared.plan }

// ContextSize is the most tokens of one call, prompt and answer together; 0 for a vocabulary alone.
func (m *Model) ContextSize() int { return m.shared.size }

// Slots is how many calls are computed at once; for embeddings, how many texts.
func (m *Model) Slots() int {
	switch {
	case m.remote != nil:
		return m.remote.slots
	case m.shared.engine == nil:
		return m.shared.embedders.texts()
	}
	return m.shared.engine.Stats().Slots
}

// Warnings are what should be known about this load, each a sentence.
func (m *Model) Warnings() []string { return m.shared.warn }

// Close gives the model back: streams of this handle end with FinishCancelled or ErrClosed, and
// memory is freed when no other handle shares it. It returns nil.
func (m *Model) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	m.stop(ErrClosed)
	m.calls.Wait()
	for _, chat := range m.chats {
		chat.Close()
	}
	m.free()
	return nil
}

// enter starts a call; the caller calls m.calls.Done at its end.
func (m *Model) enter(op string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return &Error{Kind: ErrClosed, Op: op, Err: errors.New("the model is closed")}
	}
	m.calls.Add(1)
	return nil
}

// TokenizeOptions say what is special in a text. The zero value treats all of it as plain text.
type TokenizeOptions struct {
	// AddSpecial adds what the model wants around a text, such as its BOS token.
	AddSpecial bool
	// ParseSpecial turns the text of control tokens, such as <|im_end|>, into those tokens. Do not
	// set it for text that comes from a user.
	ParseSpecial bool
}

// Tokenize returns the tokens of text.
func (m *Model) Tokenize(text string, opts TokenizeOptions) ([]Token, error) {
	return m.AppendTokens(make([]Token, 0, len(text)/2+4), text, opts)
}

// AppendTokens appends the tokens of text to dst, and returns the longer slice. With room for them
// in dst it allocates nothing for most texts. If there is an error it returns dst.
func (m *Model) AppendTokens(dst []Token, text string, opts TokenizeOptions) ([]Token, error) {
	const op = "tokenize"
	if err := m.enter(op); err != nil {
		return dst, err
	}
	defer m.calls.Done()
	if m.remote != nil {
		tokens, err := m.remote.tokenize(m.ctx, text, opts)
		return append(dst, tokens...), err
	}
	if tokens, ok := m.shared.knownWords(dst, text, opts.AddSpecial); ok {
		return tokens, nil
	}
	tokens, err := m.shared.weights.Tokenize(text, opts.AddSpecial, opts.ParseSpecial)
	if err != nil {
		return dst, wrap(op, err)
	}
	return append(dst, tokens...), nil
}

// Detokenize returns the bytes of tokens with control tokens as text. A part of a text need not be
// valid UTF-8. Ids outside the vocabulary are skipped.
func (m *Model) Detokenize(tokens []Token) ([]byte, error) {
	const op = "detokenize"
	if err := m.enter(op); err != nil {
		return nil, err
	}
	defer m.calls.Done()
	if m.remote != nil {
		return m.remote.detokenize(m.ctx, tokens)
	}
	text, err := m.shared.weights.Detokenize(tokens, true)
	return text, wrap(op, err)
}
