package mullama

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/mullama/mullama/internal/engine"
	"github.com/mullama/mullama/internal/gguf"
	"github.com/mullama/mullama/internal/llama"
	"github.com/mullama/mullama/internal/maxsim"
	"github.com/mullama/mullama/internal/registry"
	"github.com/mullama/mullama/internal/store"
)

// The kinds of error, for [errors.Is].
var (
	// ErrNotFound means that a file does not exist or may not be read.
	ErrNotFound = errors.New("not found")
	// ErrNotGGUF means that a file is not a complete GGUF model.
	ErrNotGGUF = errors.New("not a GGUF model")
	// ErrUnsupported means that this engine or this model cannot do what was asked.
	ErrUnsupported = errors.New("unsupported")
	// ErrContextFull means that a prompt does not fit in the context. A shorter prompt or a larger
	// ContextSize helps.
	ErrContextFull = errors.New("context full")
	// ErrInvalidOption means that an option is out of range or contradicts another.
	ErrInvalidOption = errors.New("invalid option")
	// ErrTemplate means that a chat template does not parse or does not render.
	ErrTemplate = errors.New("chat template error")
	// ErrGrammar means that a grammar or JSON schema cannot be used.
	ErrGrammar = errors.New("grammar error")
	// ErrOutOfMemory means that a model or context does not fit in memory.
	ErrOutOfMemory = errors.New("out of memory")
	// ErrBusy means that too many requests wait already. The cause is a [BusyError], which says
	// when to try again.
	ErrBusy = errors.New("busy")
	// ErrStore means that the model store or an index is damaged, or cannot be read or written.
	ErrStore = errors.New("model store not usable")
	// ErrLibraryMissing means that the native library is missing, broken or of another version.
	ErrLibraryMissing = errors.New("native library not usable")
	// ErrUnreachable means that another machine that a model is on, or is to be on, does not answer
	// or went away. The model is loaded again by the next request of Acquire, or the next Load. Or
	// that a registry does so, or sends what is damaged.
	ErrUnreachable = errors.New("other machine not reachable")
	// ErrClosed means that a Runtime or Model was used after Close.
	ErrClosed = errors.New("closed")
	// ErrCancelled means that the caller's context ended first.
	ErrCancelled = errors.New("cancelled")
	// ErrInternal means that the engine failed in a way that is not the caller's doing.
	ErrInternal = errors.New("internal error")
)

// names are the names of the kinds outside of Go: those of mullama_status_name, of the daemon's
// errors, and of the bindings.
var names = []struct {
	kind error
	name string
}{
	{ErrNotFound, "not_found"},
	{ErrNotGGUF, "not_gguf"},
	{ErrUnsupported, "unsupported"},
	{ErrContextFull, "context_full"},
	{ErrInvalidOption, "invalid"},
	{ErrTemplate, "template"},
	{ErrGrammar, "grammar"},
	{ErrOutOfMemory, "out_of_memory"},
	{ErrBusy, "busy"},
	{ErrStore, "store"},
	{ErrLibraryMissing, "library_missing"},
	{ErrUnreachable, "unreachable"},
	{ErrClosed, "closed"},
	{ErrCancelled, "cancelled"},
	{ErrInternal, "internal"},
}

// ErrorName returns the name that the kind of an error has in the C library, in the daemon's
// answers and in the bindings, such as "context_full". An error of no kind is "internal".
func ErrorName(err error) string {
	for _, n := range names {
		if errors.Is(err, n.kind) {
			return n.name
		}
	}
	return "internal"
}

// ContextFullError is the cause of an ErrContextFull, where the number of tokens is known.
type ContextFullError = engine.ContextFullError

// QueryError is the cause of an error of a ranking that is about its query, not about a document.
type QueryError struct {
	Err error
}

func (e *QueryError) Error() string { return e.Err.Error() }
func (e *QueryError) Unwrap() error { return e.Err }

