"""asyncio: streams told to an event loop, and calls that leave it free."""

import asyncio
import gc

import pytest

import mullama

HELLO = [{"role": "user", "content": "hello"}]


def test_async_for(model):
    async def main():
        return [c.text async for c in model.chat(HELLO)]

    assert asyncio.run(main()) == ["h", "e", "l", "l", "o", ""]


def test_collect(model):
    async def main():
        stream = await model.chat_async(HELLO)
        answer = await stream.collect_async()
        return answer, await (await model.generate_async("abc")).text_async()

    answer, text = asyncio.run(main())
    assert (answer.text, answer.done_reason, answer.eval_count) == ("hello", "stop", 5)
    assert text == "abc"


def test_load(runtime):
    async def main():
        told = []
        with await runtime.load_async("echo", progress=told.append, ctx_size=8) as model:
            return told[-1], model.info()["ctx_size"]

    assert asyncio.run(main()) == (1.0, 8)


def test_errors_come_through(model):
    async def main():
        with pytest.raises(mullama.ContextFullError):
            await model.generate_async("x" * 65)
        with pytest.raises(mullama.NotFoundError):
            await mullama.Runtime(echo=True).load_async("other")

    asyncio.run(main())


def test_leaving_an_iteration_closes_the_stream(model):
    async def main():
        stream = model.chat(HELLO)
        async for chunk in stream:
            assert chunk.text == "h"
            break
        with pytest.raises(mullama.ClosedError):
            stream.next()
        with pytest.raises(mullama.ClosedError):
            async for _ in stream:
                pass

    asyncio.run(main())


def test_an_error_in_an_iteration_closes_the_stream(model):
    async def main():
        stream = model.chat(HELLO)
        with pytest.raises(ZeroDivisionError):
            async for _ in stream:
                1 / 0
        with pytest.raises(mullama.ClosedError):
            stream.cancel()

    asyncio.run(main())


def test_a_cancelled_task_closes_its_stream(real_file):
    async def main():
        with await mullama.Runtime().load_async(real_file, ctx_size=1024) as model:
            stream = model.generate("Once", options={"temperature": 0, "num_predict": 900})
            begun = asyncio.Event()

            async def read():
                async for _ in stream:
                    begun.set()

            task = asyncio.ensure_future(read())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(mullama.ClosedError):
                stream.next()

    asyncio.run(main())


def test_eight_chats_at_once(model):
    async def ask(i):
        text = f"question {i} é"
        return await model.chat([{"role": "user", "content": text}]).text_async() == text

    async def main():
        return await asyncio.gather(*(ask(i) for i in range(8)))

    for _ in range(20):
        assert asyncio.run(main()) == [True] * 8


def test_the_loop_runs_while_an_answer_is_awaited(real_file):
    async def main():
        with await mullama.Runtime().load_async(real_file, ctx_size=1024) as model:
            stream = model.generate("Once", options={"temperature": 0, "num_predict": 400})
            begun = asyncio.Event()

            async def stop():
                await begun.wait()
                stream.cancel()

            stopping = asyncio.ensure_future(stop())
            chunks = []
            async for chunk in stream:
                chunks.append(chunk)
                begun.set()
            await stopping
            return chunks[-1].data["done_reason"]

    assert asyncio.run(main()) == "cancelled"


def test_a_loop_that_ends_first(model):
    async def main():
        return model.generate("x" * 60).__aiter__()

    for _ in range(50):
        iterator = asyncio.run(main())
        del iterator
    assert model.chat(HELLO).text() == "hello"


def test_garbage_collection_at_every_step(model):
    async def main():
        for _ in range(20):
            assert await model.chat(HELLO).text_async() == "hello"
            async for _ in model.chat(HELLO):
                break

    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        asyncio.run(main())
    finally:
        gc.set_threshold(*before)
