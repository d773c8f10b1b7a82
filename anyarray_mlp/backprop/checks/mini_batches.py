"""Does a training step go through the rows it is given in mini-batches of its own?

Such a step is right and is not the one step that the reference makes, so it is to be watched on as
many rows as it takes at a time.
"""

from __future__ import annotations

from anyarray_mlp.backprop.checks.randomness import differs
from anyarray_mlp.backprop.checks.update import step_changes
from anyarray_mlp.backprop.understanding import Understanding, same_arrays
from anyarray_mlp.typing import Host


def drawn_batch(known: Understanding) -> int | None:
    """The rows of a batch, where a step draws its batches or their order at random.

    None where nothing is drawn: the step on all rows is the same with other random numbers; 0 where
    no number of rows gives one update.
    """
    count = known.samples.count
    if known.samples.layout == "single" or not is_drawn(known, count):
        return None
    for rows in range(count - 1, 1, -1):
        if is_drawn(known, rows) is False:
            return rows
    return 0 if is_drawn(known, 1) is None else 1


def fixed_batch(known: Understanding) -> int | None:
    """The rows of a batch, where a step does what steps on so many rows in turn do.

    At least two: `StepObserver` sees steps of single rows itself. None where a step is one step.
    """
    count = known.samples.count
    if known.samples.layout == "single" or count < 3:
        return None
    try:
        whole = fresh_steps(known, count)
        for rows in range(2, count):
            if same_arrays(fresh_steps(known, rows), whole, known.tolerance):
                return rows
    except Exception:  # a step that takes no batch of another size
        return None
    return None


def is_drawn(known: Understanding, rows: int) -> bool | None:
    """Does a step on the first `rows` rows depend on random numbers? None where it fails."""
    try:
        part = known.samples.some(list(range(rows)))
        return differs(known, lambda: step_changes(known, [(part.x, part.y)]))
    except Exception:
        return None


def fresh_steps(known: Understanding, rows: int) -> list[Host]:
    """The change of the parameters after steps on `rows` rows in turn, through all samples."""
    known.user.write(known.values)
    known.user.reset()
    count = known.samples.count
    parts = [
        known.samples.some(list(range(start, min(start + rows, count))))
        for start in range(0, count, rows)
    ]
    return step_changes(known, [(part.x, part.y) for part in parts])
