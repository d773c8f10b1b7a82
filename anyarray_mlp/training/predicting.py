"""The room of the forward pass: whoever wants outputs or losses of rows, after an epoch or of a file, gets them here.

`ForwardPass` takes rows in parts that suit the backend, and each part through the network once: outputs, or outputs
and losses together. `LabelledRows` is a set to measure on again and again. `Predictor` keeps a network's parameters on
a device and answers rows there; `predict` does so once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_instance, check_positive, refuse
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.losses import FUSED_LOSSES, loss_function, output_loss
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.given import as_rows
from anyarray_mlp.typing import Array, Host, Leaves, Namespace

#: Rows of one forward pass at most.
PREDICTION_ROWS = 8192
#: Units of the widest layer, over all rows of a forward pass, that stay in a CPU's cache; and the fewest rows.
CACHED_UNITS, CACHED_ROWS = 1 << 18, 1024
#: Bytes, eight for an entry, of the rows of a sparse matrix that are made dense at a time.
STREAM_BYTES = 1 << 26


class ForwardPass:
    """A network's forward pass on a backend, over rows in parts.

    `move(backend, array)` makes the backend's own of what rows come as; without, `on_device` does.
    """

    def __init__(
        self,
        mlp: MLP,
        backend: Backend,
        input_scale: float | None = None,
        move: Callable[[Backend, Array], Array] | None = None,
    ) -> None:
        self.mlp = mlp
        self.backend = backend
        self.move = move or on_device
        self.run = backend.jit(outputs_of(mlp, input_scale))
        self.run_with_losses = backend.jit(outputs_and_losses_of(mlp, input_scale))

    def spans(self, x: Any) -> list[tuple[int, int]]:
        """Starts and stops of the parts that rows x (n, i), dense or CSR, are taken in."""
        return list(spans(x.shape[0], rows_at_once(self.mlp, self.backend, is_sparse(x))))

    def part(self, array: Any, start: int, stop: int) -> Array:
        """Some rows on the device; sparse ones are made dense as their turn comes."""
        if (start, stop) != (0, array.shape[0]):
            array = array[start:stop, ...]
        return self.move(self.backend, dense(array))

    def outputs(self, leaves: Leaves, x: Any) -> list[Array]:
        """Outputs (rows, k) of each part of x (n, i), on the device."""
        return [self.run(leaves, self.part(x, *span)) for span in self.spans(x)]

    def outputs_and_losses(
        self, leaves: Leaves, parts: Iterable[tuple[Array, Array]], axis: int = 0
    ) -> tuple[Host, Host]:
        """Outputs (n, k) and losses (n,) on the host of parts (x, targets) on the device, each taken through once.

        Of a stack the samples are along `axis` 1.
        """
        results = [self.run_with_losses(leaves, x, targets) for x, targets in parts]
        outputs, losses = zip(*results, strict=True)
        return self.joined(outputs, axis), self.joined(losses, axis)

    def joined(self, parts: Iterable[Array], axis: int = 0) -> Host:
        """Parts on the device as one array on the host."""
        found = [self.backend.to_host(part) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=axis)


class LabelledRows:
    """Rows whose targets are known, x (n, i) and targets as the loss takes them, to be measured on.

    If `kept`, what is on the host is moved to the device once, and not for each measurement; sparse rows are made
    dense as their turn comes all the same.
    """

    def __init__(self, forward: ForwardPass, x: Any, targets: Array, kept: bool = True) -> None:
        self.forward = forward
        self.x = x
        self.targets = targets
        self.spans = forward.spans(x)
        # A library's own rows on a device are not kept in parts: where those are no views, that is a second copy.
        there = not isinstance(x, np.ndarray) and forward.backend.owns(x)
        self.kept = list(self.moved()) if kept and not there and not is_sparse(x) else None

    def moved(self) -> Iterator[tuple[Array, Array]]:
        """The parts (x, targets), moved as their turn comes."""
        for span in self.spans:
            yield self.forward.part(self.x, *span), self.forward.part(self.targets, *span)

    def measure(self, leaves: Leaves) -> tuple[Host, Host]:
        """Outputs (n, k) and losses (n,) on the host of parameters on the device, in one forward pass."""
        return self.forward.outputs_and_losses(leaves, self.kept or self.moved())


@lru_cache(maxsize=64)
def outputs_of(mlp: MLP, input_scale: float | None) -> Callable[..., Array]:
    """(xp, leaves, x) -> outputs of a network; one function, as JAX compiles each once."""

    def outputs(xp: Namespace, leaves: Leaves, x: Array) -> Array:
        return mlp.predict(xp, leaves, as_inputs(xp, x, leaves[0].dtype, input_scale))

    return outputs


@lru_cache(maxsize=64)
def outputs_and_losses_of(
    mlp: MLP, input_scale: float | None
) -> Callable[..., tuple[Array, Array]]:
    """(xp, leaves, x, targets) -> (outputs, losses) of a network, as `outputs_of`."""

    def outputs_and_losses(
        xp: Namespace, leaves: Leaves, x: Array, targets: Array
    ) -> tuple[Array, Array]:
        x = as_inputs(xp, x, leaves[0].dtype, input_scale)
        return mlp.outputs_and_losses(xp, leaves, x, targets)

    return outputs_and_losses


@with_known_options
class Predictor:
    """Outputs of a network for rows of inputs, or the mean of several networks' outputs.

    The parameters, (p,) or of several networks (k, p), are moved to the device once, so that a call costs little more
    than its products.
    """

    def __init__(
        self, mlp: MLP, parameters: Host, backend: Backend, input_scale: float | None = None
    ) -> None:
        check_network(mlp)
        check_parameters(mlp, parameters)
        check_instance("backend", backend, Backend, "a backend, such as select_backend()")
        if input_scale is not None:
            check_positive("input_scale", input_scale)

        self.backend = backend
        self.n_inputs = mlp.sizes[0]
        self.forward = ForwardPass(mlp, backend, input_scale)
        self.each = [to_leaves(mlp, backend, vector) for vector in np.atleast_2d(parameters)]

    def __call__(self, x: Any) -> Host:
        """Outputs (n, k) of rows x (n, i) on the host, worked out in parts that suit the backend."""
        x = as_rows("x", x)
        if len(x.shape) != 2 or x.shape[1] != self.n_inputs:
            raise DataError(f"x must have shape (n, {self.n_inputs}), got {tuple(x.shape)}.")
        return mean_of(self.forward.joined(self.forward.outputs(leaves, x)) for leaves in self.each)

    def outputs_and_losses(self, x: Array, targets: Array) -> tuple[Host, Host]:
        """Outputs (n, k) and losses (n,) on the host of rows and their targets, in one forward pass of each network.

        Several networks' losses are those of their mean outputs.
        """
        if len(self.each) == 1:
            return LabelledRows(self.forward, x, targets, kept=False).measure(self.each[0])
        outputs = self(x)
        return outputs, losses_of(self.forward.mlp, outputs, np.asarray(targets))


def mean_of(each: Iterable[Host]) -> Host:
    """The mean of arrays of one shape, summed in their order and in float64; one alone is as it is."""
    first, *others = each
    if not others:
        return first
    total = first.astype(np.float64)
    for other in others:
        total += other
    return (total / (1 + len(others))).astype(first.dtype)


def losses_of(mlp: MLP, outputs: Host, targets: Host) -> Host:
    """The losses (n,) of outputs (n, k) on the host; certainty that is wrong costs what the dtype can tell."""
    xp = plain_numpy(str(outputs.dtype)).xp
    encoded = mlp.encode(xp, targets, outputs.dtype)
    if (mlp.output, mlp.loss) not in FUSED_LOSSES:
        losses, _ = loss_function(mlp.loss)(xp, outputs, encoded)
        return np.asarray(losses)
    # A fused loss is one of the logits, which are the logarithms of what sums to one or is a rate.
    logits = np.log(np.maximum(outputs, np.finfo(outputs.dtype).tiny))
    if mlp.output == "logistic":
        logits -= np.log(np.maximum(1.0 - outputs, np.finfo(outputs.dtype).tiny))
    losses, _ = output_loss(xp, mlp.output, mlp.loss, logits, encoded)
    return np.asarray(losses)


@cache
def plain_numpy(dtype: str) -> Backend:
    """NumPy's backend of a dtype: the same one each time, by which a model knows its predictor."""
    return select_backend("numpy", dtype=dtype)


