#!/usr/bin/env python3
"""Writes the .onnx files of this folder: small models, each with something that is hard to cut.

Needs the packages onnx and numpy; the tests need only the files. Seeded: the same bytes each time.
"""
import os
import numpy as np
import onnx
from onnx import TensorProto as T, helper as h, numpy_helper as nh

os.chdir(os.path.dirname(os.path.abspath(__file__)))
random = np.random.default_rng(1)


def weight(name, *shape):
    return nh.from_array((random.standard_normal(shape) / 2).astype(np.float32), name)


def const(name, array):
    return nh.from_array(np.asarray(array), name)


def value(name, dims=("N", 8), type=T.FLOAT):
    return h.make_tensor_value_info(name, type, dims)


def save(name, nodes, inputs, outputs, initializer=(), opset=17, domains=(), functions=(), sparse=(), info=(), **more):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializer), sparse_initializer=list(sparse), value_info=list(info))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", opset)] + [h.make_opsetid(d, v) for d, v in domains],
                         functions=list(functions), producer_name="motley's tests", ir_version=8)
    model.metadata_props.add(key="purpose", value=name)
    onnx.checker.check_model(model)
    onnx.save(model, name + ".onnx", **more)


n = h.make_node

# an initialiser that three nodes read, one that is an output, one that is an input too (overridable)
save("initialisers",
     [n("MatMul", ["x", "w"], ["a"]), n("MatMul", ["a", "w"], ["b"]), n("Add", ["b", "bias"], ["c"]), n("MatMul", ["c", "w"], ["y"])],
     [value("x"), value("bias", [8])], [value("y"), value("w", [8, 8])], [weight("w", 8, 8), weight("bias", 8)])

# constants of all kinds, shared and not
save("constants",
     [n("Constant", [], ["k"], value=weight("", 8)), n("Constant", [], ["axis"], value_ints=[1]), n("Constant", [], ["two"], value_float=2.0),
      n("Add", ["x", "k"], ["a"]), n("Mul", ["a", "two"], ["b"]), n("ReduceSum", ["b", "axis"], ["s"], keepdims=1),
      n("Sub", ["b", "s"], ["c"]), n("Mul", ["c", "k"], ["d"]), n("Mul", ["d", "two"], ["y"])],
     [value("x")], [value("y")])

# If whose branches use tensors of the graph around, made before and after each other
then = h.make_graph([n("Add", ["a", "w"], ["t"])], "then", [], [value("t")])
other = h.make_graph([n("Mul", ["b", "w"], ["inner"]), n("Sub", ["inner", "a"], ["e"])], "else", [], [value("e")])
save("if",
     [n("Relu", ["x"], ["a"]), n("Neg", ["a"], ["b"]), n("ReduceSum", ["x"], ["sum"], keepdims=0), n("Greater", ["sum", "zero"], ["c"]),
      n("If", ["c"], ["f"], then_branch=then, else_branch=other), n("Add", ["f", "b"], ["y"])],
     [value("x")], [value("y")], [weight("w", 8), const("zero", np.float32(0))])

# Loop with a state, a collected output, and tensors and weights of the graph around
body = h.make_graph([n("Add", ["state", "a"], ["more"]), n("Mul", ["more", "w"], ["next"]), n("Identity", ["go"], ["stay"]), n("Identity", ["next"], ["seen"])],
                    "body", [value("i", [], T.INT64), value("go", [], T.BOOL), value("state")],
                    [value("stay", [], T.BOOL), value("next"), value("seen")])
save("loop",
     [n("Relu", ["x"], ["a"]), n("Sigmoid", ["a"], ["start"]), n("Loop", ["trip", "", "start"], ["last", "all"], body=body),
      n("ReduceMean", ["all"], ["mean"], axes=[0], keepdims=0), n("Add", ["last", "mean"], ["s"]), n("Add", ["s", "a"], ["y"])],
     [value("x")], [value("y")], [const("trip", np.int64(3)), weight("w", 8)])

