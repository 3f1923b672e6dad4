package engine

import (
	"errors"
	"fmt"
	"strings"
)

// ErrContextFull means the prompt does not fit in the context. The request can succeed with a
// shorter prompt or a model loaded with a larger context.
var ErrContextFull = errors.New("context full")

// ErrCacheFull means the KV cache has no free cells for a step. From [Model.Step] it says that
// nothing was decoded. A request sees it only when it alone does not fit.
var ErrCacheFull = errors.New("kv cache full")

// ErrClosed means the Engine was closed before the request finished or was made.
var ErrClosed = errors.New("engine closed")

// ErrCancelled means that work was stopped because its caller asked for it. From [Engine.Submit] it
// comes with the context's cause; from [Model.Step] it says that [Model.Abort] took effect.
var ErrCancelled = errors.New("cancelled")

// ErrInvalid means a request contradicts itself or the model. The message says where.
var ErrInvalid = errors.New("invalid request")

// ContextFullError is an [ErrContextFull] with the numbers.
type ContextFullError struct {
	Prompt  int    // tokens of the prompt, or of the part of it that was looked at
	Context int    // tokens that the context takes
	Part    string // what was looked at; empty: the whole prompt
	Advice  string // what to do; empty: what helps with a prompt
}

func (e *ContextFullError) Error() string {
	part, has := "the prompt", "has"
	if e.Part != "" {
		part = e.Part
	}
	if strings.HasSuffix(part, "s") {
		has = "have"
	}
	advice := "shorten the prompt or load the model with a larger context"
	if e.Advice != "" {
		advice = e.Advice
	}
	return fmt.Sprintf("%s %s %d tokens, which exceeds the available context size of %d; %s",
		part, has, e.Prompt, e.Context, advice)
}

// Is makes it an ErrContextFull.
func (e *ContextFullError) Is(target error) bool { return target == ErrContextFull }