// Error is an error of this package.
type Error struct {
	Kind error  // one of the Err variables
	Op   string // what was being done, "load model.gguf"; empty where Err says it all
	Hint string // what to do about it; may be empty
	Err  error  // the cause
}

func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap makes [errors.Is] find both the kind and the cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// kinds maps the errors of the packages below to the kinds above. The first match counts.
var kinds = []struct {
	is, kind error
	hint     string
}{
	{context.Canceled, ErrCancelled, ""},
	{context.DeadlineExceeded, ErrCancelled, ""},
	{engine.ErrCancelled, ErrCancelled, ""},
	{llama.ErrCancelled, ErrCancelled, ""},
	{store.ErrName, ErrInvalidOption, "a name is [[host/]namespace/]model[:tag]"},
	{store.ErrNotFound, ErrNotFound, "list the models that there are, or pull or import it"},
	{store.ErrCorrupt, ErrStore, "pull or create the model again"},
	{store.ErrLocked, ErrStore, "try again when it is done"},
	{store.ErrWrite, ErrStore, "check the folder's permissions and the free space"},
	{registry.ErrNotFound, ErrNotFound, ""},
	{registry.ErrDenied, ErrNotFound, ""},
	{registry.ErrUnreachable, ErrUnreachable, "check the network, and try again later"},
	{registry.ErrInsecure, ErrInvalidOption, "allow it with insecure"},
	{registry.ErrInvalid, ErrInvalidOption, ""},
	{registry.ErrSpace, ErrStore, "free some space, or choose another folder for the models"},
	{syscall.EIO, ErrStore, "the disk fails; look for its errors in the system's log"},
	{fs.ErrNotExist, ErrNotFound, "check the path"},
	{fs.ErrPermission, ErrNotFound, "check the permissions of the file"},
	{maxsim.ErrInvalid, ErrInvalidOption, ""},
	{maxsim.ErrDamaged, ErrStore, ""},
	{maxsim.ErrBusy, ErrStore, ""},
	{maxsim.ErrMemory, ErrOutOfMemory, "choose another device, or none"},
	{maxsim.ErrClosed, ErrClosed, ""},
	{gguf.ErrVersion, ErrUnsupported, ""},
	{gguf.ErrTruncated, ErrNotGGUF, ""},
	{gguf.ErrNotGGUF, ErrNotGGUF, ""},
	{gguf.ErrMalformed, ErrNotGGUF, "fetch or convert the model again"},
	{engine.ErrContextFull, ErrContextFull, ""},
	{engine.ErrInvalid, ErrInvalidOption, ""},
	{engine.ErrClosed, ErrClosed, ""},
	{llama.ErrClosed, ErrClosed, ""},
	{llama.ErrLibrary, ErrLibraryMissing, ""},
	{llama.ErrLost, ErrUnreachable,
		"is mullama rpc-server running there, and serving nobody else?"},
	{llama.ErrLoad, ErrUnsupported, ""},
	{llama.ErrMemory, ErrOutOfMemory, "use a smaller context, KV cache type or model"},
	{llama.ErrInvalid, ErrInvalidOption, ""},
	{llama.ErrUnsupported, ErrUnsupported, ""},
	{llama.ErrTemplate, ErrTemplate, ""},
	{llama.ErrGrammar, ErrGrammar, ""},
}

// wrap adds op and the kind to err; nil stays nil, and an *Error stays as it is.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return &Error{Kind: k.kind, Op: op, Hint: k.hint, Err: err}
		}
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) { // a name too long, …
		return &Error{Kind: ErrNotFound, Op: op, Hint: "check the path", Err: err}
	}
	return &Error{Kind: ErrInternal, Op: op, Err: err}
}

// invalid is an ErrInvalidOption about an option.
func invalid(op, message string) error {
	return &Error{Kind: ErrInvalidOption, Op: op, Err: errors.New(message)}
}

// unsupported is an ErrUnsupported.
func unsupported(op, message string) error {
	return &Error{Kind: ErrUnsupported, Op: op, Err: errors.New(message)}
}
