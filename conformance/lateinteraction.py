"""Scores documents by late interaction in NumPy, by PyLate's formula (pylate.scores.colbert_scores):
einsum("ash,bth->abst"), the maximum over the tokens of the document, the sum over those of the query.

Reads from stdin three little-endian 32-bit numbers: the length of a vector, the number of queries and
the number of documents; the tokens of each query and document; and then their vectors as 32-bit
floats. Writes the scores as 64-bit floats, those of the first query first.
"""

import sys

import numpy as np


def main():
    data = sys.stdin.buffer.read()
    dim, n_queries, n_docs = np.frombuffer(data, "<i4", 3)
    counts = np.frombuffer(data, "<i4", n_queries + n_docs, 12)
    rows = np.frombuffer(data, "<f4", -1, 12 + 4 * len(counts)).reshape(-1, dim).astype(np.float64)
    parts = np.split(rows, np.cumsum(counts)[:-1])
    queries, documents = parts[:n_queries], parts[n_queries:]
    scores = [
        [np.einsum("sh,th->st", q, d).max(axis=-1).sum(axis=-1) for d in documents] for q in queries
    ]
    sys.stdout.buffer.write(np.array(scores, "<f8").tobytes())


main()
