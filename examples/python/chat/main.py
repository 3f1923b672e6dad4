"""Asks a model a question and prints its answer: main.py MODEL"""

import sys

import mullama

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


def main() -> None:
    with mullama.Runtime() as runtime, runtime.load(sys.argv[1]) as model:
        print(model.chat(MESSAGES, options={"temperature": 0}).text())


if __name__ == "__main__":
    main()
