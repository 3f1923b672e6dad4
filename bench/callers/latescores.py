"""Times of PyLate on PyTorch for `mullama bench maxsim`: python latescores.py DOCS REPS

Prints what maxsim.py does, for the same vectors. The number of threads is that of the variable
OMP_NUM_THREADS.
"""

import json
import sys
import time
import types

import numpy as np
import torch

# PyLate's training reads data sets, which scoring does not.
sys.modules["datasets"] = types.ModuleType("datasets")
from pylate.scores import colbert_scores  # noqa: E402

TOKENS, DIM, QUERY = 128, 128, 32


def unit(random, shape):
    rows = random.standard_normal(shape, dtype=np.float32)
    rows /= np.sqrt(np.einsum("...i,...i->...", rows, rows))[..., None]  # needs no second copy
    return torch.from_numpy(rows)


def main():
    n_docs, reps = int(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(1)
    query, docs = unit(random, (1, QUERY, DIM)), unit(random, (n_docs, TOKENS, DIM))
    times = []
    for _ in range(reps + 1):
        start = time.perf_counter()
        scores = colbert_scores(query, docs, backend="torch")
        times.append((time.perf_counter() - start) * 1e3)
    first = (query[0] @ docs[0].T).max(1).values.sum()
    assert abs(scores[0, 0] - first) < 1e-3
    print(json.dumps({"pylate": times[1:]}))


main()
