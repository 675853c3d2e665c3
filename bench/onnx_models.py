"""Writes the ONNX graphs that the peer onnxruntime runs.

onnx_models.py FOLDER < LINES: one model per line "kind D N K mask", as
FOLDER/kind-D-N-K-mask.onnx. Batch size and length stay open.

layer: four projections with bias around com.microsoft.MultiHeadAttention (the
biases of q, k and v go into that node, which is where it wants them);
attention: the node alone.
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


def layer_nodes(width, heads, size, mask):
    random = np.random.default_rng(1)
    hidden = heads * size
    weights, nodes = [], []
    for name in "qkv":
        weights.append(tensor("w" + name, random.uniform(-0.1, 0.1, (width, hidden))))
        nodes.append(helper.make_node("MatMul", ["x", "w" + name], [name]))
    weights.append(tensor("bias_qkv", random.uniform(-0.1, 0.1, 3 * hidden)))
    weights.append(tensor("wo", random.uniform(-0.1, 0.1, (hidden, width))))
    weights.append(tensor("bo", random.uniform(-0.1, 0.1, width)))
    inputs = ["q", "k", "v", "bias_qkv"] + (["keep"] if mask == "padding" else [])
    nodes.append(attention_node(inputs, "attended", heads, mask))
    nodes.append(helper.make_node("MatMul", ["attended", "wo"], ["projected"]))
    nodes.append(helper.make_node("Add", ["projected", "bo"], ["result"]))
    return nodes, weights


def model(kind, width, heads, size, mask):
    last = width if kind == "layer" else heads * size
    if kind == "layer":
        nodes, weights = layer_nodes(width, heads, size, mask)
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
    kind, width, heads, size, mask = line.split()
    path = f"{sys.argv[1]}/{'-'.join(line.split())}.onnx"
    onnx.save(model(kind, int(width), int(heads), int(size), mask), path)
