"""Language models in your process, on llama.cpp.

    import mullama

    with mullama.Runtime() as runtime, runtime.load("./smollm2.gguf") as model:
        for chunk in model.chat([{"role": "user", "content": "Hi"}]):
            print(chunk.text, end="")

A Runtime loads Models, and a Model answers requests, each with a Stream. All three may be used
from any thread, and requests that run at the same time are computed together. Functions that wait
let other threads run; those with a name that ends in _async, and `async for`, leave the event loop
free.
"""

from ._embed import Embedding, Ranking, Score
from ._errors import (
    BusyError,
    CancelledError,
    ClosedError,
    ContextFullError,
    ForkedError,
    GrammarError,
    InternalError,
    InvalidError,
    LibraryMissingError,
    MullamaError,
    NotFoundError,
    NotGGUFError,
    OutOfMemoryError,
    StoreError,
    TemplateError,
    TooSmallError,
    UnreachableError,
    UnsupportedError,
)
from ._index import Found, Index
from ._library import load_library
from ._runtime import Conversation, Model, Prompt, Runtime, Texts
from ._stream import Answer, Chunk, Stream

__all__ = [
    "Answer",
    "BusyError",
    "CancelledError",
    "Chunk",
    "ClosedError",
    "ContextFullError",
    "Conversation",
    "Embedding",
    "ForkedError",
    "Found",
    "GrammarError",
    "Index",
    "InternalError",
    "InvalidError",
    "LibraryMissingError",
    "Model",
    "MullamaError",
    "NotFoundError",
    "NotGGUFError",
    "OutOfMemoryError",
    "Prompt",
    "Ranking",
    "Runtime",
    "Score",
    "StoreError",
    "Stream",
    "TemplateError",
    "Texts",
    "TooSmallError",
    "UnreachableError",
    "UnsupportedError",
    "load_library",
]
