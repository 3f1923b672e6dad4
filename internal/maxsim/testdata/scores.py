"""Writes scores.json, the scores that TestScoresAreThoseOfNumPy expects."""

import json
import pathlib

import numpy as np

DIM, QUERIES, DOCS = 48, [1, 32, 77], [1, 5, 128, 301]


def numbers(count, state):
    """The same numbers as the test's: a linear congruential generator."""
    out = np.empty(count, np.float32)
    for i in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        out[i] = (state >> 8) / 2**22 - 1
    return out.reshape(-1, DIM).astype(np.float64)


queries = [numbers(n * DIM, 1 + i) for i, n in enumerate(QUERIES)]
docs = [numbers(n * DIM, 100 + i) for i, n in enumerate(DOCS)]
scores = [[float((q @ d.T).max(axis=1).sum()) for d in docs] for q in queries]
out = {"dim": DIM, "queries": QUERIES, "docs": DOCS, "scores": scores}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
