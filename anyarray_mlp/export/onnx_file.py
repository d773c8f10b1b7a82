"""An ONNX model of a trained model: from the columns of a table to labels, probabilities or values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from anyarray_mlp import __version__
from anyarray_mlp.export.contents import Contents, Layer, Member
from anyarray_mlp.export.formulas import Formula, Number, Operand
from anyarray_mlp.export.onnx_encoding import encoded, inputs_of
from anyarray_mlp.export.onnx_graph import Graph, library, real

#: The versions of the two sets of operations, and of the file: any ONNX runtime since 2022 reads them.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
#: The operations of a formula by their names there; others are made of several.
NODES = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "negative": "Neg", "maximum": "Max",
    "minimum": "Min", "abs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "tanh": "Tanh", "erf": "Erf",
    "floor": "Floor", "where": "Where", "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual", "equal": "Equal", "logical_and": "And", "logical_or": "Or",
    "logical_not": "Not",
}  # fmt: skip


def given(dtype: str) -> tuple[str, ...]:
    """What runtimes have of functions that a formula can do without: many have no `Erf` of float64."""
    return ("erf",) if dtype == "float32" else ()


def onnx_file(contents: Contents) -> bytes:
    """The file."""
    onnx = library()
    graph = Graph(onnx)
    inputs, names = inputs_of(graph, contents)
    x = encoded(graph, contents, names)
    outputs = [network(graph, contents, member, x) for member in contents.members]
    y = outputs[0]
    if len(outputs) > 1:
        y = graph.add("Div", graph.add("Sum", *outputs), real(contents, len(outputs)))
    answers = []
    for name, (value, dtype, shape) in answers_of(graph, contents, y).items():
        free = name
        while free in {each.name for each in inputs}:
            free += "_"
        graph.renamed(value, free)
        answers.append(onnx.helper.make_tensor_value_info(free, dtype, shape))
    made = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, contents.name, inputs, answers, graph.tensors),
        opset_imports=[
            onnx.helper.make_opsetid("", OPSET),
            onnx.helper.make_opsetid("ai.onnx.ml", ML_OPSET),
        ],
        ir_version=IR_VERSION,
        producer_name="anyarray-mlp",
        producer_version=__version__,
    )
    columns = json.dumps([column.name for column in contents.columns])
    onnx.helper.set_model_props(made, {"columns": columns})
    onnx.checker.check_model(made)
    written: bytes = made.SerializeToString()
    return written


# --- from a table to inputs of the network ------------------------------------------------------


# --- dates --------------------------------------------------------------------------------------


# --- the network and its answers ----------------------------------------------------------------


def network(graph: Graph, contents: Contents, member: Member, x: str) -> str:
    """The outputs (n, k) of one network."""
    if member.scales is not None:
        x = graph.add("Mul", x, member.scales[None])
    for layer in member.layers:
        x = dense(graph, contents, layer, x)
    if contents.output == "softmax":
        return graph.add("Softmax", x, axis=1)
    if contents.output_function is not None:
        return applied(graph, contents.output_function, x, contents.dtype)
    return x


def dense(graph: Graph, contents: Contents, layer: Layer, x: str) -> str:
    """A dense layer and what follows it."""
    z = graph.add("MatMul", x, layer.weights)
    if layer.bias is not None:
        z = graph.add("Add", z, layer.bias[None])
    if layer.function is None:
        return z
    a = applied(graph, layer.function, z, contents.dtype)
    if layer.alphas is None:
        return a
    return graph.add("Add", z, graph.add("Mul", graph.add("Sub", a, z), layer.alphas[None]))


def applied(graph: Graph, formula: Formula, z: str, dtype: str) -> str:
    """A formula of every entry of z."""
    values = [z]

    def number(value: float) -> str:
        return graph.constant(np.array(value, dtype))

    def of(operand: Operand) -> str:
        return number(operand.value) if isinstance(operand, Number) else values[operand]

    for operation, operands in formula.steps:
        inputs = [*map(of, operands)]
        if operation == "not_equal":
            value = graph.add("Not", graph.add("Equal", *inputs))
        elif operation == "expm1":
            value = expm1(graph, inputs[0], number)
        elif operation == "log1p":
            value = log1p(graph, inputs[0], number)
        else:
            value = graph.add(NODES[operation], *inputs)
        values.append(value)
    found = of(formula.result)
    if isinstance(formula.result, Number):  # a function that is a number is one for every entry
        found = graph.add("Add", graph.add("Mul", z, number(0.0)), found)
    return found


def expm1(graph: Graph, x: str, number: Any) -> str:
    """exp(x) - 1 without the loss near 0: 2 t / (1 - t) of t = tanh(x / 2)."""
    t = graph.add("Tanh", graph.add("Mul", x, number(0.5)))
    near = graph.add("Div", graph.add("Add", t, t), graph.add("Sub", number(1.0), t))
    far = graph.add("Sub", graph.add("Exp", x), number(1.0))
    return graph.add("Where", graph.add("Less", x, number(1.0)), near, far)


def log1p(graph: Graph, x: str, number: Any) -> str:
    """log(1 + x) without the loss near 0: log(u) x / (u - 1) of u = 1 + x as it is rounded, x where u is 1."""
    u = graph.add("Add", x, number(1.0))
    rest = graph.add("Sub", u, number(1.0))
    value = graph.add("Div", graph.add("Mul", graph.add("Log", u), x), rest)
    return graph.add("Where", graph.add("Equal", rest, number(0.0)), x, value)


def answers_of(graph: Graph, contents: Contents, y: str) -> dict[str, tuple[str, Any, list[Any]]]:
    """The outputs of the file by name: value, type and shape."""
    kinds, targets, k = graph.onnx.TensorProto, contents.targets, contents.sizes[-1]
    of_dtype = graph.onnx.helper.np_dtype_to_tensor_dtype
    kind = of_dtype(np.dtype(contents.dtype))
    if targets.task == "regression":
        units = np.array(targets.scale)[None], np.array(targets.mean)[None]
        values = graph.add("Add", graph.add("Mul", graph.cast(y, float), units[0]), units[1])
        low, high = getattr(targets, "low", ()), getattr(targets, "high", ())
        if low:
            values = graph.add("Max", values, np.array(low)[None])
            values = graph.add("Min", values, np.array(high)[None])
        if targets.flat:
            flat = graph.add("Squeeze", values, np.array([1]))
            return {"prediction": (flat, kinds.DOUBLE, ["n"])}
        return {"prediction": (values, kinds.DOUBLE, ["n", k])}

    def sure() -> str:
        return graph.cast(graph.add("GreaterOrEqual", y, real(contents, 0.5)), np.int64)

    if targets.task == "multilabel":
        return {
            "label": (sure(), kinds.INT64, ["n", k]),
            "probabilities": (y, kind, ["n", k]),
        }
    classes: Any = targets.classes
    if k == 1:
        place = graph.add("Squeeze", sure(), np.array([1]))
        place = graph.add("Min", place, np.int64(len(classes) - 1))
        y = graph.add("Concat", graph.add("Sub", real(contents, 1), y), y, axis=1)
    else:
        place = graph.add("ArgMax", y, axis=1, keepdims=0)
    if classes.dtype.kind in "iu":
        classes = classes.astype(np.int64)
    labels = classes if classes.dtype.kind in "ibf" else classes.astype(object)
    type_of = kinds.STRING if labels.dtype.kind == "O" else of_dtype(labels.dtype)
    return {
        "label": (graph.add("Gather", labels, place), type_of, ["n"]),
        "probabilities": (y, kind, ["n", max(k, 2)]),
    }
