"""Embeddings, and the scores of documents."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ._errors import MullamaError


class Embedding(NamedTuple):
    """The embedding of a text, or what is wrong with that text."""

    #: The rows: one, or with the pooling "none" one for each token. They are arrays of floats,
    #: which NumPy reads as they are: numpy.array(rows). Empty after an error.
    rows: list[array[float]]
    #: How many tokens of the text were embedded.
    tokens: int
    #: True if the text was too long, and its end was left out.
    truncated: bool
    #: What is wrong with the text; None if nothing is.
    error: Optional[MullamaError]

    @property
    def vector(self) -> array[float]:
        """The row of a text that was pooled. Raises the error of the text, if there is one."""
        if self.error is not None:
            raise self.error
        return self.rows[0]


@dataclass(frozen=True)
class Score:
    """How well a document answers a query."""

    #: The number of the document.
    index: int
    #: More is better.
    score: float


class Ranking(NamedTuple):
    """The scores of documents."""

    #: The documents that were asked for, the best first.
    results: list[Score]
    #: How they were ranked: "head", "judge" or "tokens".
    method: str
    #: How many tokens were computed.
    tokens: int
    #: The whole answer, as the HTTP API has it.
    data: dict[str, Any]


def embedding_of(
    values: bytes, rows: int, tokens: int, truncated: bool, error: Optional[MullamaError]
) -> Embedding:
    """Makes an embedding of the bytes of its rows."""
    size = len(values) // max(rows, 1)
    parts = (values[i * size : (i + 1) * size] for i in range(rows))
    return Embedding([array("f", part) for part in parts], tokens, truncated, error)


def ranking_of(data: dict[str, Any]) -> Ranking:
    """Makes a ranking of an answer."""
    results = [Score(each["index"], each["relevance_score"]) for each in data["results"]]
    return Ranking(results, data["method"], data["usage"]["prompt_tokens"], data)
