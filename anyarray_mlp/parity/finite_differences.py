"""Analytic gradients against finite differences, parameter by parameter, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_not_negative,
    check_positive,
    check_whole,
    checked_weight,
    items,
    refuse,
)
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.typing import Array, Host, Namespace

#: Tried in turn; a small step is needed if a larger one crosses a kink (relu at 0, |p - t| at t).
STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
#: Largest relative error of a correct gradient: the five-point formula is accurate to about 1e-9 at the first steps,
#: and rounding costs 1e-8 at the last.
TOLERANCE = 1e-7


@dataclass(frozen=True)
class ParameterCheck:
    """How well the gradient of one weight matrix or bias agrees.

    `relative_error` is the largest difference divided by the parameter's largest gradient; `index` is its place.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    absolute_error: float
    relative_error: float
    index: tuple[int, ...]
    analytic: float
    numeric: float


@dataclass(frozen=True)
class Gradcheck:
    """The checks of all parameters of one network on one batch."""

    loss: float
    parameters: tuple[ParameterCheck, ...]
    tolerance: float

    @property
    def relative_error(self) -> float:
        """The largest relative error of the parameters."""
        return max(check.relative_error for check in self.parameters)

    @property
    def ok(self) -> bool:
        """Whether every parameter is within the tolerance; NaN is not."""
        return all(check.relative_error <= self.tolerance for check in self.parameters)


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch and the network whose loss of it is a function of the parameters (p,)."""

    mlp: MLP
    xp: Namespace
    x: Host
    targets: Host
    sample_weight: Host | None
    alpha: float
    dropout_keys: Sequence[Array] | None

    def evaluate(self, vector: Host) -> tuple[float, Host]:
        """The loss and its gradient (p,)."""
        loss: Any
        loss, (grad,) = self.mlp.loss_and_grad(
            self.xp,
            (vector,),
            self.x,
            self.targets,
            self.sample_weight,
            alpha=self.alpha,
            dropout_keys=self.dropout_keys,
        )
        return float(loss), np.asarray(grad)

    def quotient(self, theta: Host, i: int, h: float) -> float:
        """(f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h of the loss f, along parameter i."""

        def f(offset: float) -> float:
            moved = theta.copy()
            moved[i] += offset
            return self.evaluate(moved)[0]

        return ((f(-2 * h) - f(2 * h)) + 8 * (f(h) - f(-h))) / (12 * h)


def checked_keys(mlp: MLP, dropout_keys: Any) -> tuple[Array, ...]:
    """The dropout keys; `UsageError` if they are not one integer for each layer with dropout."""
    what = f"a 0-d int32 array for each of the {len(mlp.dropout_layers)} layers that drop units"
    keys = items("dropout_keys", dropout_keys, what)
    kinds = {getattr(getattr(key, "dtype", None), "kind", "") for key in keys}
    if len(keys) != len(mlp.dropout_layers) or kinds - {"i"}:
        refuse("dropout_keys", what, dropout_keys)
    return keys


@with_known_options
def gradcheck(
    mlp: MLP,
    x: Host,
    targets: Host,
    *,
    xp: Namespace,
    parameters: Host | None = None,
    sample_weight: Host | None = None,
    alpha: float = 0.0,
    dropout_keys: Sequence[Array] | None = None,
    per_parameter: int | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Gradcheck:
    """Compare `mlp.loss_and_grad` with five-point central differences of its loss.

    Parameters
    ----------
    x, targets, sample_weight : float64 NumPy arrays of a batch, as `MLP.loss_and_grad` takes them.
    xp : an arithmetic over NumPy, as `select_backend(dtype="float64").xp`.
    parameters : (p,) float64; None draws them with `seed`, biases away from zero.
    per_parameter : check this many entries of each weight and bias, drawn with `seed`; None checks all.

    The difference quotient is (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h (Abramowitz and Stegun 25.3.6).
    """
    check_inputs(mlp, x, targets, xp)
    if per_parameter is not None:
        check_whole("per_parameter", per_parameter, 1)
    check_not_negative("alpha", alpha)
    check_positive("tolerance", tolerance)
    check_whole("seed", seed, 0)
    sample_weight = checked_weight(sample_weight, len(x))
    if dropout_keys is not None:
        dropout_keys = checked_keys(mlp, dropout_keys)
    generator = streams.generator("gradcheck", seed)
    theta = drawn(mlp, seed, generator) if parameters is None else checked_vector(mlp, parameters)

    batch = Batch(mlp, xp, x, targets, sample_weight, alpha, dropout_keys)
    loss, analytic = batch.evaluate(theta)
    floor = 1e-8 * float(np.max(np.abs(analytic), initial=0.0)) or 1e-300
    checks = []
    layout = mlp.layout
    for name, (start, stop), shape in zip(layout.names, layout.bounds, layout.shapes, strict=True):
        indices = np.arange(start, stop)
        if per_parameter is not None and per_parameter < len(indices):
            indices = np.sort(generator.choice(indices, per_parameter, replace=False))
        least = max(float(np.max(np.abs(analytic[start:stop]))), floor)
        quotient = partial(batch.quotient, theta)
        numeric, largest = slopes(quotient, indices, analytic[indices], least, tolerance)
        places = np.unravel_index(indices - start, shape)
        checks.append(compared(name, shape, places, analytic[indices], numeric, largest))
    return Gradcheck(loss, tuple(checks), tolerance)


def compared(
    name: str,
    shape: tuple[int, ...],
    places: tuple[NDArray[np.intp], ...],
    analytic: Host,
    numeric: Host,
    largest: float,
) -> ParameterCheck:
    """The check of one weight matrix or bias from slopes at some places of it, relative to the largest slope."""
    difference = np.abs(numeric - analytic)
    difference[~np.isfinite(difference)] = np.inf
    worst = int(np.argmax(difference))
    return ParameterCheck(
        name=name,
        shape=shape,
        checked=len(difference),
        absolute_error=float(difference[worst]),
        relative_error=float(difference[worst] / largest),
        index=tuple(int(place[worst]) for place in places),
        analytic=float(analytic[worst]),
        numeric=float(numeric[worst]),
    )


def check_inputs(mlp: MLP, x: Any, targets: Any, xp: Any) -> None:
    """Raise an error that names the argument that `gradcheck` cannot take."""
    check_network(mlp)
    for name, array in (("x", x), ("targets", targets)):
        if not isinstance(array, np.ndarray):
            raise DataError(f"{name} must be a NumPy array, got {shown(array)}.")
    mlp.check_batch(x, targets)
    if x.dtype != np.float64:
        raise UsageError(f"gradcheck needs float64 inputs, got {x.dtype}.")
    if len(x) < 1:
        raise DataError("gradcheck needs a batch of rows, but x has none.")
    if not hasattr(xp, "linear") or not hasattr(xp, "asarray"):
        refuse("xp", "an arithmetic, as select_backend(dtype='float64').xp", xp)


def drawn(mlp: MLP, seed: int, generator: np.random.Generator) -> Host:
    """Parameters (p,) of a network that starts training, but for biases away from zero, and others from one."""
    parameters = mlp.initialize(seed)
    for part in mlp.layout.split(parameters)[mlp.layout.n_layers :]:
        part += generator.uniform(-0.5, 0.5, part.shape)
    return checked_vector(mlp, parameters)


def checked_vector(mlp: MLP, parameters: Any) -> Host:
    """A float64 copy of the parameters; `UsageError` if they are no vector (p,) of numbers."""
    if not isinstance(parameters, np.ndarray) or parameters.dtype.kind not in "fiu":
        refuse("parameters", "a vector of numbers (p,)", parameters)
    if parameters.shape != (mlp.layout.size,):
        refuse("parameters", f"of shape ({mlp.layout.size},)", parameters)
    return np.array(parameters, dtype=np.float64)


def slopes(
    quotient: Callable[[int, float], float],
    indices: NDArray[np.intp],
    analytic: Host,
    least: float,
    tolerance: float,
) -> tuple[Host, float]:
    """Difference quotients at the indices, and the largest slope, at least `least`.

    Where one is further from the analytic slope than the tolerance, smaller steps are tried and the nearest is kept.
    """
    numeric = np.array([quotient(int(i), STEPS[0]) for i in indices])
    largest = max(float(np.max(np.abs(numeric))), least)
    for h in STEPS[1:]:
        for k in np.flatnonzero(~(np.abs(numeric - analytic) <= tolerance * largest)):
            retried = quotient(int(indices[k]), h)
            if abs(retried - analytic[k]) < abs(numeric[k] - analytic[k]):
                numeric[k] = retried
    return numeric, largest
