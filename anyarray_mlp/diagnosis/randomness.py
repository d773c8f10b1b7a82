"""Does a user's network draw random numbers, as dropout does? Then two runs cannot be compared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis.mistakes import BackpropFinding
from anyarray_mlp.diagnosis.understanding import Understanding, same_arrays

Array = Any
TRIES = 32  # two draws of few units are often the same by chance: 6 masked at rate 1/2 in 1 of 64


def random_forward(known: Understanding) -> list[BackpropFinding]:
    """A note where the forward pass gives another output with other random numbers."""
    samples, user = known.samples, known.user
    x = samples.x[0] if samples.layout == "single" else samples.x
    known.user.reset()
    random = any(differs(known, lambda: [user.output(x, fresh=False)]) for _ in range(TRIES))
    return found("forward", random)


def random_backward(known: Understanding) -> list[BackpropFinding]:
    """The same of the gradients and of a step, each of one sample.

    With one sample, an order or a batch drawn at random is always the same: these are let pass.
    """
    user, samples = known.user, known.samples
    user.reset()
    for attempt in range(TRIES):
        x, y = samples.one(attempt % samples.count)

        def gradients(x: Any = x, y: Any = y) -> list[Array]:
            return [a for a in user.raw_gradients(x, y, fresh=False) if a is not None]

        def step(x: Any = x, y: Any = y) -> list[Array]:
            return user.step(x, y, None, fresh=False)

        # A function that takes no batch of one sample tells nothing here.
        with contextlib.suppress(Exception):
            if user.gradients is not None and differs(known, gradients):
                return found("gradients", True)
        with contextlib.suppress(Exception):
            if user.train_step is not None and differs(known, step):
                return found("train_step", True)
    return []


def differs(known: Understanding, call: Callable[[], list[Array]]) -> bool:
    """Does the second of two calls from the same state give another result?

    Random numbers go on from where they are, so that another pair of calls draws others.
    """
    known.user.write(known.values)
    known.user.reset(generators=False)
    first = [np.nan_to_num(array) for array in call()]
    known.user.reset(generators=False)
    return not same_arrays(first, [np.nan_to_num(a) for a in call()], known.tolerance)


def found(function: str, random: bool) -> list[BackpropFinding]:
    if not random:
        return []
    detail = f"{function} gives another result when the random numbers are others"
    return [BackpropFinding("random_numbers", where=function, detail=detail, severity="note")]
