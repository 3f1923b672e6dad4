"""Embeddings: their arrays, and the errors of single texts."""

import asyncio
import pickle

import pytest

import mullama


def test_texts_and_whole_requests_give_the_same(model):
    (text,) = model.embed("ab", normalize=False)
    (listed,) = model.embed(["ab"], normalize=False)
    (whole,) = model.embed({"input": ["ab"]}, normalize=False)
    assert text == listed == whole
    assert text.vector.tolist() == [97.5, 1] and len(text.rows) == 1


def test_without_pooling_each_token_has_a_row(model):
    first, second = model.embed(["ab", "c"], pooling="none", normalize=False)
    assert [row.tolist() for row in first.rows] == [[97, 1], [98, 1]]
    assert (first.tokens, first.truncated, second.tokens) == (2, False, 1)


def test_each_text_has_its_embedding_or_its_error(model):
    good, empty, long, last = model.embed(["a", "", "x" * 65, "b"])
    assert good.error is None and last.error is None
    assert isinstance(empty.error, mullama.InvalidError) and empty.rows == []
    with pytest.raises(mullama.ContextFullError, match="65 tokens"):
        long.vector


def test_an_embedding_is_a_buffer_that_can_be_pickled(model):
    (made,) = model.embed("a", normalize=False)
    assert memoryview(made.vector).format == "f"
    assert pickle.loads(pickle.dumps(made)) == made


def test_what_no_request_is_made_of_is_told(model):
    with pytest.raises(mullama.InvalidError, match="at least one text"):
        model.embed([])
    with pytest.raises(mullama.InvalidError, match="documents"):
        model.rerank("q", "a")
    with pytest.raises(mullama.UnsupportedError, match="rank"):
        model.rerank("q", ["a"])
    with pytest.raises(mullama.UnsupportedError, match="score"):
        model.score("q", ["a"])


def test_a_closed_model_does_not_embed(runtime):
    closed = runtime.load("echo")
    closed.close()
    for call in (lambda: closed.embed("a"), lambda: closed.rerank("q", ["a"])):
        with pytest.raises(mullama.ClosedError):
            call()


def test_embedding_leaves_the_event_loop_free(model):
    async def both():
        with pytest.raises(mullama.UnsupportedError):
            await model.rerank_async("q", ["a"])
        with pytest.raises(mullama.UnsupportedError):
            await model.score_async("q", ["a"])
        return await asyncio.gather(model.embed_async("a"), model.embed_async("b"))

    (one,), (other,) = asyncio.run(both())
    assert one.vector != other.vector
