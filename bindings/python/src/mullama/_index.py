"""Indexes of documents for late interaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from . import _abi
from ._stream import _Owner

if TYPE_CHECKING:
    from ._runtime import Model


class Found(NamedTuple):
    """A document that a search found."""

    id: str
    #: More is better.
    score: float


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class Index(_Owner):
    """A file of documents that are found by late interaction, from any threads or tasks.

    Runtime.open_index opens it. Closing it waits for the calls under way.
    """

    def __init__(self, handle: _abi.Handle, model: Optional[Model]) -> None:
        super().__init__(handle)
        self._model = model  # must not be collected, which would close it

    def info(self) -> dict[str, Any]:
        """What is in the index: model, dimensions, vectors, documents, tokens, bytes, groups."""
        info: dict[str, Any] = json.loads(_abi.index_info(self._handle))
        return info

    def add(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Adds documents, all or none. They are in the file when this returns.

        Args:
            documents: each has an "id" that no other has, and a "text" for the model of the index
                to embed, or the "vectors" of its tokens.
        """
        _abi.index_add(self._handle, _dump({"documents": documents}))

    def train(self, groups: int = 0) -> None:
        """Groups similar tokens of all documents, for searches with probe.

        Args:
            groups: how many there are to be; 0: as many as suit the index.
        """
        _abi.index_train(self._handle, _dump({"groups": groups}))

    def search(
        self,
        query: Optional[str] = None,
        *,
        vectors: Optional[Sequence[Sequence[float]]] = None,
        **fields: Any,
    ) -> list[Found]:
        """Finds the documents that score best, the best first.

        Args:
            query: a text for the model of the index to embed.
            vectors: those of the tokens of a query, in place of the text.
            fields: more fields of the request: top_n (10), and after train() probe and candidates,
                as docs/late-interaction.md has them.
        """
        request = {"query": query, "vectors": vectors, **fields}
        given = {name: value for name, value in request.items() if value is not None}
        answer = json.loads(_abi.index_search(self._handle, _dump(given)))
        return [Found(each["id"], each["score"]) for each in answer["results"]]

    def verify(self) -> None:
        """Reads the whole file, and raises StoreError if it is damaged."""
        _abi.index_verify(self._handle)

    async def add_async(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Adds documents, like add, without blocking the event loop."""
        await asyncio.to_thread(self.add, documents)

    async def search_async(
        self,
        query: Optional[str] = None,
        *,
        vectors: Optional[Sequence[Sequence[float]]] = None,
        **fields: Any,
    ) -> list[Found]:
        """Finds documents, like search, without blocking the event loop."""
        return await asyncio.to_thread(self.search, query, vectors=vectors, **fields)
