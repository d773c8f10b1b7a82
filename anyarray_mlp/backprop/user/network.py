"""`UserNetwork`: read and write a user's weights, call their functions, put everything back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.adapter import (
    Adapter,
    Layout,
    is_function,
    list_parameters,
    with_guesses,
)
from anyarray_mlp.backprop.user.calling import Bound, bind, quiet
from anyarray_mlp.backprop.user.kept import batch_sizes, loop_counts, whole_numbers
from anyarray_mlp.backprop.user.left_behind import find_output, gradients_left_behind, output_array
from anyarray_mlp.backprop.user.paths import read_path, to_host, write_path
from anyarray_mlp.backprop.user.returned import (
    flatten,
    gradient_leaves,
    order_leaves,
)
from anyarray_mlp.backprop.user.snapshots import Snapshot
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import UsageError
from anyarray_mlp.typing import Host

RATE_ATTRIBUTES = (
    "learning_rate",
    "lr",
    "eta",
    "learningRate",
    "learn_rate",
    "LR",
    "LEARNING_RATE",
)


class UserNetwork:
    """A user's network as the checks see it: parameters by name, and functions that can be called.

    Every call starts from the state that the network had when this object was made, with the
    parameters last given to `write`.
    """

    def __init__(self, adapter: Adapter) -> None:
        if isinstance(adapter.network, (str, int, float)):
            raise UsageError(
                f"network={shown(adapter.network)} is a {type(adapter.network).__name__}; give the object, dict, "
                "list or module that holds the weights"
            )
        self.guessed = adapter.weights is None
        self.adapter = adapter = with_guesses(adapter)
        self.network = adapter.network
        assert adapter.weights is not None
        assert adapter.forward is not None
        self.parameters = list_parameters(adapter)
        self.depth = 1 + max(p.layer for p in self.parameters)
        self.forward = bind(self.network, adapter.forward, "forward")
        self.loss = (
            bind(self.network, adapter.loss, "loss")
            if adapter.loss is not None and is_function(adapter)
            else None
        )
        self.gradients = (
            None
            if adapter.gradients is None
            else bind(self.network, adapter.gradients, "gradients")
        )
        self.train_step = (
            None
            if adapter.train_step is None
            else bind(self.network, adapter.train_step, "train_step")
        )
        bound = [
            f.function for f in (self.forward, self.loss, self.gradients, self.train_step) if f
        ]
        self.roots = [self.network, *bound]
        self.snapshot = Snapshot(self.roots)
        stepping = self.train_step is not None
        self.loop_counts = loop_counts(self.snapshot) if stepping else []
        self.batch_sizes = batch_sizes(self.snapshot)
        self.layout: Layout = adapter.samples or "rows"
        self.original = self.read()
        self.current = self.original
        self.rate_path = self.find_rate_path()
        # Run the forward pass before each training step?
        self.primed = self.train_step is not None and self.train_step.is_backward_pass
        self.optimizer_state: list[Host] = []  # zero wherever other weights are written
        self.counters: list[tuple[dict[Any, Any], str]] = []  # the same

    def find_rate_path(self) -> str | None:
        if isinstance(self.adapter.learning_rate, str):
            return self.adapter.learning_rate
        if self.adapter.learning_rate is None:
            for name in RATE_ATTRIBUTES:
                try:
                    value = read_path(self.network, name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                if isinstance(value, float):
                    return name
        return None

    def find_counters(self, x: Any, y: Any) -> None:
        """Counts of the steps made so far, which a step increases by one; they start from zero, too."""
        if self.train_step is None:
            return
        self.reset()
        before = [
            (node, name, value, node[name]) for node, name, value in whole_numbers(self.snapshot)
        ]
        try:
            self.step(x, y, None, fresh=False)
            stepped = [
                (node, name, value) for node, name, value, n in before if node.get(name) == n + 1
            ]
            self.counters = [(node, name) for node, name, value in stepped if value > 1]
            after = self.step(x, y, None)
        except Exception:  # reported when the step is observed
            self.counters = []
            return
        if not all(np.isfinite(array).all() for array in after):
            self.counters = []
        counted = [(id(node), name) for node, name, _ in stepped]
        self.loop_counts = [c for c in self.loop_counts if (id(c[0]), c[1]) not in counted]

    @property
    def rate_is_free(self) -> bool:
        """True if the learning rate of a step can be chosen."""
        if self.train_step is not None and self.train_step.takes_rate:
            return True
        return self.rate_path is not None

    def read(self) -> list[Host]:
        """The parameters as they are now, as NumPy arrays with the user's shapes and dtype."""
        arrays = []
        for parameter in self.parameters:
            try:
                value = read_path(self.network, parameter.path)
            except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                raise UsageError(
                    f"{parameter.kind} {shown(parameter.path)} of layer {parameter.layer + 1} is not in the network of "
                    f"type {type(self.network).__name__}; give the name under which it is kept"
                ) from None
            array = np.array(to_host(value))
            if array.dtype.kind in "iu":
                array = array.astype(float)
            if array.dtype.kind != "f":
                raise UsageError(
                    f"{parameter.kind} {shown(parameter.path)} has dtype {array.dtype}; give the name of an array of "
                    "floats"
                )
            arrays.append(array)
        return arrays

    def write(self, arrays: Sequence[Host]) -> None:
        """Set the parameters that the next calls start from."""
        self.current = [np.array(a) for a in arrays]

    def reset(self, generators: bool = True) -> None:
        """Back to the first state, with the parameters last given to `write`.

        Without `generators`, random numbers continue from where they are.
        """
        self.snapshot.restore(generators)
        self.network = self.adapter.network
        for namespace, name in self.loop_counts:
            namespace[name] = 1
        if self.current is not self.original:
            for state in self.optimizer_state:
                state[...] = 0
            for namespace, name in self.counters:
                namespace[name] = 0
            self.put_parameters(self.current)

    def put_parameters(self, arrays: Sequence[Host]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            self.network = write_path(self.network, parameter.path, array)

    def restore(self) -> None:
        """Put everything back as the user passed it."""
        self.current = self.original
        self.snapshot.restore()
        self.network = self.adapter.network

    def values(self, x: Any, y: Any, **more: Any) -> dict[str, Any]:
        if self.adapter.data_names is not None:
            for name, data in zip(self.adapter.data_names, (x, y), strict=True):
                if data is None:
                    continue
                if isinstance(self.network, dict):
                    self.network[name] = data
                else:
                    setattr(self.network, name, data)
        return {"network": self.network, "x": x, "y": y, **more}

    def set_rate(self, rate: float | None) -> None:
        if rate is not None and self.rate_path is not None:
            self.network = write_path(self.network, self.rate_path, np.asarray(rate))

    def output(self, x: Any, fresh: bool = True) -> Host:
        """The user's forward pass for `x` in their layout, as a float array in their shape."""
        if fresh:
            self.reset()
        with quiet():
            result = self.forward(self.values(x, None))
        return output_array(result, self.network, self.depth)

    def loss_value(self, x: Any, y: Any) -> float:
        """The user's loss for all of `x` and `y`; for single samples, their sum."""
        assert self.loss is not None
        if self.layout == "single":
            return float(sum(self.one_loss(xi, yi) for xi, yi in zip(x, y, strict=True)))
        return self.one_loss(x, y)

    def one_loss(self, x: Any, y: Any) -> float:
        assert self.loss is not None
        self.reset()
        with quiet():
            values = self.values(x, y, pairs=(x, y))
            if "output" in self.loss.roles or self.loss.roles in ((), ("y",)):
                result = self.forward(values)
                values["output"] = find_output(result, self.network, self.depth)
            result = self.loss(values)
        leaves = flatten(result)
        if not leaves:
            raise UsageError(
                f"loss returns {type(result).__name__}; give a function that returns the number to minimise"
            )
        return float(np.sum(leaves[0][1]))

    def call(self, function: Bound, x: Any, y: Any, rate: float | None = None) -> Any:
        """Call the gradients' or the step's function with everything that its arguments ask for."""
        values = self.values(x, y, rate=rate, epochs=1, batch_size=1)
        with quiet():
            if function.takes("output", "cache"):
                result = self.forward(values)
                values["output"] = find_output(result, self.network, self.depth)
                kept = (
                    result[1] if isinstance(result, (tuple, list)) and len(result) == 2 else result
                )
                values["cache"] = kept
            values["pairs"] = [(x, y)] if self.layout == "single" else (x, y)
            if self.layout != "single":
                values["batch_size"] = np.shape(to_host(x))[-1 if self.layout == "columns" else 0]
            for namespace, name, size in self.batch_sizes:
                namespace[name] = min(size, values["batch_size"])
            if self.layout == "single" and function.batches_of_one:
                values["x"], values["y"] = batch_of_one(x), batch_of_one(y)
            return function(values)

    def settle_batches(self, x: Any, y: Any) -> None:
        """If forward takes one sample: give functions that fail with one a batch of one."""

        def works(function: Bound) -> bool:
            self.reset()
            try:
                with contextlib.suppress(Exception):
                    self.prime(x, y)
                self.call(function, x, y, 0.1)
            except Exception:
                return False
            return True

        def settled(function: Bound | None) -> Bound | None:
            if function is None or works(function):
                return function
            batched = replace(function, batches_of_one=True)
            return batched if works(batched) else function

        self.gradients, self.train_step = settled(self.gradients), settled(self.train_step)

    def prime(self, x: Any, y: Any) -> None:
        """Run the forward pass, for gradients that read what it leaves."""
        with quiet():
            self.forward(self.values(x, y))

    def raw_gradients(
        self, x: Any, y: Any, fresh: bool = True, copies: bool = True
    ) -> list[Host | None]:
        """The user's gradients, one for each parameter, in the user's shapes.

        With `fresh=False`, the call follows whatever was called before; without `copies`, the arrays
        may be the user's own. None stands for a parameter whose gradient is not given.
        """
        assert self.gradients is not None
        if fresh:
            self.reset()
        with contextlib.suppress(Exception):
            self.prime(x, y)
        result = self.call(self.gradients, x, y)
        leaves = gradient_leaves(result, self.parameters)
        weights = sum(p.kind == "weight" for p in self.parameters)
        if sum(np.ndim(leaf) > 0 for _, leaf in leaves) < weights and not self.has_scalars():
            leaves = gradients_left_behind(self.network, self.parameters) or leaves
        if not leaves:
            raise UsageError(
                "gradients returns no arrays and leaves none beside the weights (dW1, W1_grad, ...) or in grads; "
                "give a function that returns them, one for each weight and bias"
            )
        # Copies: an array that the user's code keeps and adds to would change in the next call.
        ordered = order_leaves(leaves, self.parameters, self.current)
        return (
            [None if array is None else np.array(array) for array in ordered] if copies else ordered
        )

    def has_scalars(self) -> bool:
        return any(np.ndim(a) == 0 for a in self.current)

    def step(self, x: Any, y: Any, rate: float | None, fresh: bool = True) -> list[Host]:
        """The parameters after one training step."""
        assert self.train_step is not None
        if fresh:
            self.reset()
        before = self.read()
        self.set_rate(rate)
        given = rate
        if rate is None and self.train_step.takes_rate:
            given = 0.1
        if self.primed:
            self.prime(x, y)
        try:
            result = self.call(self.train_step, x, y, given)
        except (AttributeError, KeyError, TypeError, NameError):
            if not fresh:
                raise
            self.reset()
            self.set_rate(rate)
            self.prime(x, y)
            result = self.call(self.train_step, x, y, given)
        after = self.read()
        if all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            leaves = [leaf for leaf in flatten(result) if np.ndim(leaf[1]) > 0]
            shapes = sorted(np.shape(a) for _, a in leaves)
            if len(leaves) == len(before) and shapes == sorted(np.shape(a) for a in before):
                returned = order_leaves(leaves, self.parameters, before, nearest=True)
                after = [b if r is None else r for r, b in zip(returned, before, strict=True)]
                if not fresh or isinstance(self.network, (dict, list, tuple)):
                    self.put_parameters(after)
        return after


def batch_of_one(sample: Any) -> Any:
    """One sample as a batch, as an array if the sample is one."""
    if isinstance(sample, (np.ndarray, np.generic)):
        return np.asarray(sample)[None]
    return sample[None] if hasattr(sample, "shape") else [sample]
