"""`anyarray-mlp predict`: labels or values for new rows."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.cli.options import backend_options, json_option
from anyarray_mlp.cli.unknown_categories import (
    option_named,
    unknown_categories_option,
    without_unknown,
)

if TYPE_CHECKING:
    from anyarray_mlp.trained import TrainedModel


@click.command()
@click.argument("model", type=click.Path())
@click.argument("data")
@click.option("--proba", is_flag=True, help="Add the probability of every class.")
@click.option(
    "--header/--no-header", default=None, help="Whether a table's first line names columns."
)
@unknown_categories_option
@click.option(
    "--out", type=click.Path(dir_okay=False), help="Write to this file instead of stdout."
)
@click.option("--overwrite", is_flag=True, help="Replace the file of --out.")
@backend_options
@json_option
def command(
    model: str,
    data: str,
    proba: bool,
    header: bool | None,
    unknown_categories: str,
    out: str | None,
    overwrite: bool,
    device: str,
    backend: str | None,
    dtype: str,
    as_json: bool,
) -> None:
    """Predict labels or values for the rows of DATA with MODEL, a model file or a run's folder.

    Prints CSV with one line a row. DATA needs the columns that the model was trained on, by name or in order;
    others, the target among them, are ignored. Of a folder of images such as MNIST's, those to train on are
    predicted, while evaluate scores the test set: name the file of the test images to predict these.
    """
    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.data import load_features
    from anyarray_mlp.errors import UsageError
    from anyarray_mlp.persistence import atomic_write
    from anyarray_mlp.trained import TrainedModel

    trained = TrainedModel.load(model)
    if proba and trained.targets.task == "regression":
        raise UsageError("--proba is for classes; this model predicts numbers.")
    features = load_features(data, header=header, schema=trained.schema)
    if unknown_categories == "gap":
        features = without_unknown(trained, features)
    with option_named():
        outputs = trained.outputs(features, select_backend(backend, device, dtype))
    answers = trained.decode(outputs)
    columns = predictions(trained, answers)
    if proba:
        columns |= probabilities(trained, outputs)
    text = as_text(columns, as_json)
    if out is None:
        click.echo(text, nl=False)
    else:
        atomic_write(out, text.encode(), overwrite=overwrite)


def predictions(trained: TrainedModel, answers: Any) -> dict[str, Any]:
    """(n,) as one column, (n, k) as one for each target: by its name in the table, else by its number."""
    if answers.ndim == 1:
        return {"prediction": answers}
    return {
        f"prediction_{name}": column
        for name, column in zip(names_of(trained, answers.shape[1]), answers.T, strict=True)
    }


def names_of(trained: TrainedModel, k: int) -> tuple[str, ...]:
    """What k targets are called: their columns in the table that was trained on, or 1, 2, ..."""
    names = trained.target_names
    return names if len(set(names)) == k else tuple(str(number + 1) for number in range(k))


def probabilities(trained: TrainedModel, outputs: Any) -> dict[str, Any]:
    """A column of probabilities for each class or label."""
    columns = outputs.T
    if len(columns) == 1 and trained.targets.task == "classification":
        columns = [1.0 - columns[0], columns[0]]
    names: Any = trained.targets.classes
    if trained.targets.task == "multilabel":
        names = names_of(trained, len(columns))
    return {f"probability_{name}": column for name, column in zip(names, columns, strict=False)}


def as_text(columns: dict[str, Any], as_json: bool) -> str:
    """Columns as CSV, or as a JSON list of rows."""
    rows = list(zip(*(column.tolist() for column in columns.values()), strict=True))
    if as_json:
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows]) + "\n"
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()
