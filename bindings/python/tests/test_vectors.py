"""Runs conformance/vectors: what every binding must do."""

import json
import os
from pathlib import Path

import pytest

import mullama

VECTORS = Path(__file__).resolve().parents[3] / "conformance" / "vectors"
MODEL = os.environ.get("MULLAMA_TEST_MODEL")
URL = os.environ.get("MULLAMA_TEST_URL")

# What is run: the name in the results, with the file, the model and the options of the runtime.
RUNS = {"echo": ("echo", "echo", {"echo": True})}
if MODEL:
    RUNS["smollm2"] = ("smollm2", os.path.abspath(MODEL), {})
if URL:
    RUNS["daemon"] = ("smollm2", "smollm2", {"url": URL})


def read(name):
    file, model, _ = RUNS[name]
    text = (VECTORS / f"{file}.json").read_text(encoding="utf-8")
    return json.loads(text.replace("$VECTORS", str(VECTORS)).replace("$MODEL", model))


def cases():
    for name in RUNS:
        for case in read(name)["cases"]:
            yield pytest.param(name, case, id=f"{name}/{case['name']}")


@pytest.fixture(scope="module")
def loaded():
    """Gives the runtime and the model of a file of vectors, opened once."""
    opened = {}

    def get(name):
        if name not in opened:
            _, model, options = RUNS[name]
            runtime = mullama.Runtime(**options)
            opened[name] = runtime, runtime.load(model, **read(name)["load"])
        return opened[name]

    yield get
    for runtime, model in opened.values():
        model.close()
        runtime.close()


@pytest.mark.parametrize("name, case", cases())
def test_vector(name, case, loaded, record_property):
    record_property("vector", f"{name}/{case['name']}")
    for runner in "python", name:
        if runner in case.get("skip", {}):
            pytest.skip(case["skip"][runner])
    runtime, model = loaded(name)
    if "want_error" in case:
        with pytest.raises(mullama.MullamaError) as caught:
            do(runtime, model, case)
        assert caught.value.status == case["want_error"]
        assert case.get("want_message", "") in str(caught.value)
    else:
        do(runtime, model, case)


def do(runtime, model, case):
    op = case["op"]
    if op == "tokenize":
        flags = {flag: True for flag in case.get("flags", [])}
        assert model.tokenize(case["text"], **flags) == case["tokens"]
    elif op == "detokenize":
        assert model.detokenize(case["tokens"]) == case["want_text"].encode()
        assert model.detokenize_text(case["tokens"]) == case["want_text"]
    elif op == "render":
        prompt = model.render(case["request"])
        assert prompt == case.get("want_text", prompt)
    elif op == "load":
        runtime.load(case["model"], **case["options"]).close()
    elif op == "open":
        with mullama.Runtime(**case["options"]) as own:
            own.load(case["model"]) if "model" in case else own.info()
    else:
        check_answer({"chat": model.chat, "generate": model.generate}[op](case["request"]), case)


def check_answer(stream, case):
    chunks = []
    for chunk in stream:
        chunks.append(chunk)
        if len(chunks) == case.get("cancel_after"):
            stream.cancel()
    texts, last = [c.text for c in chunks], chunks[-1]
    assert "".join(texts) == case.get("want_text", "".join(texts))
    assert texts == case.get("want_parts", texts)
    assert [c.done for c in chunks] == [False] * (len(chunks) - 1) + [True]
    assert last.data.items() >= case.get("want_last", {}).items()
    if "want_logprobs" in case:
        got = [each for c in chunks for each in (c.data or {}).get("logprobs", [])]
        check_logprobs(got, case["want_logprobs"])


def check_logprobs(got, wanted):
    assert [each["token"] for each in got] == [want["token"] for want in wanted]
    for each, want in zip(got, wanted):
        assert each["logprob"] == pytest.approx(want["logprob"], abs=0.05)
        assert len(each.get("top_logprobs", [])) == want["top"]
