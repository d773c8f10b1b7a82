"""Runs that are to be shown: what their folders hold, and their data, read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anyarray_mlp.checking.messages import shown_path
from anyarray_mlp.errors import AnyArrayMLPError, StorageError

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis import Diagnosis
    from anyarray_mlp.pipeline.preparation import Prepared
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.reporting.kept import Kept
    from anyarray_mlp.reporting.missing import Missing


def kept_run(path: str, data: str | None = None) -> Kept:
    """A run's folder; `data` is where its data lie now, if that is elsewhere. What cannot be had is said in its place.

    Raises `StorageError` for a folder without a run, `DataError` for settings that nobody could have given.
    """
    from anyarray_mlp.cli.kept_settings import read_settings
    from anyarray_mlp.cli.repeating import train_command
    from anyarray_mlp.cli.train import command as train
    from anyarray_mlp.diagnosis import load_diagnosis
    from anyarray_mlp.persistence import RunFolder
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.reporting.kept import Kept
    from anyarray_mlp.reporting.missing import Missing

    run = RunFolder(path)
    if not os.path.isdir(path) or not os.path.exists(run.config_path):
        raise StorageError(f"{shown_path(path)} holds no run: give the folder of a run.")
    settings = read_settings(run, click.Context(train, info_name="train"))
    model: TrainedModel | Missing
    diagnosis: Diagnosis | Missing
    try:
        model = TrainedModel.load(path)
    except AnyArrayMLPError as error:
        model = Missing.because(error)
    try:
        diagnosis = load_diagnosis(path)
    except AnyArrayMLPError as error:
        diagnosis = Missing.because(error)
    return Kept(
        shown_path(Path(os.path.abspath(path)).name),
        {name: value for name, value in settings.items() if value is not None},
        run.read_metrics(),
        model,
        diagnosis,
        rows_of_run(path, model, data, str(settings["dtype"])),
        train_command(settings),
    )


def rows_of_run(
    path: str, model: TrainedModel | Missing, data: str | None, dtype: str
) -> Prepared | Missing:
    """The data of a run, split as they were, or why they cannot be had; `DataError` if those that were given differ."""
    from anyarray_mlp.cli.kept_settings import prepared_again
    from anyarray_mlp.reporting.missing import Missing

    if isinstance(model, Missing):
        return model
    try:
        return prepared_again(
            path, model, dtype, "give the same file with --data", data=data, keep_rows=True
        )
    except AnyArrayMLPError as error:
        if data is not None:
            raise
        return Missing.because(error, "; --data FILE says where they lie now")


def named_apart(runs: list[Kept]) -> list[Kept]:
    """Runs whose names are all different: those that share one are numbered."""
    from dataclasses import replace

    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({names[: place + 1].count(run.name)})")
        if names.count(run.name) > 1
        else run
        for place, run in enumerate(runs)
    ]
