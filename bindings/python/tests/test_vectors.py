"""Runs conformance/vectors: what every binding must do."""

import json
import math
import os
from pathlib import Path

import pytest

import mullama

VECTORS = Path(__file__).resolve().parents[3] / "conformance" / "vectors"
MODELS = {
    "smollm2": os.environ.get("MULLAMA_TEST_MODEL"),
    "minilm": os.environ.get("MULLAMA_TEST_EMBED_MODEL"),
    "ranker": os.environ.get("MULLAMA_TEST_RANK_MODEL"),
}
URL = os.environ.get("MULLAMA_TEST_URL")

# What is run: the file, with the name in the results, the model and the options of the runtime.
RUNS = [("echo", "echo", "echo", {"echo": True})]
for file, path in MODELS.items():
    if path:
        RUNS.append((file, file, os.path.abspath(path), {}))
    if path and URL:
        RUNS.append((file, "daemon", file, {"url": URL}))


def read(run):
    file, _, model, _ = run
    text = (VECTORS / f"{file}.json").read_text(encoding="utf-8")
    return json.loads(text.replace("$VECTORS", str(VECTORS)).replace("$MODEL", model))


def cases():
    for number, run in enumerate(RUNS):
        for case in read(run)["cases"]:
            yield pytest.param(number, case, id=f"{run[1]}/{case['name']}")


@pytest.fixture(scope="module")
def loaded():
    """Gives the runtime and the model of a file of vectors, opened once."""
    opened = {}

    def get(number):
        if number not in opened:
            _, _, model, options = RUNS[number]
            runtime = mullama.Runtime(**options)
            opened[number] = runtime, runtime.load(model, **read(RUNS[number])["load"])
        return opened[number]

    yield get
    for runtime, model in opened.values():
        model.close()
        runtime.close()


@pytest.mark.parametrize("number, case", cases())
def test_vector(number, case, loaded, record_property, tmp_path):
    name = RUNS[number][1]
    record_property("vector", f"{name}/{case['name']}")
    for runner in "python", name:
        if runner in case.get("skip", {}):
            pytest.skip(case["skip"][runner])
    runtime, model = loaded(number)
    if "want_error" in case:
        with pytest.raises(mullama.MullamaError) as caught:
            do(runtime, model, case, tmp_path)
        assert caught.value.status == case["want_error"]
        assert case.get("want_message", "") in str(caught.value)
    else:
        do(runtime, model, case, tmp_path)


def do(runtime, model, case, folder):
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
    elif op == "embed":
        check_embeddings(model.embed(case["request"]), case)
    elif op in ("rerank", "score"):
        fields = {"query": "", "documents": [], **case["request"]}
        check_ranking({"rerank": model.rerank, "score": model.score}[op](**fields), case)
    elif op == "index":
        check_index(runtime, model, case, folder)
    elif op == "load":
        runtime.load(case["model"], **case["options"]).close()
    elif op == "open":
        with mullama.Runtime(**case["options"]) as own:
            own.load(case["model"]) if "model" in case else own.info()
    else:
        check_answer({"chat": model.chat, "generate": model.generate}[op](case["request"]), case)


def check_index(runtime, model, case, folder):
    model = None if "no_model" in case.get("flags", []) else model
    path = case.get("model") or folder / "docs.index"
    with runtime.open_index(path, model, **case.get("options", {})) as index:
        for request in case["add"]:
            index.add(**request)
        if "train" in case:
            index.train(**case["train"])
    with runtime.open_index(path, model) as index:
        got = index.search(**case["request"])
        assert [each.id for each in got] == [want["id"] for want in case["want_found"]]
        for each, want in zip(got, case["want_found"]):
            assert abs(each.score - want["score"]) <= 0.03 * max(1, abs(want["score"]))
        assert index.info().items() >= case.get("want_info", {}).items()
        index.verify()


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


def check_embeddings(got, case):
    if "want_errors" in case:
        assert [e.error.status if e.error else "" for e in got] == case["want_errors"]
        return
    for each in got:
        assert each.vector == each.rows[0]  # raises what is wrong with the text
    assert len(got) == len(case["want_embeddings"])
    for each, want in zip(got, case["want_embeddings"]):
        assert len(each.rows) == len(want)
        for pair in zip(each.rows, want):
            check_row(*pair)
    assert [e.tokens for e in got] == case.get("want_tokens", [e.tokens for e in got])
    assert [e.truncated for e in got] == case.get("want_truncated", [e.truncated for e in got])


def check_row(got, want):
    assert len(got) == len(want)
    mine, theirs = math.hypot(*got), math.hypot(*want)
    assert sum(x * y for x, y in zip(got, want)) / (mine * theirs) >= 0.9999
    assert mine == pytest.approx(theirs, rel=0.02)


def check_ranking(got, case):
    assert [r.index for r in got.results] == [want["index"] for want in case["want_scores"]]
    for each, want in zip(got.results, case["want_scores"]):
        assert abs(each.score - want["score"]) <= 0.03 * max(1, abs(want["score"]))
    assert got.method == case.get("want_method", got.method)
    assert got.tokens > 0
