"""What runs differ in: settings, scores, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyarray_mlp.reporting.curves import Curves
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.scores import Scores
from anyarray_mlp.reporting.words import figure, in_words


@dataclass(frozen=True)
class Overview:
    """A run among others: its settings, scores, and curves."""

    name: str
    settings: Mapping[str, Any]
    scores: Scores | Missing
    curves: Curves | Missing


def differing(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """The settings that are not the same in all runs, with the value in each; None where it is not given."""
    names = dict.fromkeys(name for each in settings for name in each)
    found = {name: tuple(each.get(name) for each in settings) for name in names}
    return {name: values for name, values in found.items() if any(v != values[0] for v in values)}


def common_scores(runs: Sequence[Overview]) -> dict[str, tuple[float | None, ...]]:
    """The scores that any run has, with the value in each."""
    by_run = [
        {}
        if isinstance(run.scores, Missing)
        else {each.name: each.value for each in run.scores.scores}
        for run in runs
    ]
    names = dict.fromkeys(name for each in by_run for name in each)
    return {name: tuple(each.get(name) for each in by_run) for name in names}


def cautions(runs: Sequence[Overview]) -> list[str]:
    """What keeps the scores of runs from being compared, a sentence each without its full stop."""
    said = [
        f"{run.name} has no scores: {run.scores.reason}"
        for run in runs
        if isinstance(run.scores, Missing)
    ]
    judged = [(run, run.scores) for run in runs if not isinstance(run.scores, Missing)]
    rows = {(scores.which, scores.rows) for _, scores in judged}
    told = (
        "data",
        "target",
        "test",
        "test_fraction",
        "validation_fraction",
        "seed",
        "split",
        "group",
        "folds",
    )
    if len(rows) > 1 or any(
        name in told for name in differing([run.settings for run, _ in judged])
    ):
        said.append(
            "the runs were judged on different rows, so that their scores differ by chance as well"
        )
    return said


def in_short(value: Any) -> str:
    """A setting as it is read."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def epochs_of(run: Overview) -> int | None:
    """How many epochs a run has, None if its folder does not say."""
    return None if isinstance(run.curves, Missing) else len(run.curves.epochs)


def seconds_of(run: Overview) -> float | None:
    """How long a run was trained, None if its folder does not say."""
    return None if isinstance(run.curves, Missing) else run.curves.seconds


def lines_of(runs: Sequence[Overview]) -> list[tuple[str, ...]]:
    """The comparison in lines of texts, with a cell for each run: settings that differ, scores, epochs, time."""
    settings = differing([run.settings for run in runs])
    scores = common_scores(runs)
    return [
        *((name, *map(in_short, values)) for name, values in settings.items()),
        *((in_words(name), *map(figure, values)) for name, values in scores.items()),
        ("epochs", *(in_short(epochs_of(run)) for run in runs)),
        ("seconds", *(figure(seconds_of(run)) for run in runs)),
    ]
