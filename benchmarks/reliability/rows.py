"""All rows, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.reliability import (
    crash_points,
    damage,
    data_files,
    divergence,
    golden,
    hostile_files,
    interrupts,
    kills,
    labels,
    locking,
    memory,
    parameters,
    power_loss,
    refusals,
    threads,
)
from benchmarks.reliability.campaign import Campaign

MODULES = (
    crash_points,
    power_loss,
    kills,
    refusals,
    interrupts,
    locking,
    damage,
    hostile_files,
    data_files,
    labels,
    parameters,
    divergence,
    memory,
    golden,
    threads,
)
CAMPAIGNS: tuple[Campaign, ...] = tuple(row for module in MODULES for row in module.ROWS)


def chosen(names: str) -> Sequence[Campaign]:
    """The rows of a text such as "F1,F3" or "F8"; all of an empty one. Raises ValueError for a name that is none."""
    wanted = [name.strip().upper() for name in names.split(",") if name.strip()]
    known = {part: each.id for each in CAMPAIGNS for part in numbers(each.id)}
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"unknown row {', '.join(unknown)}; known are {', '.join(known)}")
    ids = {known[name] for name in wanted}
    return [each for each in CAMPAIGNS if not wanted or each.id in ids]


def numbers(row: str) -> list[str]:
    """The faults that a row is of: F8 and F9 of "F8, F9", F10, F11 and F12 of "F10-12"."""
    if "-" in row:
        first, last = row.removeprefix("F").split("-")
        return [f"F{n}" for n in range(int(first), int(last) + 1)]
    return [name.strip() for name in row.split(",")]