# Scan
body = h.make_graph([n("Add", ["state", "row"], ["sum"]), n("Mul", ["sum", "w"], ["next"]), n("Identity", ["next"], ["out"])],
                    "body", [value("state", [8]), value("row", [8])], [value("next", [8]), value("out", [8])])
save("scan",
     [n("Relu", ["x"], ["a"]), n("Scan", ["begin", "a"], ["last", "rows"], body=body, num_scan_inputs=1), n("Add", ["rows", "last"], ["b"]), n("Neg", ["b"], ["y"])],
     [value("x")], [value("y")], [weight("begin", 8), weight("w", 8)])

# functions of the model's own, one calling the other
half = h.make_function("local", "Half", ["v"], ["h"], [n("Constant", [], ["p"], value_float=0.5), n("Mul", ["v", "p"], ["h"])], [h.make_opsetid("", 17)])
twice = h.make_function("local", "HalfRelu", ["v"], ["r"], [n("Half", ["v"], ["m"], domain="local"), n("Relu", ["m"], ["r"])],
                        [h.make_opsetid("", 17), h.make_opsetid("local", 1)])
save("functions",
     [n("HalfRelu", ["x"], ["a"], domain="local"), n("MatMul", ["a", "w"], ["b"]), n("Half", ["b"], ["c"], domain="local"), n("HalfRelu", ["c"], ["y"], domain="local")],
     [value("x")], [value("y")], [weight("w", 8, 8)], domains=[("local", 1)], functions=[half, twice],
     info=[value(t) for t in "abc"])

# optional inputs left out in the middle; optional outputs that nobody wants
save("optional",
     [n("Relu", ["x"], ["a"]), n("Clip", ["a", "", "six"], ["b"]), n("Reshape", ["b", "four"], ["b4"]), n("Resize", ["b4", "", "scales"], ["c"], mode="nearest"),
      n("Reshape", ["c", "two"], ["flat"]), n("TopK", ["flat", "k"], ["unwanted", "indices"]), n("Dropout", ["flat"], ["d", ""]), n("Neg", ["d"], ["y"])],
     [value("x", [2, 8])], [value("y", [2, 16]), value("indices", [2, 3], T.INT64)],
     [const("six", np.float32(6)), const("four", np.array([2, 1, 1, 8])), const("two", np.array([2, 16])), const("k", np.array([3])),
      const("scales", np.array([1, 1, 1, 2], np.float32))])

# operators of three domains
graph_nodes = [n("Relu", ["x"], ["a"]), n("Gelu", ["a"], ["b"], domain="com.microsoft"), n("Scaler", ["b"], ["c"], domain="ai.onnx.ml", offset=[0.5], scale=[2.0]), n("Tanh", ["c"], ["y"])]
graph = h.make_graph(graph_nodes, "domains", [value("x")], [value("y")], value_info=[value(t) for t in "abc"])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("com.microsoft", 1), h.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
onnx.save(model, "domains.onnx")

# quantised: QDQ with one dequantised tensor for two branches, and shared weights
zero, scale = const("z", np.uint8(128)), const("s", np.float32(0.05))
wq = const("wq", random.integers(-20, 20, (4, 4, 1, 1)).astype(np.int8))


def quantise(t):
    return [n("QuantizeLinear", [t, "s", "z"], [t + "_q"]), n("DequantizeLinear", [t + "_q", "s", "z"], [t + "_d"])]


save("qdq",
     quantise("x") + [n("DequantizeLinear", ["wq", "ws", "wz"], ["w"])] +
     [n("Conv", ["x_d", "w"], ["a"])] + quantise("a") + [n("Conv", ["a_d", "w"], ["b"])] + quantise("b") +
     [n("Add", ["b_d", "a_d"], ["c"])] + quantise("c") + [n("GlobalAveragePool", ["c_d"], ["y"])],
     [value("x", ["N", 4, 6, 6])], [value("y", ["N", 4, 1, 1])],
     [zero, scale, wq, const("ws", np.float32(0.02)), const("wz", np.int8(0))])

