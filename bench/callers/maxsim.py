"""Times of NumPy and maxsim-cpu for `mullama bench maxsim`: python maxsim.py DOCS REPS

Prints one line of JSON: milliseconds of each repetition. The number of threads is that of the
variables OPENBLAS_NUM_THREADS and RAYON_NUM_THREADS.
"""

import json
import sys
import time

import maxsim_cpu
import numpy as np

TOKENS, DIM, QUERY, BLOCK = 128, 128, 32, 64


def unit(random, shape):
    rows = random.standard_normal(shape, dtype=np.float32)
    rows /= np.sqrt(np.einsum("...i,...i->...", rows, rows))[..., None]  # needs no second copy
    return rows


def with_numpy(query, docs):
    """One matrix product for each block of documents that stays in the cache."""
    scores = np.empty(len(docs), np.float32)
    for at in range(0, len(docs), BLOCK):
        some = docs[at : at + BLOCK]
        products = some.reshape(-1, DIM) @ query.T
        scores[at : at + BLOCK] = products.reshape(len(some), TOKENS, -1).max(1).sum(1)
    return scores


def milliseconds(function, query, docs, reps):
    function(query, docs)
    times = []
    for _ in range(reps):
        start = time.perf_counter()
        function(query, docs)
        times.append((time.perf_counter() - start) * 1e3)
    return times


def main():
    n_docs, reps = int(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(1)
    query, docs = unit(random, (QUERY, DIM)), unit(random, (n_docs, TOKENS, DIM))
    found = maxsim_cpu.maxsim_scores(query, docs)
    assert np.allclose(found, with_numpy(query, docs), atol=1e-3)
    sides = {"numpy": with_numpy, "maxsim_cpu": maxsim_cpu.maxsim_scores}
    print(json.dumps({name: milliseconds(f, query, docs, reps) for name, f in sides.items()}))


main()
