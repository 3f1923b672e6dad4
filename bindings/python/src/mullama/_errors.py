"""The errors of the package: one class per status of the C ABI."""

from __future__ import annotations


class MullamaError(Exception):
    """What went wrong, in a sentence that says what to do.

    Each status has a subclass; a status that this package does not know is a plain MullamaError.
    """

    #: The name of the status, such as "context_full".
    status: str = "unknown"

    def __init__(self, message: str, status: str = "") -> None:
        super().__init__(message)
        if status:
            self.status = status


class InvalidError(MullamaError):
    """An argument, option or request is not valid."""

    status = "invalid"


class NotFoundError(MullamaError):
    """There is no such file, or model of the store."""

    status = "not_found"


class NotGGUFError(MullamaError):
    """The file is not a complete GGUF model."""

    status = "not_gguf"


class UnsupportedError(MullamaError):
    """This engine, or this model, cannot do that."""

    status = "unsupported"


class ContextFullError(MullamaError):
    """The prompt does not fit in the context. A shorter one, or a larger ctx_size, does."""

    status = "context_full"


class TemplateError(MullamaError):
    """A chat template does not parse or render."""

    status = "template"


class GrammarError(MullamaError):
    """A grammar or JSON schema cannot be used."""

    status = "grammar"


class OutOfMemoryError(MullamaError):
    """The model does not fit in memory."""

    status = "out_of_memory"


class BusyError(MullamaError):
    """Too many requests wait already."""

    status = "busy"


class StoreError(MullamaError):
    """The model store is damaged or not readable."""

    status = "store"


class UnreachableError(MullamaError):
    """Another machine that the model is on does not answer, or went away."""

    status = "unreachable"


class LibraryMissingError(MullamaError):
    """A native library is missing or of another version."""

    status = "library_missing"


class ClosedError(MullamaError):
    """The runtime, model or stream is closed."""

    status = "closed"


class CancelledError(MullamaError):
    """The call was cancelled."""

    status = "cancelled"


class InternalError(MullamaError):
    """A fault of the library. Every later call fails in the same way."""

    status = "internal"


class ForkedError(MullamaError):
    """The process was forked after the library was loaded. Load it in the child instead."""

    status = "forked"


class TooSmallError(MullamaError):
    """A buffer is too small."""

    status = "too_small"


_CLASSES = {kind.status: kind for kind in MullamaError.__subclasses__()}


def error_of(status: str, message: str) -> MullamaError:
    """Makes the error of a status. The extension calls this."""
    kind = _CLASSES.get(status)
    return kind(message) if kind else MullamaError(message, status)
