"""`anyarray-mlp diagnose`: what is wrong with a run, or with a network of one's own."""

from __future__ import annotations

import json

import click

from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.options import PathName, json_option
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.spelling import Command


@click.command(cls=Command)
@click.argument(
    "subject",
    metavar="RUN|SCRIPT",
    type=PathName("the folder of a run, a Python file or a notebook"),
)
@json_option
def command(subject: str, as_json: bool) -> int:
    """Say what went wrong with RUN, the folder of a training run, or with the backprop in SCRIPT (.py or .ipynb).

    A run is judged by the diagnosis.json that training leaves in its folder. A script or a notebook is run for its
    first steps of training, so give only files that you would run; it may define ADAPTER, or a function that returns
    one (see docs/check-backprop.md).
    The exit code is 1 where something is wrong.
    """
    if subject.endswith((".py", ".ipynb")):
        from anyarray_mlp.backprop import check_file

        report = check_file(subject)
        result(report.to_json() if as_json else str(report))
        return 0 if report.ok else 1
    from anyarray_mlp.diagnosis import load_diagnosis

    diagnosis = load_diagnosis(subject)
    if as_json:
        findings = [finding.to_dict() for finding in diagnosis.findings]
        result(json.dumps({"ok": not diagnosis.alarms, "findings": findings}, indent=2))
    else:
        result(as_flags(diagnosis.report()))
    return 1 if diagnosis.alarms else 0
