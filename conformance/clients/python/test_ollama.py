"""The official ollama client against the daemon."""

import asyncio
import threading
import time

import ollama
import pytest
from conftest import ENDLESS

CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
GREEDY = {"temperature": 0, "num_predict": 32}


@pytest.fixture(scope="module")
def client(url):
    return ollama.Client(host=url)


def test_chat_answers(client, model):
    answer = client.chat(model=model, messages=CAPITAL, options=GREEDY)
    assert "Paris" in answer.message.content
    assert answer.done and answer.done_reason == "stop"
    assert answer.message.role == "assistant"
    assert answer.prompt_eval_count > 0 and answer.eval_count > 0
    assert answer.total_duration >= answer.eval_duration > 0


def test_chat_streams_the_same_text(client, model):
    whole = client.chat(model=model, messages=CAPITAL, options=GREEDY).message.content
    parts = list(client.chat(model=model, messages=CAPITAL, options=GREEDY, stream=True))
    assert "".join(p.message.content for p in parts) == whole
    assert len(parts) > 3
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]


def test_generate_with_system_and_stop(client, model):
    answer = client.generate(
        model=model, prompt="Count: one, two, three, four", raw=True,
        options={"temperature": 0, "num_predict": 20, "stop": [","]},
    )
    assert "," not in answer.response
    assert answer.done_reason == "stop"
    limited = client.generate(model=model, prompt="Tell a story.", options={"temperature": 0, "num_predict": 3})
    assert limited.eval_count == 3 and limited.done_reason == "length"


def test_same_seed_gives_the_same_text(client, model, unloaded):
    options = {"temperature": 1.0, "seed": 7, "num_predict": 24}
    texts = [client.generate(model=model, prompt="Once", options=options).response for _ in range(2)]
    assert texts[0] == texts[1]


def test_json_format_is_json(client, model):
    import json

    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
    }
    answer = client.chat(model=model, messages=CAPITAL, format=schema, options={"temperature": 0, "num_predict": 128})
    value = json.loads(answer.message.content)
    assert isinstance(value["city"], str) and isinstance(value["people"], int)


def test_logprobs(client, model):
    answer = client.chat(model=model, messages=CAPITAL, options=GREEDY, logprobs=True, top_logprobs=3)
    assert len(answer.logprobs) > 0
    for entry in answer.logprobs:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob


def test_models_are_listed_and_shown(client, model):
    names = [m.model for m in client.list().models]
    assert any(n.startswith(model) for n in names)
    shown = client.show(model)
    assert "completion" in shown.capabilities
    assert shown.details.format == "gguf"
    assert shown.modelinfo["general.architecture"]
    client.generate(model=model, prompt="Hi", options={"num_predict": 1})
    running = client.ps().models
    assert any(m.model.startswith(model) for m in running)
    assert all(m.context_length > 0 and m.size > 0 for m in running)


def test_copy_and_delete(client, model):
    client.copy(model, "another")
    assert any(m.model == "another:latest" for m in client.list().models)
    client.delete("another")
    assert not any(m.model == "another:latest" for m in client.list().models)


def test_an_unknown_model_is_404(client):
    with pytest.raises(ollama.ResponseError) as e:
        client.chat(model="no-such-model", messages=CAPITAL)
    assert e.value.status_code == 404 and "no-such-model" in e.value.error


    with pytest.raises(ollama.ResponseError) as e:
        list(client.generate(model="no-such-model", prompt="Hi", stream=True))
    assert e.value.status_code == 404
    for call in [client.show, client.delete]:
        with pytest.raises(ollama.ResponseError) as e:
            call("no-such-model")
        assert e.value.status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"options": {"top_p": 7}},
        {"options": {"temperature": -3}},
        {"format": {"type": "nothing"}},
        {"logprobs": True, "top_logprobs": 21},
    ],
    ids=str,
)
def test_bad_requests_are_400(client, model, fields):
    with pytest.raises(ollama.ResponseError) as e:
        client.generate(model=model, prompt="x", **fields)
    assert e.value.status_code == 400


def test_a_long_prompt_is_cut(client, model):
    answer = client.generate(model=model, prompt="word " * 20_000, options={"num_predict": 2})
    assert answer.eval_count <= 2 and answer.prompt_eval_count > 1000


def endless(client, model, **fields):
    return client.generate(
        model=model, prompt=ENDLESS, raw=True, options={"num_predict": -1, "ignore_eos": True}, **fields
    )


def test_leaving_a_stream_frees_the_slot(client, model, cancelled):
    stream = endless(client, model, stream=True)
    for _, part in zip(range(5), stream):
        assert not part.done
    cancelled()
    stream.close()


def test_leaving_an_asynchronous_stream_frees_the_slot(url, model, cancelled):
    async def leave():
        stream = await endless(ollama.AsyncClient(host=url), model, stream=True)
        async for part in stream:
            assert not part.done
            cancelled()
            break
        await stream.aclose()

    asyncio.run(leave())


def test_cancelling_a_task_frees_the_slot(url, model, cancelled):
    async def leave():
        task = asyncio.create_task(endless(ollama.AsyncClient(host=url), model))
        await asyncio.to_thread(cancelled)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())


def test_many_at_once(url, model):
    async def ask(number):
        client = ollama.AsyncClient(host=url)
        options = {"temperature": 0, "num_predict": 8}
        answer = await client.generate(model=model, prompt=f"{number} is a number", options=options)
        return answer.eval_count

    async def all_of_them():
        return await asyncio.gather(*(ask(n) for n in range(12)))

    assert all(0 < n <= 8 for n in asyncio.run(all_of_them()))


def test_preload_and_unload(client, model):
    assert client.generate(model=model, prompt="").done_reason == "load"
    assert client.generate(model=model, prompt="", keep_alive=0).done_reason == "unload"
    deadline = time.monotonic() + 10
    while any(m.model.startswith(model) for m in client.ps().models):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_threads_share_one_client(client, model):
    failures = []

    def work(n):
        try:
            assert client.generate(model=model, prompt=f"word {n}", options={"num_predict": 4}).eval_count <= 4
        except Exception as e:  # told below, in the test's own thread
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []


def test_fill_in_the_middle(client, model, keener_model):
    answer = client.generate(
        model=keener_model,
        prompt="def add(a, b):\n    return ",
        suffix="\n\nprint(add(1, 2))\n",
        options={"temperature": 0, "num_predict": 16},
    )
    assert answer.response.strip().startswith("a + b")
    with pytest.raises(ollama.ResponseError, match="does not support insert") as refused:
        client.generate(model=model, prompt="a", suffix="b")
    assert refused.value.status_code == 400
