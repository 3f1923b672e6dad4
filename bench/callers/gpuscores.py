"""Times of kernels for late interaction on a GPU, for `mullama bench maxsim --gpu-python`:
python gpuscores.py DOCS REPS

Prints one line of JSON: for "NAME QUERIES", milliseconds of each repetition. A repetition scores all
documents for so many queries in one call and brings the best ten of each to the host. Documents are
half floats that lie on the GPU already.
"""

import json
import sys
import time

try:
    import torch
    from flash_maxsim import flash_maxsim, flash_maxsim_batched
    from late_interaction_kernels import maxsim
except ImportError as e:
    sys.exit(f"this Python lacks {e.name}; set up bench/callers/requirements-gpu.txt")
if not torch.cuda.is_available():
    sys.exit("PyTorch finds no GPU here; leave --gpu-python out")

TOKENS, DIM, QUERY, BLOCK, WARM = 128, 128, 32, 4096, 10


def unit(*shape):
    rows = torch.randn(*shape, device="cuda")
    return (rows / rows.norm(dim=-1, keepdim=True)).half()


def documents(n):
    docs = torch.empty(n, TOKENS, DIM, device="cuda", dtype=torch.float16)
    for at in range(0, n, BLOCK):
        docs[at : at + BLOCK] = unit(min(BLOCK, n - at), TOKENS, DIM)
    return docs


def with_torch(queries, docs):
    """One matrix product for each block of documents."""
    flat = queries.reshape(-1, DIM).T
    scores = []
    for at in range(0, len(docs), BLOCK):
        best = (docs[at : at + BLOCK] @ flat).amax(1).float()
        scores.append(best.reshape(len(best), len(queries), -1).sum(-1))
    return torch.cat(scores).T


def with_flash(queries, docs):
    if len(queries) == 1:
        return flash_maxsim(queries[0], docs)[None]
    return flash_maxsim_batched(queries, docs, shared_docs=True)


def milliseconds(function, queries, docs, reps):
    times = []
    for _ in range(WARM + reps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        best = function(queries, docs).topk(min(10, len(docs)))
        best.values.cpu(), best.indices.cpu()
        times.append((time.perf_counter() - start) * 1e3)
    return times[WARM:]


def main():
    n_docs, reps = int(sys.argv[1]), int(sys.argv[2])
    torch.manual_seed(1)
    docs = documents(n_docs)
    sides = {"torch": with_torch, "flash_maxsim": with_flash, "late_interaction_kernels": maxsim}
    result = {}
    for n in 1, 16:
        queries = unit(n, QUERY, DIM)
        some = docs[:64]
        want = torch.einsum("qid,njd->qnij", queries.float(), some.float()).amax(-1).sum(-1)
        for name, function in sides.items():
            assert torch.allclose(function(queries, some).float(), want, atol=2e-2), name
            result[f"{name} {n}"] = milliseconds(function, queries, docs, reps)
    print(json.dumps(result))


with torch.inference_mode():
    main()
