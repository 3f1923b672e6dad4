"""The calls from Python: README.md says what they are."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import mullama
from mullama import _abi

TEXT = "Hello, world!"
STORY = "Once upon a time, in a small village by the sea, there lived a"
SAMPLES = 10_000
CALLS = 10  # in a sample
WARM = 10  # samples that are not kept
PARTS = 1000
STREAM_TOKENS = 256
STREAM_REPS = 3
REQUESTS = 16
REQUEST_TOKENS = 64
REQUEST_REPS = 2


def measure(call: Callable[..., object], *args: object) -> list[float]:
    """The nanoseconds that a call takes, the mean of each ten."""
    samples = []
    now = time.monotonic_ns
    repeats = (None,) * CALLS
    for sample in range(-WARM, SAMPLES):
        start = now()
        for _ in repeats:
            call(*args)
        each = (now() - start) / CALLS
        if sample >= 0:
            samples.append(each)
    return samples


def load(path: str, **options: Any) -> mullama.Model:
    return mullama.Runtime().load(path, **options)


def generate(model: mullama.Model, prompt: str, tokens: int) -> mullama.Stream:
    return model.generate(prompt, raw=True, options={"temperature": 0, "num_predict": tokens})


def drain(stream: mullama.Stream) -> int:
    """Reads an answer to its end, and counts its tokens."""
    return sum(len(chunk.tokens) for chunk in stream)


def calls(path: str) -> dict[str, list[float]]:
    model = load(path, vocab_only=True)
    return {"noop": measure(_abi.noop), "tokenize": measure(model.tokenize, TEXT)}


def delays() -> dict[str, list[int]]:
    delay = []
    model = mullama.Runtime(echo=True).load("clock")
    for chunk in generate(model, "?", PARTS):
        now = time.monotonic_ns()
        if not chunk.done:
            delay.append(now - int(chunk.text))
    return {"delay": delay}


def repeat(reps: int, work: Callable[[], int]) -> dict[str, list[float]]:
    """Does some work once to warm up and then some times more."""
    tokens: list[float] = []
    seconds = []
    work()
    for _ in range(reps):
        start = time.monotonic()
        tokens.append(work())
        seconds.append(time.monotonic() - start)
    return {"tokens": tokens, "seconds": seconds}


def stream(path: str) -> dict[str, list[float]]:
    model = load(path, slots=1)
    return repeat(STREAM_REPS, lambda: drain(generate(model, STORY, STREAM_TOKENS)))


def concurrent(path: str) -> dict[str, list[float]]:
    model = load(path, slots=REQUESTS, ctx_size=512)

    def ask(i: int) -> int:
        return drain(generate(model, f"{i}. {STORY}", REQUEST_TOKENS))

    with ThreadPoolExecutor(REQUESTS) as pool:
        return repeat(REQUEST_REPS, lambda: sum(pool.map(ask, range(REQUESTS))))


WORK = {"calls": calls, "delays": delays, "stream": stream, "concurrent": concurrent}

if len(sys.argv) < 2 or sys.argv[1] not in WORK:
    sys.exit("usage: python.py calls|delays|stream|concurrent [MODEL]")
print(json.dumps(WORK[sys.argv[1]](*sys.argv[2:])))
