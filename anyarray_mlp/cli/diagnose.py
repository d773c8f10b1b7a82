"""`anyarray-mlp diagnose`: what is wrong with a run, or with a network of one's own."""

from __future__ import annotations

import json
from typing import Any

import click

from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.kinds import PathName
from anyarray_mlp.cli.options import json_option
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.trying import (
    SECONDS,
    diagnosis_of,
    flags_of,
    kept_better,
    seconds_option,
    told,
)
from anyarray_mlp.errors import UsageError


@click.command(cls=Command)
@click.argument(
    "subject",
    metavar="RUN|SCRIPT",
    type=PathName("the folder of a run, a Python file or a notebook"),
)
@click.option(
    "--try",
    "try_cures",
    is_flag=True,
    help="Try the cures in short runs, and say before and after on the validation rows.",
)
@seconds_option
@click.option("--keep", is_flag=True, help="Train with what helped most, in a folder beside RUN.")
@json_option
def command(subject: str, try_cures: bool, try_seconds: float, keep: bool, as_json: bool) -> int:
    """Say what went wrong with RUN, the folder of a training run, or with the backprop in SCRIPT (.py or .ipynb).

    A run is judged by the diagnosis.json that training leaves in its folder. A script or a notebook is run for its
    first steps of training, so give only files that you would run; it may define ADAPTER, or a function that returns
    one (see docs/check-backprop.md).
    The exit code is 1 where something is wrong.
    """
    if not try_cures:
        for name, given in (("--keep", keep), ("--try-seconds", try_seconds != SECONDS)):
            if given:
                raise UsageError(f"{name} is for --try: add that, or leave it out.")
    if not subject.endswith((".py", ".ipynb")):
        return about_run(subject, try_seconds if try_cures else None, keep, as_json)
    from anyarray_mlp.backprop import check_file

    if try_cures:
        raise UsageError("--try is for the folder of a run: leave it out.")
    report = check_file(subject)
    result(report.to_json() if as_json else str(report))
    return 0 if report.ok else 1


def about_run(path: str, seconds: float | None, keep: bool, as_json: bool) -> int:
    """Say what went wrong with a run, and try its cures for so many seconds; the exit code."""
    from anyarray_mlp.diagnosis import load_diagnosis

    settings: dict[str, Any] = {}
    trials = None
    if seconds is None:
        diagnosis = load_diagnosis(path)
    else:
        diagnosis, settings = diagnosis_of(path)
    if not as_json:
        result(as_flags(diagnosis.report(flags_of)))
    if seconds is not None:
        trials = diagnosis.try_cures(seconds)
    if as_json:
        findings = [in_flags(finding.to_dict()) for finding in diagnosis.findings]
        record: dict[str, Any] = {"ok": not diagnosis.alarms, "findings": findings}
        if trials is not None:
            record["trials"] = trials_in_flags(trials.to_dict())
            if keep and trials.best is not None:
                record["kept"] = str(kept_better(trials, path, settings))
        result(json.dumps(record, indent=2))
    elif trials is not None:
        result(told(trials, path, settings, keep))
    return 1 if diagnosis.alarms else 0


def in_flags(finding: dict[str, Any]) -> dict[str, Any]:
    """A finding with its cure in the words of the command line, and the flags to try."""
    flags = [flags_of(change) for change in finding["changes"]]
    return {**finding, "cure": as_flags(finding["cure"]), "flags": flags}


def trials_in_flags(trials: dict[str, Any]) -> dict[str, Any]:
    """Trials with the flags of what was tried."""
    tried = [{**each, "flags": flags_of(each["change"])} for each in trials["tried"]]
    return {**trials, "tried": tried, "best": trials["best"] and flags_of(trials["best"])}
