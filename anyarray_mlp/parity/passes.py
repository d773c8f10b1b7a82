"""The passes of a case: its arrays in any arithmetic, and its outputs, loss and gradient, compiled or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.parity.cases import Case
from anyarray_mlp.typing import Host, Namespace


@dataclass(frozen=True)
class Inputs:
    """The arrays of a case in some arithmetic: a library's own, traced ones, or those of the reference."""

    leaves: tuple[Any, ...]
    x: Any
    targets: Any
    sample_weight: Any
    index: Any
    dropout_keys: tuple[Any, ...]

    def arrays(self) -> tuple[Any, ...]:
        """All arrays in a flat tuple, as a compiled function takes them."""
        optional = [a for a in (self.sample_weight, self.index) if a is not None]
        return (*self.leaves, self.x, self.targets, *optional, *self.dropout_keys)

    def rebuilt(self, arrays: Sequence[Any]) -> Inputs:
        """The inverse of `arrays`."""
        rest = iter(arrays)
        leaves = tuple(next(rest) for _ in self.leaves)
        x, targets = next(rest), next(rest)
        weight = None if self.sample_weight is None else next(rest)
        index = None if self.index is None else next(rest)
        return Inputs(leaves, x, targets, weight, index, tuple(rest))


def inputs_of(case: Case, asarray: Callable[..., Any], flat: bool) -> Inputs:
    """The arrays of a case, made by `asarray`."""
    return Inputs(
        tuple(asarray(leaf) for leaf in case.mlp.layout.to_leaves(case.parameters, flat)),
        asarray(case.x),
        asarray(case.targets),
        None if case.sample_weight is None else asarray(case.sample_weight),
        asarray(np.array(case.gather, np.int64)) if case.gather else None,
        tuple(asarray(np.asarray(key, np.int32)) for key in case.dropout_keys),
    )


def evaluate(xp: Namespace, case: Case, inputs: Inputs) -> tuple[Any, Any, tuple[Any, ...]]:
    """Outputs, loss and gradient of the batch; if the case has steps, of the last step with the losses of all."""
    if inputs.index is not None:
        return evaluate_steps(xp, case, inputs, inputs.index)
    outputs = case.mlp.predict(xp, inputs.leaves, inputs.x)
    loss, grad = case.mlp.loss_and_grad(
        xp,
        inputs.leaves,
        inputs.x,
        inputs.targets,
        inputs.sample_weight,
        alpha=case.alpha,
        dropout_keys=inputs.dropout_keys or None,
    )
    return outputs, loss, grad


def evaluate_steps(
    xp: Namespace, case: Case, inputs: Inputs, index: Any
) -> tuple[Any, Any, tuple[Any, ...]]:
    """`gradient_step`, step after step in a plain loop."""
    losses = []
    grad = inputs.leaves
    for k in range(len(case.gather)):
        x, targets = (xp.take(array, index[k, ...], axis=0) for array in (inputs.x, inputs.targets))
        batch = replace(inputs, leaves=grad, x=x, targets=targets, index=None)
        outputs, loss, grad = evaluate(xp, case, batch)
        losses.append(loss)
    return outputs, xp.stack(losses), grad


def inputs_on(backend: Backend, case: Case) -> Inputs:
    """The arrays of a case on a backend, x with the memory layout of the case."""

    def asarray(host: Host) -> Any:
        return backend.asarray(host, dtype="int32" if host.dtype == np.int32 else None)

    inputs = inputs_of(case, asarray, backend.flat)
    x = inputs.x
    if case.layout == "strided":
        x = backend.asarray(np.repeat(np.repeat(case.x, 3, axis=0), 2, axis=1))[::3, ::2]
    elif case.layout == "transposed":
        x = backend.xp.matrix_transpose(backend.asarray(case.x.T))
    elif case.layout == "read-only":
        for array in inputs.arrays():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
    return replace(inputs, x=x)


class CompiledPasses:
    """Compiled passes of a backend; cases with equal networks share one, which compiles once for each shape."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.known: dict[Any, Callable[..., Any]] = {}

    def run(self, case: Case) -> dict[str, Host]:
        """Outputs, loss and every gradient of a case on the host, by name."""
        backend, layout = self.backend, case.mlp.layout
        inputs = inputs_on(backend, case)
        found: dict[str, Host] = {}
        if case.gather:
            run = backend.compile(gradient_step(case))
            grad, (losses,) = run(inputs.leaves, (inputs.x, inputs.targets), (inputs.index,))
            found["loss"] = backend.to_host(losses)
        else:
            outputs, loss, grad = self.of(case, inputs)(*inputs.arrays())
            found["outputs"] = backend.to_host(outputs)
            found["loss"] = backend.to_host(loss)
        vector = layout.to_vector(tuple(backend.to_host(leaf) for leaf in grad))
        found.update(zip(layout.names, layout.split(vector), strict=True))
        return found

    def of(self, case: Case, inputs: Inputs) -> Callable[..., Any]:
        """The compiled pass of a case's network for the arrays that the case has."""
        key = (case.mlp, case.alpha, inputs.sample_weight is None, len(inputs.dropout_keys))
        if key not in self.known:

            def evaluate_arrays(xp: Namespace, *arrays: Any) -> Any:
                return evaluate(xp, case, inputs.rebuilt(arrays))

            self.known[key] = self.backend.jit(evaluate_arrays)
        return self.known[key]


def gradient_step(case: Case) -> Callable[..., Any]:
    """A step whose new state is the gradient at the old one: what training compiles, without the update."""

    def step(xp: Namespace, state: Any, data: Any, inputs: tuple[Any, ...]) -> Any:
        x, targets = (xp.take(array, inputs[0], axis=0) for array in data)
        loss, grad = case.mlp.loss_and_grad(xp, state, x, targets, alpha=case.alpha)
        return grad, (loss,)

    return step
