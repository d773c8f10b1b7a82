"""`anyarray-mlp predict`: labels or values for new rows."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import shown, shown_path
from anyarray_mlp.cli.kinds import FileName, Number
from anyarray_mlp.cli.options import (
    DATA,
    MODEL,
    NAMES,
    backend_options,
    given_reading,
    json_option,
    reading_options,
)
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.unknown_categories import (
    option_named,
    unknown_categories_option,
    without_unknown,
)

if TYPE_CHECKING:
    from anyarray_mlp.backends import Backend
    from anyarray_mlp.data import Reading
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.typing import Host


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("data", type=DATA, nargs=-1, required=True)
@click.option("--proba", is_flag=True, help="Add the probability of every class.")
@click.option(
    "--keep",
    type=NAMES,
    help="Columns of the table to put beside the predictions, as they stand in it: names as in id,name, or all.",
)
@click.option(
    "--interval",
    type=Number(0, 1, open_low=True),
    help="Of a regression, add bounds within which so many of the true values lie, as 0.9 of them; MODEL is a run's "
    "folder, from whose validation rows they are made.",
)
@reading_options
@unknown_categories_option
@click.option(
    "--out", type=FileName("the name of a file"), help="Write to this file instead of stdout."
)
@click.option("--overwrite", is_flag=True, help="Replace the file of --out.")
@backend_options
@json_option
def command(
    model: str,
    data: tuple[str, ...],
    proba: bool,
    keep: str | tuple[str, ...] | None,
    interval: float | None,
    unknown_categories: str,
    out: str | None,
    overwrite: bool,
    device: str,
    backend: str | None,
    dtype: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Predict labels or values for the rows of DATA with MODEL, a model file or a run's folder.

    Prints CSV with one line a row; of pictures, of which DATA may be several or a folder, with the name of each. A
    table needs the columns that the model was trained on, by name or in order; others, the target among them, are
    ignored. Of a folder of images such as MNIST's, those to train on are predicted, while evaluate scores the test
    set: name the file of the test images to predict these.
    """

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.persistence.files import atomic_write
    from anyarray_mlp.pipeline.answers import answers_of, probabilities
    from anyarray_mlp.pipeline.trained_model import TrainedModel

    trained = TrainedModel.load(model)
    if proba and trained.targets.task == "regression":
        raise UsageError("--proba is for classes; this model predicts numbers.")
    used = select_backend(backend, device, dtype)
    if interval is not None:
        widths = widths_of(model, trained, used, interval)
    reading = given_reading(trained.reading, given)
    features, columns = read(trained, data, reading, keep)
    if unknown_categories == "rest":
        features = without_unknown(trained, features)
    with option_named():
        outputs = trained.outputs(features, used, unknown_categories)
    answers = answers_of(trained, outputs)
    if interval is not None:
        digits = 15 if outputs.dtype == "float64" else 7
        answers |= bounds(trained.decode(outputs).reshape(outputs.shape), widths, answers, digits)
    if proba:
        answers |= probabilities(trained, outputs)
    twice = next((name for name in answers if name in columns), None)
    if twice is not None:
        raise UsageError(
            f"--keep keeps a column {shown(twice)}, as the predictions are called: name the others to keep."
        )
    columns |= {name: column.tolist() for name, column in answers.items()}
    text = as_text(columns, as_json)
    if out is None:
        result(text, end="")
    else:
        atomic_write(out, text.encode(), overwrite=overwrite)


def read(
    trained: TrainedModel,
    data: tuple[str, ...],
    reading: Reading,
    keep: str | tuple[str, ...] | None,
) -> tuple[Any, dict[str, list[Any]]]:
    """The features of what is to be predicted, and the columns that are printed beside their predictions."""
    from anyarray_mlp.data import load_features, picture_files
    from anyarray_mlp.data.sources import (
        features_of_pictures,
        is_pictures,
        load_features_and_columns,
    )
    from anyarray_mlp.errors import UsageError

    if all(map(is_pictures, data)):
        if keep:
            raise UsageError(
                "--keep is for columns of a table, and pictures have none: leave it out."
            )
        pictures = features_of_pictures(data, reading)
        for note in pictures.notes:
            tell(f"note: {note}")
        return pictures.pixels, {"file": [shown_path(path) for path in picture_files(data)]}
    if len(data) > 1:
        raise UsageError(
            f"Several DATA must all be pictures, and {shown(data[0])} and others are not: give one."
        )
    if not keep:
        return load_features(data[0], reading=reading, schema=trained.schema), {}
    wanted = None if keep == "all" else (keep,) if isinstance(keep, str) else keep
    return load_features_and_columns(data[0], wanted, reading=reading, schema=trained.schema)


def widths_of(model: str, trained: TrainedModel, backend: Backend, interval: float) -> Host:
    """The half-width (k,) of an interval around each value of a run's model."""
    from anyarray_mlp.cli.kept_settings import prepared_again
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.pipeline.intervals import errors_held_out, half_widths

    if trained.targets.task != "regression":
        raise UsageError(
            "--interval is for numbers, and this model predicts classes: give --proba."
        )
    if not os.path.isdir(model):
        raise UsageError(
            f"--interval is made from the rows that a run validated on, and {shown_path(model)} is no run's folder: "
            "give that, or leave --interval out."
        )
    prepared = prepared_again(model, trained, backend.dtype, "have the same file there")
    return half_widths(errors_held_out(trained, prepared, backend), interval)


def bounds(values: Host, widths: Host, answers: dict[str, Any], digits: int) -> dict[str, Any]:
    """Lower and upper bounds of values (n, k), by the names of the answers, in as many digits as their dtype has."""
    import numpy as np

    found = {}
    for name, column, width in zip(answers, values.T, widths, strict=True):
        for side, bound in (("low", column - width), ("high", column + width)):
            found[f"{name}_{side}"] = np.array([float(f"{value:.{digits}g}") for value in bound])
    return found


def as_text(columns: dict[str, list[Any]], as_json: bool) -> str:
    """Columns as CSV, or as a JSON list of rows."""
    from anyarray_mlp.pipeline.answers import as_csv, as_rows

    return json.dumps(as_rows(columns)) + "\n" if as_json else as_csv(columns)
