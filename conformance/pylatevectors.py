"""Reads texts and computes the vectors of their tokens with PyLate itself, on PyTorch. Reads and
writes what tokenvectors.py does. Where the request has a model to make one of, the folder is first
written by PyLate, with a random projection and markers of its own.
"""

import json
import os
import sys
import types

os.environ["HF_HUB_OFFLINE"] = "1"
import sentence_transformers  # noqa: E402, F401
import torch  # noqa: E402

# PyLate's training reads data sets, which encoding does not.
sys.modules["datasets"] = types.ModuleType("datasets")
from pylate.models import ColBERT  # noqa: E402

del sys.modules["datasets"]


def main():
    out = os.dup(1)  # for libraries print, too
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    torch.manual_seed(7)
    if request.get("base"):
        ColBERT(request["base"], embedding_size=64, device="cpu").save(request["folder"])
    model = ColBERT(request["folder"], device="cpu")
    tokens, vectors = [], []
    for texts, is_query in ((request["queries"], True), (request["documents"], False)):
        made = model.encode(texts, is_query=is_query, output_value=None, show_progress_bar=False)
        for ids, mask, rows in zip(made["input_ids"], made["masks"], made["token_embeddings"]):
            mask = torch.as_tensor(mask)
            tokens.append(torch.as_tensor(ids)[mask].tolist())
            vectors.append(torch.as_tensor(rows)[mask].float().numpy())
    with os.fdopen(out, "wb") as file:
        file.write(json.dumps(tokens).encode() + b"\n")
        for rows in vectors:
            file.write(rows.astype("<f4").tobytes())


main()
