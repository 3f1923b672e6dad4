"""The friendly layer: arguments, errors, closing, iteration."""

import gc
import json
import pickle
import weakref
from pathlib import Path

import pytest

import mullama

HELLO = [{"role": "user", "content": "hello"}]


def test_a_runtime_says_what_it_runs_on(runtime):
    assert runtime.info()["engine"] == "echo"
    assert runtime.info()["version"] == mullama.load_library()
    assert [m["name"] for m in runtime.models()["models"]] == ["clock", "echo"]


def test_a_model_says_what_it_is(model):
    assert model.info()["ctx_size"] == 64


def test_options_of_a_runtime_reach_the_library():
    with pytest.raises(mullama.InvalidError, match="url"):
        mullama.Runtime(url="x")


def test_an_engine_that_is_missing_is_named():
    with pytest.raises(mullama.LibraryMissingError, match="/nowhere"):
        mullama.Runtime(library_dir="/nowhere")


def test_messages_and_whole_requests_give_the_same(model):
    whole = {"messages": HELLO, "options": {"num_predict": 2}}
    assert model.chat(whole).text() == "he"
    assert model.chat(HELLO, options={"num_predict": 2}).text() == "he"
    assert model.chat({"messages": HELLO}, options={"num_predict": 3}).text() == "hel"
    assert model.generate("hello", options={"num_predict": 2}).text() == "he"
    assert model.generate({"prompt": "hello"}).text() == "hello"
    assert model.render(HELLO) == model.render({"messages": HELLO}) == "user: hello\n"


def test_an_answer_has_its_counts(model):
    answer = model.chat(HELLO).collect()
    assert answer.text == "hello" and answer.thinking == ""
    assert answer.done_reason == "stop"
    assert (answer.prompt_eval_count, answer.eval_count, answer.cached_tokens) == (5, 5, 0)
    assert answer.data["done"] is True


def test_chunks_have_tokens(model):
    chunks = list(model.generate("hé"))
    assert [c.tokens for c in chunks] == [[104], [195, 169], []]
    assert chunks[0].data == {} and chunks[0].logprobs == []


def test_bytes_count_as_utf8(model):
    assert model.tokenize(b"h\xff\0") == [104, 255, 0]
    assert model.detokenize([104, 255]) == b"h\xff"
    assert model.detokenize_text([104, 255]) == "h\ufffd"


def test_texts_of_any_length(model):
    text = "é\0" * 100_000
    tokens = model.tokenize(text)
    assert bytes(tokens) == text.encode()
    assert model.detokenize(tokens) == text.encode()
    assert model.detokenize(tuple(tokens[:3])) == b"\xc3\xa9\0"


def test_invalid_text_is_an_error_of_python(model):
    for call in (model.tokenize, model.generate, lambda t: model.generate(HELLO, system=t)):
        with pytest.raises(UnicodeEncodeError):
            call("a\ud83d")
    with pytest.raises(ValueError):
        model.generate("a", options={"temperature": float("nan")})
    with pytest.raises(ValueError, match="null"):
        mullama.Runtime(echo=True).load("ec\0ho")


def test_invalid_tokens_are_errors_of_python(model):
    for tokens, kind in ([2**31], OverflowError), ([2**80], OverflowError), (["a"], TypeError):
        with pytest.raises(kind):
            model.detokenize(tokens)
    with pytest.raises(TypeError):
        model.detokenize(5)


def test_a_path_object_is_a_file(runtime):
    with pytest.raises(mullama.NotFoundError, match="nowhere.gguf"):
        mullama.Runtime(echo=True).load(Path("nowhere.gguf"))


def test_progress_is_told(runtime):
    told = []
    runtime.load("echo", progress=told.append).close()
    assert told[-1] == 1.0


def test_what_progress_raises_is_raised(runtime):
    def fail(part):
        raise KeyError(part)

    with pytest.raises(KeyError, match="1.0"):
        runtime.load("echo", progress=fail)