@with_known_options
def predict(
    mlp: MLP,
    parameters: Host,
    x: Any,
    *,
    backend: str | Backend | None = None,
    input_scale: float | None = None,
) -> Host:
    """Outputs (n, k) of rows x (n, i) as a NumPy array. A `Predictor` spares the preparation of later calls.

    `parameters` is the vector (p,) that `Fit.parameters` or `MLP.initialize` gives, or of several networks whose
    outputs are averaged (k, p), x an array, a table of numbers or
    lists, as `fit` takes them, `backend` a name or what `select_backend` gives, and `input_scale` what x is multiplied
    by (1/255 for images).
    """
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    return Predictor(mlp, parameters, backend, input_scale)(x)


def as_inputs(xp: Namespace, x: Array, dtype: Any, scale: float | None) -> Array:
    """Rows as the network takes them: images that are kept as bytes are cast, and scaled if asked."""
    if x.dtype != dtype:
        x = xp.astype(x, dtype)
    return x if scale is None else x * scale


def check_parameters(mlp: MLP, vector: Any) -> None:
    """Raise `UsageError` for what is no vector (p,) of a network's parameters, nor those of several (k, p)."""
    if not isinstance(vector, np.ndarray) or vector.dtype.kind not in "fiu":
        refuse("parameters", "a NumPy vector of numbers (p,), as Fit.parameters", vector)
    size, several = mlp.layout.size, vector.ndim == 2 and len(vector) > 0
    if vector.shape != (size,) and not (several and vector.shape[1] == size):
        raise UsageError(
            f"The parameters of a network {mlp.sizes} have shape ({mlp.layout.size},), got {vector.shape}."
        )


