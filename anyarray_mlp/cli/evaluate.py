"""`anyarray-mlp evaluate`: scores on labelled data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import click

from anyarray_mlp.checking.messages import counted, shown_path
from anyarray_mlp.cli.figures import figure
from anyarray_mlp.cli.options import (
    DATA,
    MODEL,
    NAMES,
    backend_options,
    given_reading,
    json_option,
    reading_options,
    target_option,
)
from anyarray_mlp.cli.output import result
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.unknown_categories import (
    option_named,
    unknown_categories_option,
    without_unknown,
)


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("data", type=DATA)
@target_option("the model's own")
@click.option("--drop", type=NAMES, help="Columns of a table to leave out.")
@reading_options
@unknown_categories_option
@backend_options
@json_option
def command(
    model: str,
    data: str,
    target: tuple[str, ...],
    drop: str | tuple[str, ...] | None,
    unknown_categories: str,
    device: str,
    backend: str | None,
    dtype: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Score MODEL, a model file or a run's folder, on the labelled rows of DATA.

    Where DATA comes with a test set, as MNIST's folder does, the test set is scored.
    """
    import numpy as np

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.data import load
    from anyarray_mlp.persistence.plain_json import plain
    from anyarray_mlp.pipeline.trained_model import TrainedModel

    trained = TrainedModel.load(model)
    dropped: Any = (drop,) if isinstance(drop, str) else drop or ()
    dataset = load(
        data,
        target=target or None,
        task=trained.targets.task,
        drop=dropped,
        reading=given_reading(trained.reading, given),
        schema=trained.schema,
    )
    scored = dataset if dataset.test is None else dataset.test
    if unknown_categories == "gap":
        features = without_unknown(trained, scored.features)
        scored = replace(scored, features=features, feature_names=trained.preprocessor.names)
    # A huge target is told by its score.
    with option_named(), np.errstate(over="ignore", invalid="ignore"):
        scores = trained.scores(scored, select_backend(backend, device, dtype))
    which = "all" if dataset.test is None else "test"
    if as_json:
        about = {"data": shown_path(dataset.name), "scored_on": which, "rows": len(scored)}
        result(json.dumps(about | plain(scores, "scores", null_for_nonfinite=True), indent=2))
        return
    whose = "all" if which == "all" else "the test set"
    lines = [f"{counted(len(scored), 'row')}, {whose} of {shown_path(dataset.name)}"]
    lines += [f"  {name.replace('_', ' '):<20}{figure(value)}" for name, value in scores.items()]
    result("\n".join(lines))
