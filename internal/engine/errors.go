package engine

import "errors"

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
