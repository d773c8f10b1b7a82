"""Does a training step go through its rows in mini-batches of its own?

Such a step is right, but it is not the single step that the reference makes. So it is checked on as
many rows as it uses at a time.
"""

from __future__ import annotations

from anyarray_mlp.backprop.checks.randomness import differs
from anyarray_mlp.backprop.checks.steps import step_changes
from anyarray_mlp.backprop.understanding import Understanding, same_arrays
from anyarray_mlp.typing import Host


def drawn_batch(known: Understanding) -> int | None:
    """The rows of a batch, if a step draws its batches or their order at random.

    None if nothing is drawn: the step on all rows is the same with other random numbers. 0 if no
    number of rows gives one update.
    """
    count = known.samples.count
    if known.samples.layout == "single" or not is_drawn(known, count):
        return None
    for rows in range(count - 1, 1, -1):
        if is_drawn(known, rows) is False:
            return rows
    return 0 if is_drawn(known, 1) is None else 1


def fixed_batch(known: Understanding) -> int | None:
    """The rows of a batch, if a step does the same as steps on so many rows, one after the other.

    At least two: `StepObserver` handles steps of single rows itself. None if a step is one step.
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
    """Does a step on the first `rows` rows depend on random numbers? None if it fails."""
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
