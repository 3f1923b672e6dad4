"""Embeddings by the official clients, and ranking, for which there is none."""

import json
import math
import urllib.request

import ollama
import openai
import pytest

TEXTS = ["That is a happy person", "That is a very happy person", "Interest rates rose again"]


@pytest.fixture(scope="module")
def of_openai(url):
    return openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def of_ollama(url):
    return ollama.Client(host=url)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_openai_embeds(of_openai, embed_model):
    answer = of_openai.embeddings.create(model=embed_model, input=TEXTS)  # asks for base64 by itself
    rows = [item.embedding for item in answer.data]
    assert [item.index for item in answer.data] == [0, 1, 2] and len(rows[0]) == 384
    assert math.isclose(dot(rows[0], rows[0]), 1, abs_tol=1e-4)
    assert dot(rows[0], rows[1]) > 0.9 > dot(rows[0], rows[2])
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    floats = of_openai.embeddings.create(model=embed_model, input=TEXTS[0], encoding_format="float")
    assert dot(floats.data[0].embedding, rows[0]) > 0.999


def test_openai_takes_dimensions_and_refuses_wrong_ones(of_openai, embed_model):
    answer = of_openai.embeddings.create(model=embed_model, input="a", dimensions=64)
    assert len(answer.data[0].embedding) == 64
    with pytest.raises(openai.BadRequestError):
        of_openai.embeddings.create(model=embed_model, input="a", dimensions=4000)
    with pytest.raises(openai.BadRequestError) as long:
        of_openai.embeddings.create(model=embed_model, input="a long text " * 1000)
    assert long.value.code == "context_length_exceeded"


def test_ollama_embeds(of_ollama, embed_model):
    answer = of_ollama.embed(model=embed_model, input=TEXTS)
    rows = answer.embeddings
    assert len(rows) == 3 and answer.prompt_eval_count > 0 and answer.total_duration > 0
    assert dot(rows[0], rows[1]) > 0.9 > dot(rows[0], rows[2])
    assert len(of_ollama.embed(model=embed_model, input=TEXTS[0], dimensions=64).embeddings[0]) == 64
    old = of_ollama.embeddings(model=embed_model, prompt=TEXTS[0])
    assert dot(old.embedding, rows[0]) > 0.999


def test_ollama_cuts_what_is_too_long_unless_told_not_to(of_ollama, embed_model):
    long = "a long text " * 1000
    assert len(of_ollama.embed(model=embed_model, input=long).embeddings) == 1
    with pytest.raises(ollama.ResponseError) as refused:
        of_ollama.embed(model=embed_model, input=long, truncate=False)
    assert refused.value.status_code == 400
    assert "the input length exceeds the context length" in refused.value.error


def test_a_model_that_chats_embeds(of_ollama, model):
    rows = of_ollama.embed(model=model, input=TEXTS).embeddings
    assert dot(rows[0], rows[1]) > dot(rows[0], rows[2])


def test_documents_are_judged(url, keener_model):
    body = {"model": keener_model, "query": "What is the capital of France?", "top_n": 1,
            "documents": ["Bananas are rich in potassium.", {"text": "Paris is the capital of France."}]}
    request = urllib.request.Request(url + "/v1/rerank", json.dumps(body).encode())
    with urllib.request.urlopen(request) as answer:
        results = json.load(answer)["results"]
    assert [result["index"] for result in results] == [1]
