"""litellm's two providers for Ollama and its OpenAI provider against the daemon."""

import litellm
import pytest
from conftest import ENDLESS

CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


@pytest.fixture(params=["ollama", "ollama_chat", "openai"])
def complete(request, url, model):
    provider = request.param

    def ask(name=model, **fields):
        base = url + "/v1" if provider == "openai" else url
        request = {"messages": CAPITAL, "temperature": 0, "max_tokens": 32, "num_retries": 0, **fields}
        return litellm.completion(model=f"{provider}/{name}", api_base=base, api_key="none", **request)

    return ask


def text_of(stream):
    return "".join(part.choices[0].delta.content or "" for part in stream)


def test_answers_and_streams_the_same(complete):
    whole = complete()
    assert "Paris" in whole.choices[0].message.content
    assert whole.usage.completion_tokens > 0
    assert text_of(complete(stream=True)) == whole.choices[0].message.content


def test_a_limit_is_kept(complete):
    # Why it ended is no part of this: litellm's provider "ollama" always says "stop".
    assert complete(max_tokens=2).usage.completion_tokens == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_not_found(complete, stream):
    with pytest.raises(litellm.NotFoundError, match="no-such-model"):
        answer = complete("no-such-model", stream=stream)
        if stream:
            text_of(answer)


@pytest.mark.parametrize("fields", [{"temperature": -3}, {"top_p": 7}], ids=str)
def test_bad_parameters_are_bad_requests(complete, fields):
    with pytest.raises(litellm.BadRequestError, match=next(iter(fields))):
        complete(**fields)


def test_leaving_a_stream_frees_the_slot(complete, cancelled):
    stream = complete(messages=[{"role": "user", "content": ENDLESS}], max_tokens=4000, stream=True)
    for _, part in zip(range(3), stream):
        assert part.choices[0].finish_reason is None
    cancelled()
    stream.close()
