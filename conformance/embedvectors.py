"""Says what the vectors of embeddings, ranking and scores have to be: NumPy computes it with the
published weights of all-MiniLM-L6-v2, and the head of the test model that ranks.

usage: embedvectors.py [--write] RANKER.gguf FILE.json...

Each case of a file that has want_embeddings or want_scores is computed anew. A value that is off is
printed, and the exit status is 1; with --write the file gets what was computed instead.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

import minilm

FORMATS = dict(enumerate(["B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d"]))
TEXT, LIST = 8, 9


class Gguf:
    """The F32 tensors of a GGUF file."""

    def __init__(self, path):
        self.data, self.at = Path(path).read_bytes(), 8
        tensors, pairs = self.number("Q"), self.number("Q")
        for _ in range(pairs):
            self.text()
            self.skip(self.number("I"))
        found = [(self.text(), self.shape(), self.number("I"), self.number("Q"))
                 for _ in range(tensors)]
        start = -(-self.at // 32) * 32
        self.tensors = {
            name: np.frombuffer(self.data, "<f4", int(np.prod(shape)), start + offset)
            .reshape(shape[::-1])
            for name, shape, kind, offset in found if kind == 0
        }

    def number(self, kind):
        (value,) = struct.unpack_from("<" + kind, self.data, self.at)
        self.at += struct.calcsize("<" + kind)
        return value

    def text(self):
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def shape(self):
        return [self.number("Q") for _ in range(self.number("I"))]

    def skip(self, kind):
        if kind == TEXT:
            self.text()
        elif kind == LIST:
            kind, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.skip(kind)
        else:
            self.number(FORMATS[kind])


def unit(rows):
    return rows / np.sqrt((rows**2).sum(-1, keepdims=True))


class Oracle:
    def __init__(self, ranker, longest):
        self.model = minilm.published()
        self.model.tokenizer.enable_truncation(longest)
        self.head = Gguf(ranker).tensors

    def ids(self, *texts):
        return self.model.tokenizer.encode(*texts).ids

    def embed(self, request):
        texts = request["input"]
        for text in [texts] if isinstance(texts, str) else texts:
            rows = self.model.rows(self.ids(request.get("prefix", "") + text))
            if request.get("pooling") == "cls":
                rows = rows[:1]
            elif request.get("pooling") == "last":
                rows = rows[-1:]
            elif request.get("pooling") != "none":
                rows = rows.mean(0, keepdims=True)
            rows = rows[:, : request.get("dimensions", rows.shape[1])]
            yield (rows if request.get("normalize") is False else unit(rows)).tolist()

    def rerank(self, query, document, raw):
        first = self.model.rows(self.ids(query, document))[0]
        hidden = np.tanh(self.head["cls.weight"] @ first + self.head["cls.bias"])
        score = float((self.head["cls.output.weight"] @ hidden + self.head["cls.output.bias"])[0])
        return score if raw else 1 / (1 + np.exp(-score))

    def score(self, query, document, _):
        q, d = (unit(self.model.rows(self.ids(text))) for text in (query, document))
        return float((q @ d.T).max(1).sum())

    def ranked(self, by, request):
        texts = [d if isinstance(d, str) else d["text"] for d in request["documents"]]
        scores = [by(request["query"], text, request.get("raw_scores")) for text in texts]
        best = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"index": i, "score": scores[i]} for i in best[: request.get("top_n")]]

    def found(self, case):
        """What a search of an index finds, where documents and query are texts."""
        documents = [d for request in case["add"] for d in request["documents"]]
        request = {**case["request"], "documents": [d["text"] for d in documents]}
        return [{"id": documents[hit["index"]]["id"], "score": hit["score"]}
                for hit in self.ranked(self.score, request)]

    def wants(self, case):
        """What the fields of a case should be."""
        if "want_embeddings" in case:
            return "want_embeddings", list(self.embed(case["request"]))
        if "want_scores" in case:
            by = {"rerank": self.rerank, "score": self.score}[case["op"]]
            return "want_scores", self.ranked(by, case["request"])
        if "want_found" in case and "query" in case["request"]:
            return "want_found", self.found(case)
        return None, None


def rounded(value):
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def near(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(near, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(near(a[name], b[name]) for name in a)
    return a == b if isinstance(a, str) else abs(a - b) <= 2e-5


def main():
    write = "--write" in sys.argv
    ranker, *files = [arg for arg in sys.argv[1:] if arg != "--write"]
    stale = 0
    for file in map(Path, files):
        lines = file.read_text(encoding="utf-8").split("\n")
        oracle = Oracle(ranker, json.loads("\n".join(lines))["load"]["ctx_size"])
        for i, line in enumerate(lines):
            if '"op": ' not in line:
                continue
            case = json.loads(line.rstrip(","))
            field, want = oracle.wants(case)
            if field is None or near(rounded(want), case[field]):
                continue
            stale += 1
            print(f"{file.name}: {case['name']}: {field} is not what NumPy computes")
            case[field] = rounded(want)
            lines[i] = "    " + json.dumps(case) + ("," if line.endswith(",") else "")
        if write:
            file.write_text("\n".join(lines), encoding="utf-8")
    return 1 if stale and not write else 0


if __name__ == "__main__":
    sys.exit(main())
