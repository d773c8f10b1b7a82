"""The tape of the user's code: what it records, and true cotangents against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backprop.tracing.arguments import Number
from anyarray_mlp.backprop.tracing.proxies import NUMPY, PYTHON_MATH, recording
from anyarray_mlp.backprop.tracing.pullback import pullback
from anyarray_mlp.backprop.tracing.tape import Tape, descendants
from anyarray_mlp.backprop.tracing.tracer import traced

xp: Any = NUMPY


def in_place(a: Any, b: Any) -> Any:
    a[1:] += b
    flat = a.reshape(-1)
    flat[0] = 5 * flat[3]
    a *= 2
    return a.T @ a


def view_then_write(p: Any) -> Any:
    weight, bias = p[:12].reshape(3, 4), p[12:]
    p -= 0.1 * p
    return xp.tanh(weight + bias)


def numbers_in_lists(a: Any) -> Any:
    rows = [[Number(a[i, j]) * 2 for j in range(4)] for i in range(3)]
    total = 0.0
    for row in rows:
        total += sum(row)
    return xp.array(rows) * total + xp.mean([row[0] for row in rows])


def with_math(a: Any) -> Any:
    return [1 / (1 + PYTHON_MATH.exp(-a[i])) for i in range(3)]


def out_argument(a: Any, b: Any) -> Any:
    made = xp.zeros((3, 2))
    xp.dot(a, b, out=made)
    return made


def set_items(a: Any) -> Any:
    copy = a.copy()
    copy[a > 0] = 0
    copy[xp.array([0, 2]), xp.array([1, 1])] -= 1.5 * a[0, :2]
    return copy


def scattered(a: Any) -> Any:
    made = xp.zeros(4)
    np.add.at(made, [0, 1, 1], a[0, :3])
    return made


CALLS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "matrix product": (lambda a, b: a @ b, ((3, 4), (4, 2))),
    "vector and matrix": (lambda a, b: xp.dot(a, b), ((4,), (4, 2))),
    "two vectors": (lambda a, b: xp.dot(a, b), ((4,), (4,))),
    "batch of matrices": (lambda a, b: a @ b, ((5, 3, 4), (4, 2))),
    "einsum to a sum": (lambda a, b: xp.einsum("ij,jk->k", a, b), ((3, 4), (4, 2))),
    "einsum without arrow": (lambda a, b: xp.einsum("ij,kj", a, b), ((3, 4), (2, 4))),
    "tensordot": (lambda a, b: xp.tensordot(a, b, axes=([0, 1], [1, 0])), ((3, 4), (4, 3))),
    "outer": (lambda a, b: xp.outer(a, b), ((3,), (4,))),
    "inner": (lambda a, b: np.inner(a, b), ((3, 4), (2, 4))),
    "sum over an axis by place": (lambda a: xp.sum(a, 0), ((3, 4),)),
    "sum that keeps the axis": (lambda a: a.sum(1, keepdims=True) * a, ((3, 4),)),
    "mean": (lambda a: a.mean(axis=1), ((3, 4),)),
    "largest": (lambda a: a.max(axis=1), ((3, 4),)),
    "standard deviation": (lambda a: xp.std(a, axis=0), ((3, 4),)),
    "maximum with zero": (lambda a: xp.maximum(0, a), ((3, 4),)),
    "where": (lambda a: xp.where(a > 0, a, 0.1 * a), ((3, 4),)),
    "clip": (lambda a: xp.clip(a, -0.5, 0.5) ** 3, ((3, 4),)),
    "vectorize": (lambda a: np.vectorize(lambda v: math.tanh(v) ** 2)(a), ((3, 4),)),
    "column of ones": (lambda a: xp.concatenate([a, xp.ones((3, 1))], axis=1), ((3, 4),)),
    "append of one": (lambda a: xp.append(a, 1) ** 2, ((4,),)),
    "pad": (lambda a: xp.pad(a, 1) * 2, ((3, 4),)),
    "in place": (in_place, ((3, 4), (2, 4))),
    "write after a view": (view_then_write, ((16,),)),
    "lists of numbers": (numbers_in_lists, ((3, 4),)),
    "math": (with_math, ((3,),)),
    "out=": (out_argument, ((3, 4), (4, 2))),
    "set items": (set_items, ((3, 4),)),
    "add.at": (scattered, ((3, 4),)),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_cotangents_of_an_operation_are_its_slopes(name: str) -> None:
    call, shapes = CALLS[name]
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape) for shape in shapes]
    tape = Tape()
    with recording(tape):
        leaves = [tape.leaf("parameter", v) for v in values]
        result = call(*(traced(v.copy(), n) for v, n in zip(values, leaves, strict=True)))
        end = tape.node_of(xp.array(result))
    assert all(np.array_equal(a, n.value) for a, n in zip(tape.replay({}), tape.nodes, strict=True))
    cotangent = rng.normal(size=end.value.shape)
    hot = descendants(tape.nodes, leaves)
    found = pullback(tape.nodes, [n.value for n in tape.nodes], {end: cotangent}, hot)
    for leaf, value in zip(leaves, values, strict=True):
        direction = rng.normal(size=value.shape)
        ends = [tape.replay({leaf: value + h * direction})[end.index] for h in (1e-6, -1e-6)]
        slope = float(np.sum(cotangent * (ends[0] - ends[1]))) / 2e-6
        assert float(np.sum(found[leaf] * direction)) == pytest.approx(slope, rel=1e-6, abs=1e-7)


def test_a_node_knows_its_line_and_the_line_that_called() -> None:
    def helper(a: Any) -> Any:
        return a * 2

    tape = Tape()
    with recording(tape):
        a = traced(np.ones(3) * 0.3, tape.leaf("parameter", np.ones(3) * 0.3))
        made = helper(a)
    node = tape.node_of(made)
    names = [code.co_name for code, _ in node.place]
    assert names[:2] == ["helper", "test_a_node_knows_its_line_and_the_line_that_called"]


def test_numpy_is_itself_again_after_a_recording() -> None:
    before = np.vectorize.__call__
    with recording(Tape()):
        assert np.vectorize.__call__ is not before
    assert np.vectorize.__call__ is before
    assert type(xp.array([1.0])) is np.ndarray
