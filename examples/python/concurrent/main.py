"""Asks ten times at once with asyncio; the answers are computed together: main.py MODEL"""

import asyncio
import sys

import mullama

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


async def ask(model: mullama.Model) -> str:
    stream = await model.chat_async(MESSAGES, options={"temperature": 0})
    return await stream.text_async()


async def main() -> None:
    with mullama.Runtime() as runtime, await runtime.load_async(sys.argv[1], slots=10) as model:
        answers = await asyncio.gather(*(ask(model) for _ in range(10)))
    same = all(answer == answers[0] for answer in answers)
    print(f"{len(answers)} answers, all the same: {str(same).lower()}")


if __name__ == "__main__":
    asyncio.run(main())