# quantised: QLinear operators
save("qlinear",
     [n("QuantizeLinear", ["x", "s", "z"], ["a"]), n("QLinearConv", ["a", "s", "z", "wq", "ws", "wz", "s", "z"], ["b"]),
      n("QLinearConv", ["b", "s", "z", "wq", "ws", "wz", "s", "z"], ["c"]), n("MaxPool", ["c"], ["d"], kernel_shape=[2, 2]), n("DequantizeLinear", ["d", "s", "z"], ["y"])],
     [value("x", ["N", 4, 6, 6])], [value("y", ["N", 4, 5, 5])],
     [zero, scale, wq, const("ws", np.float32(0.02)), const("wz", np.int8(0))])

# weights in a file beside the model
if os.path.exists("external.data"):
    os.remove("external.data")
save("external",
     [n("MatMul", ["x", "w1"], ["a"]), n("Relu", ["a"], ["b"]), n("MatMul", ["b", "w2"], ["c"]), n("Add", ["c", "w3"], ["y"])],
     [value("x", ["N", 16])], [value("y", ["N", 16])], [weight("w1", 16, 16), weight("w2", 16, 16), weight("w3", 16)],
     save_as_external_data=True, location="external.data", size_threshold=0)

# sparse initialisers
sparse = h.make_sparse_tensor(const("sparse_w", np.array([1, -2, 0.5], np.float32)), const("", np.array([3, 20, 40])), [8, 8])
save("sparse", [n("MatMul", ["x", "sparse_w"], ["a"]), n("Relu", ["a"], ["b"]), n("MatMul", ["b", "sparse_w"], ["c"]), n("Add", ["c", "x"], ["y"])],
     [value("x")], [value("y")], sparse=[sparse])

# a sequence and an optional between nodes; both may be cut before and behind only
save("sequence",
     [n("Relu", ["x"], ["a"]), n("Neg", ["a"], ["b"]), n("SequenceConstruct", ["a", "b"], ["q"]), n("SequenceAt", ["q", "one"], ["c"]),
      n("ConcatFromSequence", ["q"], ["d"], axis=1), n("Tanh", ["c"], ["e"]), n("Concat", ["d", "e"], ["y"], axis=1)],
     [value("x", [2, 8])], [value("y", [2, 24])], [const("one", np.int64(1))])

# names: several nodes of one name (ONNX Runtime refuses those to run), and without one; dead nodes; an output that is read on;
# an input that is an output
def named(same):
    return [n("Relu", ["x"], ["a"], name=same), n("Neg", ["a"], ["b"], name=same), n("Abs", ["b"], ["c"], name=""), n("Exp", ["b"], ["dead"], name=same),
            n("Sqrt", ["dead"], ["deader"], name=""), n("Sigmoid", ["c"], ["d"], name=""), n("Add", ["d", "a"], ["e"], name=same), n("Tanh", ["e"], ["y"], name="last")]


for name, same in (("names", ""), ("duplicates", "same")):
    save(name, named(same), [value("x")], [value("y"), value("c"), value("a"), value("x")], info=[value(t) for t in "bde"])

# symbolic dimensions that are not the batch, and arithmetic on shapes
save("symbols",
     [n("Transpose", ["x"], ["a"], perm=[0, 2, 1]), n("Shape", ["x"], ["sh"]), n("Gather", ["sh", "first"], ["batch"]), n("Concat", ["batch", "minus"], ["to"], axis=0),
      n("Relu", ["a"], ["r"]), n("Reshape", ["r", "to"], ["f"]), n("Softmax", ["f"], ["p"]), n("Mul", ["p", "f"], ["m"]), n("Identity", ["m"], ["y"])],
     [value("x", ["N", "length", 4])], [value("y", ["N", "flat"])], [const("first", np.array([0])), const("minus", np.array([-1]))])

