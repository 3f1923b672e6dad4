"""Prints an answer part by part: main.py MODEL"""

import sys

import mullama

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]


def main() -> None:
    with mullama.Runtime() as runtime, runtime.load(sys.argv[1]) as model:
        for chunk in model.chat(MESSAGES, options={"temperature": 0}):
            if chunk.text:
                print(chunk.text, end="|", flush=True)
        print()
        print(chunk.data["eval_count"], "tokens")


if __name__ == "__main__":
    main()
