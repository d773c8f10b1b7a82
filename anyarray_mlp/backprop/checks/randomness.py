"""Does a user's network draw random numbers, as dropout does? Then two runs cannot be compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.steps import step_changes
from anyarray_mlp.backprop.understanding import Understanding, same_arrays
from anyarray_mlp.typing import Host

ROWS = 8  # a mask is not seen in a row whose units are all dead
TRIES = 16  # two draws of few units are often the same by chance: of six at rate 1/2 in 1 of 64


def random_forward(known: Understanding) -> list[BackpropFinding]:
    """A note if the forward pass gives another output with other random numbers."""
    samples, user = known.samples, known.user
    x = samples.x[0] if samples.layout == "single" else samples.x
    random = differs(known, lambda: [user.output(x, fresh=False)])
    return [random_numbers("forward")] if random else []


def random_backward(known: Understanding) -> list[BackpropFinding]:
    """The same for the gradients and for a step, with one sample each.

    With one sample, an order or a batch drawn at random is always the same, so these pass.
    """
    user, samples = known.user, known.samples
    for index in range(min(samples.count, ROWS)):
        x, y = samples.one(index)

        def gradients(x: Any = x, y: Any = y) -> list[Host]:
            return [a for a in user.raw_gradients(x, y, fresh=False) if a is not None]

        def step(x: Any = x, y: Any = y) -> list[Host]:
            return step_changes(known, [(x, y)])

        # A function that cannot take a batch of one sample says nothing here.
        with contextlib.suppress(Exception):
            if user.gradients is not None and differs(known, gradients):
                return [random_numbers("gradients")]
        with contextlib.suppress(Exception):
            if user.train_step is not None and differs(known, step):
                return [random_numbers("train_step")]
    return []


def differs(known: Understanding, call: Callable[[], list[Host]]) -> bool:
    """Do calls from the same state, except for the random numbers, give different results?"""

    def result() -> list[Host]:
        known.user.reset(generators=False)
        return [np.nan_to_num(array) for array in call()]

    known.user.write(known.values)
    first = result()
    size = max((float(np.abs(a).max()) for a in first if np.size(a)), default=0.0)
    # Sums in another order have other last bits: those of the weights, if these are changes of weights.
    weights = max(float(np.abs(v).max()) for v in known.values)
    rounding = 8 * float(np.finfo(known.values[0].dtype).eps) * weights
    tolerance = known.tolerance + rounding / max(size, 1e-300)
    return not all(same_arrays(result(), first, tolerance) for _ in range(TRIES))


def random_numbers(function: str) -> BackpropFinding:
    """The note that ends the checks."""
    detail = f"{function} gives another result with other random numbers"
    return BackpropFinding("random_numbers", where=function, detail=detail, severity="note")