# LayerNorm, attention, GELU, SiLU, convolution with normalisation and activation, a residual
def layer_norm(x, y, p):
    return [n("ReduceMean", [x], [p + "m"], axes=[-1]), n("Sub", [x, p + "m"], [p + "d"]), n("Pow", [p + "d", "two"], [p + "q"]), n("ReduceMean", [p + "q"], [p + "v"], axes=[-1]),
            n("Add", [p + "v", "eps"], [p + "e"]), n("Sqrt", [p + "e"], [p + "s"]), n("Div", [p + "d", p + "s"], [p + "n"]), n("Mul", [p + "n", "g"], [p + "g"]), n("Add", [p + "g", "be"], [y])]


def heads(x, w, y, perm):
    return [n("MatMul", [x, w], [y + "_p"]), n("Reshape", [y + "_p", "split"], [y + "_r"]), n("Transpose", [y + "_r"], [y], perm=perm)]


save("transformer",
     layer_norm("x", "l", "ln1_") + heads("l", "wq", "q", [0, 2, 1, 3]) + heads("l", "wk", "k", [0, 2, 3, 1]) + heads("l", "wv", "v", [0, 2, 1, 3]) +
     [n("MatMul", ["q", "k"], ["qk"]), n("Div", ["qk", "root"], ["sc"]), n("Softmax", ["sc"], ["p"], axis=-1), n("MatMul", ["p", "v"], ["pv"]),
      n("Transpose", ["pv"], ["pt"], perm=[0, 2, 1, 3]), n("Reshape", ["pt", "join"], ["pr"]), n("MatMul", ["pr", "wo"], ["o"]), n("Add", ["o", "x"], ["res"])] +
     layer_norm("res", "l2", "ln2_") +
     [n("MatMul", ["l2", "w1"], ["f"]), n("Add", ["f", "b1"], ["fb"]), n("Div", ["fb", "sqrt2"], ["gd"]), n("Erf", ["gd"], ["ge"]), n("Add", ["ge", "one"], ["ga"]),
      n("Mul", ["fb", "ga"], ["gm"]), n("Mul", ["gm", "half"], ["gelu"]), n("MatMul", ["gelu", "w2"], ["f2"]), n("Add", ["f2", "res"], ["y"])],
     [value("x", ["N", 5, 8])], [value("y", ["N", 5, 8])],
     [const("two", np.float32(2)), const("eps", np.float32(1e-5)), weight("g", 8), weight("be", 8), weight("wq", 8, 8), weight("wk", 8, 8), weight("wv", 8, 8), weight("wo", 8, 8),
      const("split", np.array([0, 0, 2, 4])), const("join", np.array([0, 0, 8])), const("root", np.float32(2)), weight("w1", 8, 16), weight("b1", 16), weight("w2", 16, 8),
      const("sqrt2", np.float32(2 ** 0.5)), const("one", np.float32(1)), const("half", np.float32(0.5))])

save("convolutions",
     [n("Pad", ["x", "pads"], ["pad"], name="pad"), n("Conv", ["pad", "w1"], ["c1"], name="conv1"),
      n("BatchNormalization", ["c1", "sc", "bi", "mean", "var"], ["bn"], name="norm1"), n("Relu", ["bn"], ["r1"], name="relu1"),
      n("Conv", ["r1", "w1"], ["c2"], name="conv2", pads=[1, 1, 1, 1]), n("Add", ["c2", "r1"], ["sum"], name="residual"), n("Relu", ["sum"], ["r2"], name="relu2"),
      n("Conv", ["r2", "w1"], ["c3"], name="conv3"), n("Sigmoid", ["c3"], ["g"], name="gate"), n("Mul", ["c3", "g"], ["silu"], name="silu"), n("GlobalAveragePool", ["silu"], ["y"], name="pool")],
     [value("x", ["N", 4, 6, 6])], [value("y", ["N", 4, 1, 1])],
     [weight("w1", 4, 4, 3, 3), const("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1])), weight("sc", 4), weight("bi", 4), weight("mean", 4), const("var", np.ones(4, np.float32))])
