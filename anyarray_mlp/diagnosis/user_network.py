"""`UserNetwork`: read and write somebody's weights, call their functions, put everything back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis.adapters import (
    Adapter,
    Layout,
    is_function,
    list_parameters,
    with_guesses,
)
from anyarray_mlp.diagnosis.calling import bind, quiet
from anyarray_mlp.diagnosis.paths import read_path, to_host, write_path
from anyarray_mlp.diagnosis.returned import (
    flatten,
    gradient_leaves,
    is_numeric_nest,
    order_leaves,
)
from anyarray_mlp.diagnosis.snapshots import Snapshot
from anyarray_mlp.errors import UsageError

Array = Any
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
    """A user's network as the checks see it: parameters by name, functions that can be called.

    Every call starts from the state that the network had when this object was made, with the
    parameters last given to `write`.
    """

    def __init__(self, adapter: Adapter) -> None:
        if isinstance(adapter.network, (str, int, float)):
            raise UsageError(
                f"network={adapter.network!r} is a {type(adapter.network).__name__}; give the object, "
                "dict, list or module that holds the weights"
            )
        self.adapter = adapter = with_guesses(adapter)
        self.network = adapter.network
        assert adapter.weights is not None
        assert adapter.forward is not None
        self.parameters = list_parameters(adapter)
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
        self.layout: Layout = adapter.samples or "rows"
        self.original = self.read()
        self.current = self.original
        self.rate_path = self.find_rate_path()
        self.primed = False  # run the forward pass before each training step
        self.optimizer_state: list[Array] = []  # zero wherever other weights are written

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

    @property
    def rate_is_free(self) -> bool:
        """True where the learning rate of a step can be chosen."""
        if self.train_step is not None and self.train_step.takes_rate:
            return True
        return self.rate_path is not None

    def read(self) -> list[Array]:
        """The parameters as they are now, as NumPy arrays of the user's shapes and dtype."""
        arrays = []
        for parameter in self.parameters:
            try:
                value = read_path(self.network, parameter.path)
            except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                raise UsageError(
                    f"{parameter.kind} {parameter.path!r} of layer {parameter.layer + 1} is not in the "
                    f"network of type {type(self.network).__name__}; give the name it is kept under"
                ) from None
            array = np.array(to_host(value))
            if array.dtype.kind in "iu":
                array = array.astype(float)
            if array.dtype.kind != "f":
                raise UsageError(
                    f"{parameter.kind} {parameter.path!r} has dtype {array.dtype}; give the name of "
                    "an array of floats"
                )
            arrays.append(array)
        return arrays

    def write(self, arrays: Sequence[Array]) -> None:
        """Set the parameters that the next calls start from."""
        self.current = [np.array(a) for a in arrays]

    def reset(self, generators: bool = True) -> None:
        """Back to the first state, with the parameters last given to `write`.

        Without `generators` random numbers go on from where they are.
        """
        self.snapshot.restore(generators)
        self.network = self.adapter.network
        if self.current is not self.original:
            for state in self.optimizer_state:
                state[...] = 0
            self.put_parameters(self.current)

    def put_parameters(self, arrays: Sequence[Array]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            self.network = write_path(self.network, parameter.path, array)

    def state_like_parameters(self, x: Any, y: Any) -> list[Array]:
        """Arrays beside the parameters that have the shape of one: what an optimizer keeps.

        Those of zeros, those that hold x or y, and those that a forward pass run just before has
        written anew are left out.
        """
        parameters = [read_path(self.network, p.path) for p in self.parameters]
        shapes = {np.shape(value) for value in self.original}
        known = [array for _, array in [*flatten(x), *flatten(y)]]
        held = {id(array) for array, _ in Snapshot(self.roots).arrays}
        found = []
        for array, content in self.snapshot.arrays:
            host = to_host(content)
            if host.dtype.kind != "f" or host.shape not in shapes or not host.any():
                continue
            if id(array) not in held or not np.array_equal(to_host(array), host):
                continue
            if any(array is value or share_memory(array, value) for value in parameters):
                continue
            if not any(np.array_equal(host.ravel(), np.ravel(data)) for data in known):
                found.append(array)
        return found

    def restore(self) -> None:
        """Everything as the user handed it over."""
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

    def output(self, x: Any, fresh: bool = True) -> Array:
        """The user's forward pass for `x` in their layout, as a float array of their shape."""
        if fresh:
            self.reset()
        with quiet():
            result = self.forward(self.values(x, None))
        return self.pick_output(result)

    def pick_output(self, result: Any) -> Array:
        if result is None:
            for name in ("output", "out", "a2", "yhat", "y_hat", "outputs", "probs"):
                try:
                    value = read_path(self.network, name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                if value is not None:
                    return to_host(value).astype(float)
            raise UsageError("forward returns None; give a function that returns the output")
        if isinstance(result, (tuple, list)) and not is_numeric_nest(result):
            if hasattr(result[0], "shape") and any(isinstance(r, Mapping) for r in result[1:]):
                result = result[0]
            else:
                leaves = flatten(result)
                if leaves and not all(np.ndim(leaf) == 0 for _, leaf in leaves):
                    return leaves[-1][1].astype(float)
                if leaves:
                    return np.asarray([leaf for _, leaf in leaves], dtype=float)
        if isinstance(result, Mapping):
            for name in ("output", "out", "y_hat", "yhat", "probs"):
                if name in result:
                    return to_host(result[name]).astype(float)
            return flatten(result)[-1][1].astype(float)
        return np.asarray(to_host(result), dtype=float)

    def loss_value(self, x: Any, y: Any) -> float:
        """The user's loss for all of `x` and `y`; for single samples their sum."""
        assert self.loss is not None
        if self.layout == "single":
            return float(sum(self.one_loss(xi, yi) for xi, yi in zip(x, y, strict=True)))
        return self.one_loss(x, y)

    def one_loss(self, x: Any, y: Any) -> float:
        assert self.loss is not None
        self.reset()
        with quiet():
            values = self.values(x, y)
            if "output" in self.loss.roles or self.loss.roles in ((), ("y",)):
                values["output"] = self.forward(values)
                if isinstance(values["output"], (tuple, Mapping)) or values["output"] is None:
                    values["output"] = self.pick_output(values["output"])
            result = self.loss(values)
        leaves = flatten(result)
        if not leaves:
            raise UsageError(
                f"loss returns {type(result).__name__}; give a function that returns the number "
                "that training is to make small"
            )
        return float(np.sum(leaves[0][1]))

    def prime(self, x: Any, y: Any) -> None:
        """Run the forward pass, for gradients that read what it left behind."""
        with quiet():
            self.forward(self.values(x, y))

    def raw_gradients(self, x: Any, y: Any, fresh: bool = True) -> list[Array | None]:
        """The user's gradients, one for each parameter, in the user's shapes.

        With `fresh=False` the call follows whatever was called before it. None stands for a
        parameter whose gradient is not given.
        """
        assert self.gradients is not None
        if fresh:
            self.reset()
        with contextlib.suppress(Exception):
            self.prime(x, y)
        with quiet():
            result = self.gradients(self.values(x, y))
        leaves = gradient_leaves(result, self.parameters)
        if not any(np.ndim(leaf) > 0 for _, leaf in leaves) and not self.has_scalars():
            leaves = self.gradients_left_behind()
        # Copies: an array that the user's code keeps and adds to would change with the next call.
        ordered = order_leaves(leaves, self.parameters, self.current)
        return [None if array is None else np.array(array) for array in ordered]

    def has_scalars(self) -> bool:
        return any(np.ndim(a) == 0 for a in self.current)

    def gradients_left_behind(self) -> list[tuple[str, Array]]:
        """Gradients that a function which returns nothing keeps beside the weights."""
        found: list[tuple[str, Array]] = []
        for parameter in self.parameters:
            head, _, last = str(parameter.path).rpartition(".")
            prefix = f"{head}." if head else ""
            for name in (f"d{last}", f"{last}_grad", f"grad_{last}", f"d_{last}", f"{last}.grad",
                         f"delta_{last}", f"g{last}"):  # fmt: skip
                try:
                    value = read_path(self.network, prefix + name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                found.append((str(parameter.path), to_host(value)))
                break
        if not found:
            raise UsageError(
                "gradients returns no arrays and leaves none beside the weights (dW1, W1_grad, ...); "
                "give a function that returns them, one for each weight and bias"
            )
        return found

    def step(self, x: Any, y: Any, rate: float | None, fresh: bool = True) -> list[Array]:
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
            with quiet():
                result = self.train_step(self.values(x, y, rate=given))
        except (AttributeError, KeyError, TypeError, NameError):
            if not fresh:
                raise
            self.reset()
            self.set_rate(rate)
            self.prime(x, y)
            with quiet():
                result = self.train_step(self.values(x, y, rate=given))
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


def share_memory(a: Any, b: Any) -> bool:
    return np.may_share_memory(to_host(a), to_host(b))
