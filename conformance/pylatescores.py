"""Scores documents by late interaction with PyLate itself, on PyTorch. Reads and writes what
lateinteraction.py does.
"""

import sys
import types

import numpy as np
import torch

# PyLate's training reads data sets, which scoring does not.
sys.modules["datasets"] = types.ModuleType("datasets")
from pylate.scores import colbert_scores  # noqa: E402


def padded(parts):
    """The rows of each part, and 1 for those that are not padding."""
    longest = max(map(len, parts))
    rows = np.zeros((len(parts), longest, parts[0].shape[1]), np.float32)
    mask = np.zeros((len(parts), longest), np.float32)
    for i, part in enumerate(parts):
        rows[i, : len(part)], mask[i, : len(part)] = part, 1
    return torch.from_numpy(rows), torch.from_numpy(mask)


def main():
    data = sys.stdin.buffer.read()
    dim, n_queries, n_docs = np.frombuffer(data, "<i4", 3)
    counts = np.frombuffer(data, "<i4", n_queries + n_docs, 12)
    rows = np.frombuffer(data, "<f4", -1, 12 + 4 * len(counts)).reshape(-1, dim)
    parts = np.split(rows, np.cumsum(counts)[:-1])
    (queries, query_mask), (docs, doc_mask) = padded(parts[:n_queries]), padded(parts[n_queries:])
    scores = colbert_scores(queries, docs, query_mask, doc_mask, backend="torch")
    sys.stdout.buffer.write(scores.double().numpy().astype("<f8").tobytes())


main()
