"""Threads: concurrent answers, and streams that are cancelled and closed while they are read."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import mullama

QUESTION = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
GREEDY = {"temperature": 0, "num_predict": 32}


def eight_at_once(function):
    """Calls a function from eight threads that begin together."""
    start = threading.Barrier(8)

    def call(i):
        start.wait()
        return function(i)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(8)))


def test_eight_chats_at_once_are_as_one_alone(model):
    def ask(i):
        text = f"question {i} é"
        messages = [{"role": "user", "content": text}]
        return all(model.chat(messages).text() == text for _ in range(50))

    assert eight_at_once(ask) == [True] * 8


def test_eight_real_chats_at_once_are_as_one_alone(real_file):
    with mullama.Runtime() as runtime, runtime.load(real_file, ctx_size=2048, slots=8) as model:
        alone = model.chat(QUESTION, options=GREEDY).text()
        answers = eight_at_once(lambda i: model.chat(QUESTION, options=GREEDY).text())
    assert answers == [alone] * 8


def test_cancel_from_another_thread(real_file):
    with mullama.Runtime() as runtime, runtime.load(real_file, ctx_size=1024) as model:
        stream = model.generate("Once", options={"temperature": 0, "num_predict": 900})
        begun = threading.Event()

        def cancel():
            begun.wait()
            stream.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        chunks = []
        for chunk in stream:
            chunks.append(chunk)
            begun.set()
        thread.join()
    assert chunks[-1].data["done_reason"] == "cancelled"


def test_close_from_another_thread_while_reading(model):
    for _ in range(300):
        stream = model.generate("x" * 60)
        closer = threading.Thread(target=stream.close)
        parts = [stream.next().text]
        closer.start()
        with pytest.raises(mullama.ClosedError):
            while True:
                part = stream.next()
                if part is None:
                    break
                parts.append(part.text)
            closer.join()
            stream.next()
        closer.join()
        assert set(parts) <= {"x", ""}


def test_streams_of_several_readers(model):
    """A reader gets a whole part, the end, or is told that another one reads."""
    stream = model.generate("x" * 60)

    def read(i):
        texts = []
        while True:
            try:
                chunk = stream.next()
            except mullama.InvalidError as error:
                assert "another" in str(error)
                continue
            if chunk is None:
                return "".join(texts)
            texts.append(chunk.text)

    assert "".join(eight_at_once(read)) == "x" * 60


def test_a_stream_that_is_delivered_has_one_reader(model):
    stream = model.generate("abc")
    wait, over, told = threading.Event(), threading.Event(), []

    def tell(part, error):
        wait.wait()
        told.append(part[0] if part else error)
        if part is None:
            over.set()

    mullama._abi.stream_deliver(stream._handle, tell)
    with pytest.raises(mullama.InvalidError, match="another"):
        stream.next()
    with pytest.raises(mullama.InvalidError, match="another"):
        mullama._abi.stream_deliver(stream._handle, tell)
    wait.set()
    assert over.wait(60)
    assert told == ["a", "b", "c", "", None]


def test_a_delivery_ends_when_the_function_says_so(model):
    stream = model.generate("abc")
    over, told = threading.Event(), []

    def tell(part, error):
        told.append(part[0] if part else error)
        if part is None:
            over.set()
        return False

    mullama._abi.stream_deliver(stream._handle, tell)
    assert over.wait(60)
    assert told == ["a", "", None]


def test_closing_while_a_part_is_delivered(model):
    """The part stays whole: the stream is closed when its delivery is over."""
    for _ in range(100):
        stream = model.generate("x" * 60)
        over, told = threading.Event(), []

        def tell(part, error):
            stream.close()
            told.append(part)
            if part is None:
                over.set()

        mullama._abi.stream_deliver(stream._handle, tell)
        assert over.wait(60)
        assert told[0][0] == "x" and told[-1] is None
        with pytest.raises(mullama.ClosedError):
            stream.next()


def test_threads_run_while_a_model_loads(runtime):
    """progress waits for another thread, which could not run if load kept the GIL."""
    asked, answered = threading.Event(), threading.Event()

    def answer():
        asked.wait()
        answered.set()

    thread = threading.Thread(target=answer)
    thread.start()

    def progress(part):
        asked.set()
        assert answered.wait(60)

    runtime.load("echo", progress=progress).close()
    thread.join()
