"""The official openai client against the daemon."""

import asyncio
import json

import openai
import pytest
from conftest import ENDLESS

CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]

# Of a text that does not end by itself before a test ends it.
LONG = {"temperature": 0, "max_tokens": 4000, "extra_body": {"ignore_eos": True}}


@pytest.fixture(scope="module")
def client(url):
    return openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)


def test_chat_answers(client, model):
    answer = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0, max_tokens=32)
    choice = answer.choices[0]
    assert "Paris" in choice.message.content and choice.finish_reason == "stop"
    assert choice.message.role == "assistant"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0


def test_chat_streams_with_usage(client, model):
    stream = client.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, max_completion_tokens=32, stream=True,
        stream_options={"include_usage": True},
    )
    parts = list(stream)
    text = "".join(p.choices[0].delta.content or "" for p in parts if p.choices)
    assert "Paris" in text
    assert parts[-1].choices == [] and parts[-1].usage.completion_tokens > 0
    assert [p.choices[0].finish_reason for p in parts if p.choices][-1] == "stop"


def test_max_completion_tokens_and_stop(client, model):
    answer = client.chat.completions.create(model=model, messages=CAPITAL, max_completion_tokens=2)
    assert answer.usage.completion_tokens == 2 and answer.choices[0].finish_reason == "length"
    answer = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0, stop="capital")
    assert "capital" not in answer.choices[0].message.content


def test_n_choices(client, model):
    answer = client.chat.completions.create(model=model, messages=CAPITAL, n=3, temperature=1, max_tokens=8, seed=1)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    assert len({c.message.content for c in answer.choices}) > 1


def test_logprobs_have_right_bytes(client, model):
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say 你好 🎉"}], logprobs=True, top_logprobs=2, max_tokens=24,
        temperature=0,
    )
    content = answer.choices[0].logprobs.content
    assert b"".join(bytes(t.bytes) for t in content).decode("utf-8", "replace").startswith(
        answer.choices[0].message.content[:4]
    )
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in content)


def test_logit_bias_forbids_a_token(client, model):
    plain = client.chat.completions.create(model=model, messages=CAPITAL, temperature=0, max_tokens=16, logprobs=True)
    import urllib.request

    first = plain.choices[0].logprobs.content[0].token
    body = json.dumps({"model": model, "content": first}).encode()
    request = urllib.request.Request(
        str(client.base_url).removesuffix("/v1/") + "/tokenize", body, {"Content-Type": "application/json"}
    )
    token = json.load(urllib.request.urlopen(request))["tokens"][0]
    other = client.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, max_tokens=16, logit_bias={str(token): -100}, logprobs=True
    )
    assert other.choices[0].logprobs.content[0].token != first


def test_json_schema(client, model):
    schema = {
        "name": "answer",
        "strict": True,
        "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    answer = client.chat.completions.create(
        model=model, messages=CAPITAL, temperature=0, max_tokens=64,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert isinstance(json.loads(answer.choices[0].message.content)["city"], str)


def test_completions(client, model):
    answer = client.completions.create(model=model, prompt="One, two, three,", max_tokens=8, temperature=0)
    assert answer.choices[0].text and answer.usage.completion_tokens <= 8
    text = "".join(
        p.choices[0].text
        for p in client.completions.create(model=model, prompt="One, two, three,", max_tokens=8, temperature=0, stream=True)
        if p.choices
    )
    assert text == answer.choices[0].text


def test_seed_repeats(client, model, unloaded):
    def ask():
        return client.chat.completions.create(model=model, messages=CAPITAL, temperature=1, seed=5, max_tokens=16)

    assert ask().choices[0].message.content == ask().choices[0].message.content


def test_models(client, model):
    assert any(m.id.startswith(model) for m in client.models.list())
    assert client.models.retrieve(model).object == "model"


def test_errors_are_typed(client, model):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=CAPITAL)
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="no-such-model", prompt="Hi", stream=True)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * 100_000}])
    assert e.value.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [{"role": "nobody", "content": "Hi"}]},
        {"temperature": -3},
        {"top_p": 7},
        {"n": 0},
        {"top_logprobs": 2},
        {"logprobs": True, "top_logprobs": 21},
        {"response_format": {"type": "yaml"}},
    ],
    ids=str,
)
def test_bad_requests_are_typed(client, model, fields):
    with pytest.raises(openai.BadRequestError) as e:
        client.chat.completions.create(**{"model": model, "messages": CAPITAL, **fields})
    assert e.value.body["message"] and e.value.type == "invalid_request_error"


def test_leaving_a_stream_frees_the_slot(client, model, cancelled):
    with client.completions.create(model=model, prompt=ENDLESS, **LONG, stream=True) as stream:
        for _, part in zip(range(5), stream):
            assert part.choices[0].finish_reason is None
        cancelled()


def test_leaving_an_asynchronous_stream_frees_the_slot(url, model, cancelled):
    async def leave():
        client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        async with await client.completions.create(
            model=model, prompt=ENDLESS, **LONG, stream=True
        ) as stream:
            async for part in stream:
                assert part.choices[0].finish_reason is None
                cancelled()
                break

    asyncio.run(leave())


def test_cancelling_a_task_frees_the_slots(url, model, cancelled):
    async def leave():
        client = openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        task = asyncio.create_task(client.completions.create(model=model, prompt=ENDLESS, **LONG, n=2))
        await asyncio.to_thread(cancelled)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())


def test_a_repeated_prompt_is_cached(client, model):
    messages = [
        {"role": "system", "content": "You know many cities and rivers and mountains. " * 12},
        {"role": "user", "content": "Name one."},
    ]
    first = client.chat.completions.create(model=model, messages=messages, max_tokens=2)
    second = client.chat.completions.create(model=model, messages=messages, max_tokens=2)
    assert first.usage.prompt_tokens == second.usage.prompt_tokens
    assert second.usage.prompt_tokens_details.cached_tokens > second.usage.prompt_tokens // 2


def test_fill_in_the_middle(client, model, keener_model):
    answer = client.completions.create(
        model=keener_model,
        prompt="def add(a, b):\n    return ",
        suffix="\n\nprint(add(1, 2))\n",
        temperature=0,
        max_tokens=16,
    )
    assert answer.choices[0].text.strip().startswith("a + b")
    with pytest.raises(openai.BadRequestError, match="does not support insert"):
        client.completions.create(model=model, prompt="a", suffix="b")
