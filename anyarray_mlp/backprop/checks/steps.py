"""Steps as a whole: where they start, and what they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.checks.update import PROBE_RATE
from anyarray_mlp.backprop.understanding import Understanding, same_arrays
from anyarray_mlp.typing import Host


def starts_afresh(known: Understanding) -> bool:
    """Does a step end with the same weights wherever it starts, because it makes its own?"""
    user = known.user
    x, y = known.whole_batch()
    ends = []
    try:
        for factor in (1.0, 0.9):
            user.write([np.asarray(v * factor, dtype=v.dtype) for v in known.values])
            ends.append(user.step(x, y, None))
    except Exception:  # reported when the step is observed
        return False
    finally:
        user.write(known.values)
    return same_arrays(ends[0], ends[1], 0.0)


def changes_more(known: Understanding) -> bool:
    """Does a step change the output by more than the parameters named explain, as by unnamed biases?"""
    user = known.user
    x, y = known.whole_batch()
    user.write(known.values)
    user.reset()
    after = user.step(x, y, None, fresh=False)
    left = user.output(x, fresh=False)
    user.write(after)
    named = user.output(x)
    user.write(known.values)
    return not same_arrays([left], [named], 10 * known.tolerance)


def step_changes(known: Understanding, batches: Sequence[tuple[Any, Any]]) -> list[Host]:
    """What steps on these (x, y), one after the other, add to the probe weights, without a fresh start."""
    user = known.user
    rate = PROBE_RATE if user.rate_is_free else None
    after: Sequence[Host] = known.values
    for x, y in batches:
        after = user.step(x, y, rate, fresh=False)
    return [np.asarray(a) - v for a, v in zip(after, known.values, strict=True)]
