"""Writes the ONNX graphs that the peer onnxruntime runs.

onnx_models.py FOLDER < LINES: one model per line "kind D N K mask C", as
FOLDER/kind-D-N-K-mask-C.onnx. Batch size and length stay open.

layer: four projections with bias around com.microsoft.MultiHeadAttention (the
biases of q, k and v go into that node, which is where it wants them);
attention: the node alone;
encoder: six layers of attention, addition, normalization, two dense layers with
C units and relu between them, addition, normalization.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensor(name, values):
    return numpy_helper.from_array(values.astype(np.float32), name)


def attention_node(inputs, output, heads, mask):
    return helper.make_node(
        "MultiHeadAttention", inputs, [output], domain="com.microsoft",
        num_heads=heads, unidirectional=int(mask == "causal"),
    )


random = np.random.default_rng(1)


def uniform(name, *dims):
    return tensor(name, random.uniform(-0.1, 0.1, dims))


def layer_nodes(width, heads, size, mask, x="x", result="result", prefix=""):
    hidden = heads * size
    weights, nodes = [], []
    for name in "qkv":
        weights.append(uniform(prefix + "w" + name, width, hidden))
        nodes.append(helper.make_node("MatMul", [x, prefix + "w" + name], [prefix + name]))
    weights.append(uniform(prefix + "bias_qkv", 3 * hidden))
    weights.append(uniform(prefix + "wo", hidden, width))
    weights.append(uniform(prefix + "bo", width))
    inputs = [prefix + name for name in ("q", "k", "v", "bias_qkv")]
    inputs += ["keep"] if mask == "padding" else []
    nodes.append(attention_node(inputs, prefix + "attended", heads, mask))
    nodes.append(helper.make_node("MatMul", [prefix + "attended", prefix + "wo"],
                                  [prefix + "projected"]))
    nodes.append(helper.make_node("Add", [prefix + "projected", prefix + "bo"], [result]))
    return nodes, weights


def dense_nodes(x, result, rows, columns, prefix):
    weights = [uniform(prefix + "w", rows, columns), uniform(prefix + "b", columns)]
    nodes = [helper.make_node("MatMul", [x, prefix + "w"], [prefix + "product"]),
             helper.make_node("Add", [prefix + "product", prefix + "b"], [result])]
    return nodes, weights


def normalized_sum(a, b, result, width, prefix):
    weights = [uniform(prefix + "gamma", width), uniform(prefix + "beta", width)]
    nodes = [helper.make_node("Add", [a, b], [prefix + "sum"]),
             helper.make_node("LayerNormalization",
                              [prefix + "sum", prefix + "gamma", prefix + "beta"], [result],
                              axis=-1, epsilon=1e-5)]
    return nodes, weights


def encoder_nodes(width, heads, size, mask, units):
    nodes, weights = [], []

    def add(part):
        nodes.extend(part[0])
        weights.extend(part[1])

    x = "x"
    for i in range(6):
        at = f"layer{i}_"
        result = "result" if i == 5 else at + "result"
        add(layer_nodes(width, heads, size, mask, x, at + "attention", at))
        add(normalized_sum(x, at + "attention", at + "middle", width, at + "first_"))
        add(dense_nodes(at + "middle", at + "wide", width, units, at + "intermediate_"))
        nodes.append(helper.make_node("Relu", [at + "wide"], [at + "active"]))
        add(dense_nodes(at + "active", at + "narrow", units, width, at + "output_"))
        add(normalized_sum(at + "middle", at + "narrow", result, width, at + "second_"))
        x = result
    return nodes, weights


def model(kind, width, heads, size, mask, units):
    last = heads * size if kind == "attention" else width
    if kind == "layer":
        nodes, weights = layer_nodes(width, heads, size, mask)
        names = ["x"]
    elif kind == "encoder":
        nodes, weights = encoder_nodes(width, heads, size, mask, units)
        names = ["x"]
    else:
        names, weights = ["q", "k", "v"], []
        inputs = names + (["", "keep"] if mask == "padding" else [])
        nodes = [attention_node(inputs, "result", heads, mask)]
    value = helper.make_tensor_value_info
    inputs = [value(name, TensorProto.FLOAT, ["B", "T", last]) for name in names]
    if mask == "padding":
        inputs.append(value("keep", TensorProto.INT32, ["B", "T"]))
    result = value("result", TensorProto.FLOAT, ["B", "T", last])
    graph = helper.make_graph(nodes, kind, inputs, [result], weights)
    made = helper.make_model(graph, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1),
    ])
    made.ir_version = 8
    return made


for line in sys.stdin:
    kind, width, heads, size, mask, units = line.split()
    path = f"{sys.argv[1]}/{'-'.join(line.split())}.onnx"
    onnx.save(model(kind, int(width), int(heads), int(size), mask, int(units)), path)
