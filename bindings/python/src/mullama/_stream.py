"""Answers, part by part or as a whole."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, TypeVar

from . import _abi

if TYPE_CHECKING:
    from ._runtime import Model

_Self = TypeVar("_Self", bound="_Owner")


class _Owner:
    """Owns a handle of the library, which is closed at the latest when the interpreter exits."""

    def __init__(self, handle: _abi.Handle) -> None:
        self._handle = handle
        self._closer = weakref.finalize(self, _abi.close, handle)

    def close(self) -> None:
        """Gives it back. Closing again does nothing; any other use raises ClosedError."""
        self._closer()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


class Chunk(NamedTuple):
    """A part of an answer."""

    text: str
    #: What the model thinks before it answers, if it does.
    thinking: str
    #: The tokens that text and thinking are of; empty if a daemon answers.
    tokens: list[int]
    #: True for the last part.
    done: bool
    #: Of the last part: done_reason, counts and times. Else logprobs, if they were asked for.
    data: dict[str, Any]

    @property
    def logprobs(self) -> list[dict[str, Any]]:
        """The log probabilities of the tokens, if they were asked for."""
        found: list[dict[str, Any]] = self.data.get("logprobs") or []
        return found


class Answer(NamedTuple):
    """A whole answer."""

    text: str
    thinking: str
    #: Why it ended: "stop", "length", "cancelled" and so on.
    done_reason: str
    #: Tokens of the prompt, of the answer, and those of the prompt that were computed before.
    prompt_eval_count: int
    eval_count: int
    cached_tokens: int
    #: The last line of the answer, as the HTTP API has it.
    data: dict[str, Any]


def _chunk(part: tuple[str, str, list[int], str, bool]) -> Chunk:
    text, thinking, tokens, data, done = part
    return Chunk(text, thinking, tokens, done, json.loads(data) if data else {})


def _answer(parts: list[Chunk]) -> Answer:
    data = parts[-1].data if parts else {}
    return Answer(
        text="".join(p.text for p in parts),
        thinking="".join(p.thinking for p in parts),
        done_reason=data.get("done_reason", ""),
        prompt_eval_count=data.get("prompt_eval_count", 0),
        eval_count=data.get("eval_count", 0),
        cached_tokens=data.get("cached_tokens", 0),
        data=data,
    )


class Stream(_Owner):
    """An answer while it is generated.

    Iterate over it with `for` or `async for`, or collect it. However an iteration ends, it closes
    the stream, and so ends an answer that nobody waits for. One thread or task reads a stream;
    any other may cancel or close it.
    """

    def __init__(self, handle: _abi.Handle, model: Model) -> None:
        super().__init__(handle)
        self._model = model  # closing it would end the stream

    def next(self) -> Optional[Chunk]:
        """Waits for the next part; None after the last one."""
        part = _abi.stream_next(self._handle)
        return _chunk(part) if part is not None else None

    def cancel(self) -> None:
        """Ends the answer. Its last part comes soon, with the done_reason "cancelled"."""
        _abi.stream_cancel(self._handle)

    def __iter__(self) -> Iterator[Chunk]:
        try:
            while (chunk := self.next()) is not None:
                yield chunk
        finally:
            self.close()

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return _Delivery(self)

    def collect(self) -> Answer:
        """Waits for the rest of the answer."""
        return _answer(list(self))

    def text(self) -> str:
        """Waits for the rest of the answer, and returns its text."""
        return self.collect().text

    async def collect_async(self) -> Answer:
        """Waits for the rest of the answer without blocking the event loop."""
        return _answer([chunk async for chunk in self])

    async def text_async(self) -> str:
        """Waits for the text of the rest of the answer without blocking the event loop."""
        return (await self.collect_async()).text


_Event = tuple[Optional[tuple[str, str, list[int], str, bool]], Optional[Exception]]


class _Delivery(AsyncIterator[Chunk]):
    """The parts of a stream, told to the running event loop by a thread of the library."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._over = False
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        loop, put = asyncio.get_running_loop(), self._events.put_nowait

        def tell(*event: Any) -> bool:  # has no reference to self, which so can be dropped
            try:
                loop.call_soon_threadsafe(put, event)
                return True
            except RuntimeError:  # the loop is closed: nobody waits for the answer
                return False

        _abi.stream_deliver(stream._handle, tell)
        weakref.finalize(self, stream.close)

    async def __anext__(self) -> Chunk:
        if self._over:
            raise StopAsyncIteration
        try:
            part, error = await self._events.get()
        except BaseException:  # the task is cancelled; its traceback would keep this for long
            self._stream.close()
            raise
        if part is not None:
            return _chunk(part)
        self._over = True
        self._stream.close()
        raise error or StopAsyncIteration
