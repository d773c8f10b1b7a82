"""`anyarray-mlp report`: what came of runs, as a page to look at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from anyarray_mlp.checking.messages import from_here
from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.options import DATA, FileName, PathName, json_option
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.trying import flags_of
from anyarray_mlp.errors import UsageError


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
    written = write_report(runs, data, out, overwrite, as_json)
    if written is not None:
        result(f"wrote {from_here(written)}")


def write_report(
    paths: tuple[str, ...],
    data: str | None = None,
    out: str | None = None,
    overwrite: bool = False,
    as_json: bool = False,
) -> Path | None:
    """Write the page about some runs, and its path; as JSON, print what would stand in it."""
    from anyarray_mlp.cli.runs import kept_run, named_apart
    from anyarray_mlp.persistence.files import atomic_write
    from anyarray_mlp.reporting import library
    from anyarray_mlp.reporting.contents import contents_of
    from anyarray_mlp.reporting.missing import Missing
    from anyarray_mlp.reporting.page import page_of

    if not as_json:
        library.vega()  # before anything is worked out
    kept = named_apart([kept_run(path, data) for path in paths])
    for run in kept:
        if isinstance(run.prepared, Missing):
            tell(f"note: {run.name}: {run.prepared.reason}")
    contents = [contents_of(run, flags_of, as_flags) for run in kept]
    if as_json:
        result(json.dumps([each.to_dict() for each in contents], indent=2))
        return None
    path, replaced = target_of(paths, out, overwrite)
    atomic_write(path, page_of(contents).encode(), overwrite=replaced)
    return path


def target_of(paths: tuple[str, ...], out: str | None, overwrite: bool) -> tuple[Path, bool]:
    """Where the page goes, and whether it may replace a file: a run's own page follows from the run."""
    from anyarray_mlp.persistence.run_folder import REPORT_NAME, RunFolder

    if out is not None:
        return Path(out), overwrite
    if len(paths) == 1:
        return RunFolder(os.fspath(paths[0])).home / REPORT_NAME, True
    return Path(REPORT_NAME), overwrite
