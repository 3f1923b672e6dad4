"""Runs conformance/vectors: what every binding must do."""

import json
import os
from pathlib import Path

import pytest

import mullama

VECTORS = Path(__file__).resolve().parents[3] / "conformance" / "vectors"


def read(name):
    file = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(name, case, id=f"{name}/{case['name']}") for case in file["cases"]]


@pytest.fixture(scope="module")
def loaded():
    """Gives the runtime and the model of a file of vectors, opened once."""
    opened = {}

    def get(name):
        if name not in opened:
            path = "echo" if name == "echo" else os.environ.get("MULLAMA_TEST_MODEL")
            if not path:
                pytest.skip("MULLAMA_TEST_MODEL is not set")
            file = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
            runtime = mullama.Runtime(echo=name == "echo")
            path = path if name == "echo" else os.path.abspath(path)
            opened[name] = runtime, runtime.load(path, **file["load"])
        return opened[name]

    yield get
    for runtime, model in opened.values():
        model.close()
        runtime.close()


@pytest.mark.parametrize("name, case", read("echo") + read("smollm2"))
def test_vector(name, case, loaded, record_property):
    record_property("vector", f"{name}/{case['name']}")
    if "python" in case.get("skip", {}):
        pytest.skip(case["skip"]["python"])
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
