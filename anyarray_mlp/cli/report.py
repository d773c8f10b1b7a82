"""`anyarray-mlp report`: what came of runs, as a page to look at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anyarray_mlp.checking.messages import from_here
from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.kinds import FileName, PathName
from anyarray_mlp.cli.options import DATA, json_option
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.trying import flags_of
from anyarray_mlp.errors import OutputExistsError, UsageError

if TYPE_CHECKING:
    from anyarray_mlp.reporting.contents import Contents


@click.command(cls=Command)
@click.argument(
    "runs", metavar="RUN...", type=PathName("the folder of a run"), nargs=-1, required=True
)
@click.option("--data", type=DATA, help="Where the data of the run lie now, if they were moved.")
@click.option(
    "--out",
    type=FileName("the name of a file"),
    help="The page; by default report.html in the folder of RUN, or of several in this one.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file of --out.")
@json_option
def command(
    runs: tuple[str, ...], data: str | None, out: str | None, overwrite: bool, as_json: bool
) -> None:
    """Write a page about each RUN, the folder of a training run, several side by side: one HTML file that needs no
    network.

    It has the data as they were read, learning curves, scores of the rows that were held out with their intervals, how
    answers compare with the truth, what the columns do, the inside of the network, the diagnosis, and the command that
    makes the run again. The rows are read again from where the run says they lie.
    """
    if data is not None and len(runs) > 1:
        raise UsageError("--data is for a single RUN: leave it out, or give one.")
    if as_json:
        found = [each.to_dict() for each in contents_of_runs(runs, data)]
        result(json.dumps(found, indent=2))
    else:
        result(f"wrote {from_here(write_report(runs, data, out, overwrite))}")


def write_report(
    paths: Sequence[str], data: str | None = None, out: str | None = None, overwrite: bool = False
) -> Path:
    """Write the page about some runs; its path."""
    from anyarray_mlp.persistence.files import atomic_write
    from anyarray_mlp.reporting import library
    from anyarray_mlp.reporting.page import page_of

    library.vega()  # before anything is worked out
    path, replaced = target_of(paths, out, overwrite)
    if path.exists() and not replaced:
        raise OutputExistsError(f"{from_here(path)} exists: give --overwrite, or another --out.")
    page = page_of(contents_of_runs(paths, data))
    atomic_write(path, page.encode(), overwrite=replaced)
    return path


def contents_of_runs(paths: Sequence[str], data: str | None) -> list[Contents]:
    """What is to be said of some runs; of data that cannot be had, it is told at once."""
    from anyarray_mlp.cli.runs import kept_run, named_apart
    from anyarray_mlp.reporting.contents import contents_of
    from anyarray_mlp.reporting.missing import Missing

    kept = named_apart([kept_run(path, data) for path in paths])
    for run in kept:
        if isinstance(run.prepared, Missing):
            tell(f"note: {run.name}: {run.prepared.reason}")
    return [contents_of(run, flags_of, as_flags) for run in kept]


def target_of(paths: Sequence[str], out: str | None, overwrite: bool) -> tuple[Path, bool]:
    """Where the page goes, and whether it may replace a file: a run's own page follows from the run."""
    from anyarray_mlp.persistence.run_folder import REPORT_NAME, RunFolder

    if out is not None:
        return Path(out), overwrite
    if len(paths) == 1:
        return RunFolder(paths[0]).home / REPORT_NAME, True
    return Path(REPORT_NAME), overwrite