def test_closing_twice_does_nothing(runtime):
    model = runtime.load("echo")
    stream = model.chat(HELLO)
    for _ in range(2):
        stream.close()
        model.close()


def test_use_after_close_is_an_error():
    runtime = mullama.Runtime(echo=True)
    model = runtime.load("echo")
    stream = model.chat(HELLO)
    stream.close()
    for use in (stream.next, stream.cancel, stream.collect, lambda: list(stream)):
        with pytest.raises(mullama.ClosedError, match="closed"):
            use()
    model.close()
    for use in (model.info, lambda: model.tokenize("a"), lambda: model.chat(HELLO)):
        with pytest.raises(mullama.ClosedError, match="closed"):
            use()
    runtime.close()
    for use in (runtime.info, runtime.models, lambda: runtime.load("echo")):
        with pytest.raises(mullama.ClosedError, match="closed"):
            use()


def test_context_managers_close():
    with mullama.Runtime(echo=True) as runtime, runtime.load("echo") as model:
        with model.chat(HELLO) as stream:
            assert stream.next().text == "h"
        with pytest.raises(mullama.ClosedError):
            stream.next()
    with pytest.raises(mullama.ClosedError):
        model.info()


def test_a_model_lives_longer_than_its_runtime():
    with mullama.Runtime(echo=True) as runtime:
        model = runtime.load("echo")
    assert model.chat(HELLO).text() == "hello"


def test_a_stream_keeps_its_model():
    assert mullama.Runtime(echo=True).load("echo").chat(HELLO).text() == "hello"


def test_leaving_an_iteration_closes_the_stream(model):
    stream = model.chat(HELLO)
    for chunk in stream:
        assert chunk.text == "h"
        break
    with pytest.raises(mullama.ClosedError):
        stream.next()


def test_an_error_in_an_iteration_closes_the_stream(model):
    stream = model.chat(HELLO)
    with pytest.raises(ZeroDivisionError):
        for _ in stream:
            1 / 0
    with pytest.raises(mullama.ClosedError):
        stream.next()


def test_closing_within_an_iteration_is_an_error_of_it(model):
    stream = model.chat(HELLO)
    with pytest.raises(mullama.ClosedError):
        for _ in stream:
            stream.close()


def test_a_cancelled_answer_ends(model):
    stream = model.chat(HELLO)
    assert stream.next().text == "h"
    stream.cancel()
    answer = stream.collect()
    assert (answer.text, answer.done_reason) == ("", "cancelled")


def test_a_chunk_lives_longer_than_its_stream(model):
    stream = model.generate("ab")
    first, second = stream.next(), stream.next()
    stream.close()
    assert (first.text, second.text) == ("a", "b")


def test_what_is_dropped_is_closed(model):
    stream = model.chat(HELLO)
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None


def test_each_status_has_its_error():
    header = Path(__file__).resolve().parents[3] / "include" / "mullama.h"
    names = [
        line.split()[0][len("MULLAMA_ERR_") :].lower()
        for line in header.read_text().splitlines()
        if line.startswith("    MULLAMA_ERR_")
    ]
    kinds = {kind.status: kind for kind in mullama.MullamaError.__subclasses__()}
    assert sorted(kinds) == sorted(names)
    assert all(getattr(mullama, kind.__name__) is kind for kind in kinds.values())


def test_errors_can_be_pickled(model):
    with pytest.raises(mullama.ContextFullError) as caught:
        model.generate("x" * 65)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is mullama.ContextFullError
    assert str(again) == str(caught.value) and again.status == "context_full"
    assert mullama.MullamaError("m", "new").status == "new"


def test_garbage_collection_at_every_step(runtime):
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for i in range(100):
            with runtime.load("echo", progress=lambda part: None) as model:
                text = json.dumps({"number": i, "text": "é" * i})
                assert model.detokenize(model.tokenize(text)) == text.encode()
                assert model.chat([{"role": "user", "content": text}]).text() == text
                with pytest.raises(mullama.InvalidError):
                    model.chat([])
                model.chat(HELLO).next()
    finally:
        gc.set_threshold(*before)