def to_leaves(mlp: MLP, backend: Backend, vector: Host) -> Leaves:
    """A flat host vector (p,) as leaves on the device; a stack's (k, p) as those of a stack, k = 1 as one network's."""
    if getattr(vector, "ndim", 1) == 2 and len(vector) == 1:
        vector = vector[0]
    check_parameters(mlp, vector)
    parts = [vector.reshape(-1)] if backend.flat else mlp.layout.split(vector)
    return tuple(backend.asarray(part) for part in parts)


def on_device(backend: Backend, array: Array) -> Array:
    """NumPy data on the backend's device to be read there, bytes as bytes; shared where the backend can."""
    if not isinstance(array, np.ndarray):
        if not backend.owns(array):
            raise DataError(
                f"The {backend.name} backend cannot take a {type(array).__module__}.{type(array).__name__}: give it "
                "NumPy arrays or its own."
            )
        return array
    return backend.share(array, "uint8" if array.dtype == np.uint8 else None)


def is_sparse(x: Any) -> bool:
    """Whether x is one of SciPy's sparse matrices or arrays (told by its `tocsr`, so that SciPy need not be loaded)."""
    return hasattr(x, "tocsr")


def dense(x: Any) -> Any:
    """x with no entry left out."""
    return x.toarray() if is_sparse(x) else x


def rows_at_once(mlp: MLP, backend: Backend, sparse: bool = False) -> int:
    """Rows of one forward pass. On NumPy, which goes over memory once an operation, few enough for the cache: at most
    4 % slower than the best number on networks of 10 to 2,048 units, where 1,024 for all took 1.4 times as long on
    20-10-1. Of `sparse` inputs few enough to be made dense.
    """
    rows = PREDICTION_ROWS
    if backend.name == "numpy":
        rows = min(rows, max(CACHED_ROWS, CACHED_UNITS // max(mlp.sizes)))
    return max(1, min(rows, STREAM_BYTES // (8 * mlp.sizes[0]))) if sparse else rows


def spans(n: int, rows: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of parts of at most `rows` of n rows; one part if there are none."""
    for start in range(0, max(n, 1), rows):
        yield start, min(start + rows, n)
