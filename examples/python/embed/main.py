"""Finds the document that is nearest to a question: main.py MODEL"""

import sys

import mullama

DOCUMENTS = [
    "Paris is the capital of France.",
    "Bananas are rich in potassium.",
    "A llama is a camelid.",
]


def main() -> None:
    with mullama.Runtime() as runtime, runtime.load(sys.argv[1]) as model:
        (question,) = model.embed("What is the capital of France?")
        documents = model.embed(DOCUMENTS)

    def near(i: int) -> float:  # their length is 1, so that the sum of products is the cosine
        return sum(x * y for x, y in zip(question.vector, documents[i].vector))

    print(DOCUMENTS[max(range(len(DOCUMENTS)), key=near)])


if __name__ == "__main__":
    main()
