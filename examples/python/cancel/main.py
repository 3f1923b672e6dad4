"""Ends an answer before it is over: main.py MODEL"""

import sys

import mullama


def main() -> None:
    with mullama.Runtime() as runtime, runtime.load(sys.argv[1]) as model:
        stream = model.generate("Once upon a time", options={"temperature": 0, "num_predict": 400})
        for _ in range(5):
            stream.next()
        stream.cancel()
        print("cancelled after 5 parts")
        print(stream.collect().done_reason)


if __name__ == "__main__":
    main()
