"""Runtimes and models."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

from . import _abi
from ._embed import Embedding, Ranking, embedding_of, ranking_of
from ._index import Index
from ._library import load_library
from ._stream import Stream, _Owner

#: Messages of a conversation, or a whole request of POST /api/chat.
Conversation = Union[Sequence[Mapping[str, Any]], Mapping[str, Any]]

#: A text to continue, or a whole request of POST /api/generate.
Prompt = Union[str, Mapping[str, Any]]

#: A text to embed or several of them, or a whole request of POST /api/embed.
Texts = Union[str, Sequence[str], Mapping[str, Any]]


def _dump(value: Mapping[str, Any]) -> str:
    # Half a surrogate pair stays in the text, so that it is an error and not another character.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _load(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


def _request(field: str, value: object, fields: Mapping[str, Any]) -> str:
    whole = value if isinstance(value, Mapping) else {field: value}
    return _dump({**whole, **fields})


class Runtime(_Owner):
    """The engine with the models that it has loaded.

    Opening one opens the library, which does not live through fork(): see load_library.
    """

    def __init__(
        self,
        *,
        library_dir: Union[str, os.PathLike[str], None] = None,
        models_dir: Union[str, os.PathLike[str], None] = None,
        url: Optional[str] = None,
        key: Optional[str] = None,
        echo: Optional[bool] = None,
    ) -> None:
        """Opens a runtime. All options may be left out.

        Args:
            library_dir: folder of the native engine (default: beside the library).
            models_dir: folder of the model store (default: none).
            url: address of a daemon that is to do the work.
            key: API key of that daemon.
            echo: True: no engine, and one model, "echo", that repeats what it is sent; for tests.
        """
        options = {
            "library_dir": os.fspath(library_dir) if library_dir is not None else None,
            "models_dir": os.fspath(models_dir) if models_dir is not None else None,
            "url": url,
            "key": key,
            "echo": echo,
        }
        load_library()
        given = {name: value for name, value in options.items() if value is not None}
        super().__init__(_abi.runtime_open(_dump(given)))

    def info(self) -> dict[str, Any]:
        """What the runtime runs on: version, engine, devices."""
        return _load(_abi.runtime_info(self._handle))

    def models(self) -> dict[str, Any]:
        """The models of the store, or of the daemon, as GET /api/tags tells them."""
        return _load(_abi.runtime_models(self._handle))

    def load(
        self,
        name: Union[str, os.PathLike[str]],
        *,
        progress: Optional[Callable[[float], object]] = None,
        **options: Any,
    ) -> Model:
        """Loads a model. Loading the same again is cheap: weights are shared.

        Args:
            name: a GGUF file, as a path object or a str that begins with / or ., or else the name
                of a model of the store or the daemon.
            progress: is told the loaded part, from 0 to 1, on some thread. If it returns False,
                CancelledError is raised; what it raises is raised here.
            options: ctx_size, slots, threads, gpu_layers and so on: docs/abi.md has all.
        """
        if not isinstance(name, str):
            name = os.path.abspath(name)
        return Model(_abi.model_load(self._handle, name, _dump(options), progress))

    async def load_async(
        self,
        name: Union[str, os.PathLike[str]],
        *,
        progress: Optional[Callable[[float], object]] = None,
        **options: Any,
    ) -> Model:
        """Loads a model, like load, without blocking the event loop."""
        return await asyncio.to_thread(self.load, name, progress=progress, **options)

    def open_index(
        self,
        path: Union[str, os.PathLike[str]],
        model: Optional[Model] = None,
        **options: Any,
    ) -> Index:
        """Opens an index of documents, or makes an empty one if there is no file.

        The file is on this machine, also where a daemon computes.

        Args:
            path: the file.
            model: embeds what is added and searched as text; None: vectors alone.
            options: dimensions, which a new index without a model needs; vectors: "f32", "f16" or
                "int8"; in_memory; threads; device, which searches: "CUDA0" and the like.
        """
        handle = model._handle if model is not None else None
        opened = _abi.index_open(self._handle, os.fspath(path), handle, _dump(options))
        return Index(opened, model)


class Model(_Owner):
    """A loaded model. It computes several requests together, from any threads or tasks."""

    def info(self) -> dict[str, Any]:
        """What the model's file says of it, and what it is doing."""
        return _load(_abi.model_info(self._handle))

    def tokenize(
        self, text: Union[str, bytes], *, add_special: bool = False, parse_special: bool = False
    ) -> list[int]:
        """Makes tokens of a text.

        Args:
            text: the text; bytes count as UTF-8.
            add_special: add what the model wants around a text, such as BOS.
            parse_special: texts of control tokens become those; not for texts of users.
        """
        flags = _abi.ADD_SPECIAL if add_special else 0
        flags |= _abi.PARSE_SPECIAL if parse_special else 0
        return _abi.model_tokenize(self._handle, text, flags)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Makes the bytes of tokens, which may begin or end within a character."""
        return _abi.model_detokenize(self._handle, tokens)

    def detokenize_text(self, tokens: Sequence[int]) -> str:
        """Makes the text of tokens, with U+FFFD for what is not UTF-8."""
        return self.detokenize(tokens).decode("utf-8", "replace")

    def render(self, messages: Conversation, **fields: Any) -> str:
        """The prompt that chat makes of the same arguments."""
        request = _request("messages", messages, fields)
        prompt: str = _load(_abi.model_render(self._handle, request))["prompt"]
        return prompt

    def chat(self, messages: Conversation, **fields: Any) -> Stream:
        """Begins to answer a conversation.

        This does not wait for the answer, but with a daemon it waits until the answer begins.

        Args:
            messages: the messages, or a whole request.
            fields: more fields of the request: options, format, tools, think, logprobs, truncate,
                shift and so on, as docs/api.md has them.
        """
        request = _request("messages", messages, fields)
        return Stream(_abi.model_chat(self._handle, request), self)

    def generate(self, prompt: Prompt, **fields: Any) -> Stream:
        """Begins to continue a text, or to answer a whole request; see chat."""
        request = _request("prompt", prompt, fields)
        return Stream(_abi.model_generate(self._handle, request), self)

    async def chat_async(self, messages: Conversation, **fields: Any) -> Stream:
        """Begins to answer a conversation, like chat, without blocking the event loop."""
        return await asyncio.to_thread(self.chat, messages, **fields)

    async def generate_async(self, prompt: Prompt, **fields: Any) -> Stream:
        """Begins to continue a text, like generate, without blocking the event loop."""
        return await asyncio.to_thread(self.generate, prompt, **fields)

    def embed(self, texts: Texts, **fields: Any) -> list[Embedding]:
        """Embeds texts, and waits for all of them.

        What is wrong with one text is the error of its embedding, or with a daemon may be raised.

        Args:
            texts: a text, a list of texts, or a whole request.
            fields: more fields of the request: pooling, normalize, dimensions, truncate, task,
                prefix and length, as docs/embeddings.md has them.
        """
        request = _request("input", texts, fields)
        return [embedding_of(*made) for made in _abi.model_embed(self._handle, request)]

    def rerank(self, query: str, documents: Sequence[str], **fields: Any) -> Ranking:
        """Says how well documents answer a query, by a model that ranks or chats.

        Args:
            query: what the documents may answer.
            documents: the texts of the documents.
            fields: more fields of a request of POST /v1/rerank: top_n, raw_scores, instruction.
        """
        request = _dump({"query": query, "documents": documents, **fields})
        return ranking_of(_load(_abi.model_rerank(self._handle, request)))

    def score(self, query: str, documents: Sequence[str], **fields: Any) -> Ranking:
        """Says how well documents answer a query by late interaction; see rerank."""
        request = _dump({"query": query, "documents": documents, **fields})
        return ranking_of(_load(_abi.model_score(self._handle, request)))

    async def embed_async(self, texts: Texts, **fields: Any) -> list[Embedding]:
        """Embeds texts, like embed, without blocking the event loop."""
        return await asyncio.to_thread(self.embed, texts, **fields)

    async def rerank_async(self, query: str, documents: Sequence[str], **fields: Any) -> Ranking:
        """Ranks documents, like rerank, without blocking the event loop."""
        return await asyncio.to_thread(self.rerank, query, documents, **fields)

    async def score_async(self, query: str, documents: Sequence[str], **fields: Any) -> Ranking:
        """Scores documents, like score, without blocking the event loop."""
        return await asyncio.to_thread(self.score, query, documents, **fields)
