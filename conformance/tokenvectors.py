"""Reads texts as a model for late interaction declares it, and computes the vectors of their tokens in
NumPy: what PyLate does (pylate.models.ColBERT.encode), for models whose weights are MiniLM's.

Reads JSON from stdin: the folder of a model, queries, and documents. Writes the tokens of each query
and then of each document whose vectors count to stdout as JSON, in one line, and then these vectors,
of length 1, as little-endian floats.
"""

import json
import string
import sys
from pathlib import Path

import numpy as np

import minilm


class Late:
    def __init__(self, folder):
        self.says = json.loads((folder / "config_sentence_transformers.json").read_text())
        self.model = minilm.Model(folder)
        self.dense = minilm.load(folder / "1_Dense" / "model.safetensors")["linear.weight"]
        words = self.says.get("skiplist_words", list(string.punctuation))
        self.skip = [self.token(word) for word in words]

    def token(self, text):
        token = self.model.tokenizer.token_to_id(text)
        return self.token("[UNK]") if token is None else token

    def read(self, text, of):
        """The tokens of a text, with the marker, cut to the length that is declared."""
        length, prefix = self.says[of + "_length"], self.says[of + "_prefix"]
        self.model.tokenizer.enable_truncation(length - 1 if prefix else length)
        ids = self.model.tokenizer.encode(text).ids
        return ids[:1] + [self.token(prefix)] * bool(prefix) + ids[1:]

    def rows(self, ids, unseen=0):
        self.model.unseen = unseen
        rows = self.model.rows(ids) @ self.dense.T
        return rows / np.sqrt((rows**2).sum(-1, keepdims=True))

    def query(self, text):
        ids = self.read(text, "query")
        if not self.says.get("do_query_expansion", True):
            return ids, self.rows(ids)
        fill = self.says["query_length"] - len(ids)
        ids += [self.token("[MASK]")] * fill
        return ids, self.rows(ids, 0 if self.says.get("attend_to_expansion_tokens") else fill)

    def document(self, text):
        ids = self.read(text, "document")
        keep = [i for i, token in enumerate(ids) if token not in self.skip]
        return [ids[i] for i in keep], self.rows(ids)[keep]


def main():
    request = json.load(sys.stdin)
    late = Late(Path(request["folder"]))
    made = [late.query(text) for text in request["queries"]]
    made += [late.document(text) for text in request["documents"]]
    print(json.dumps([ids for ids, _ in made]), flush=True)
    for _, rows in made:
        sys.stdout.buffer.write(rows.astype("<f4").tobytes())


main()
