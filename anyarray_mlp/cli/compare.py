"""`anyarray-mlp compare`: what runs differ in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.cli.kinds import PathName
from anyarray_mlp.cli.options import json_option
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.errors import UsageError

if TYPE_CHECKING:
    from anyarray_mlp.reporting.differences import Overview


@click.command(cls=Command)
@click.argument(
    "runs", metavar="RUN...", type=PathName("the folder of a run"), nargs=-1, required=True
)
@json_option
def command(runs: tuple[str, ...], as_json: bool) -> None:
    """Compare training runs, each RUN being the folder of one: the settings that differ, the scores, the time.

    Scores are those of the rows that each run held out, read again from where the run says they lie.
    """
    from anyarray_mlp.cli.runs import kept_run, named_apart
    from anyarray_mlp.reporting.contents import overview_of
    from anyarray_mlp.reporting.differences import cautions

    if len(runs) < 2:
        raise UsageError("One RUN compares with nothing: give two or more.")
    found = [overview_of(run) for run in named_apart([kept_run(path) for path in runs])]
    if as_json:
        result(json.dumps(as_record(found), indent=2))
        return
    for text in cautions(found):
        tell(f"note: {text}")
    result(as_table(found))


def as_record(runs: list[Overview]) -> dict[str, Any]:
    """The comparison as JSON has it."""
    from anyarray_mlp.persistence.plain_json import plain
    from anyarray_mlp.reporting.differences import (
        cautions,
        common_scores,
        differing,
        epochs_of,
        seconds_of,
    )

    record = {
        "runs": [run.name for run in runs],
        "settings": differing([run.settings for run in runs]),
        "scores": common_scores(runs),
        "epochs": [epochs_of(run) for run in runs],
        "seconds": [seconds_of(run) for run in runs],
        "notes": cautions(runs),
    }
    return dict(plain(record, "comparison", null_for_nonfinite=True))


def as_table(runs: list[Overview]) -> str:
    """The comparison in lines: a setting, a score or the time in each, a run in each column."""
    from anyarray_mlp.reporting.differences import lines_of

    lines = [("", *(run.name for run in runs)), *lines_of(runs)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
