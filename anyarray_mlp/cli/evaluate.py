"""`anyarray-mlp evaluate`: scores on labelled data."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from anyarray_mlp.checking.messages import counted, shown_path
from anyarray_mlp.cli.advice import as_flags
from anyarray_mlp.cli.figures import figure
from anyarray_mlp.cli.flags import flag
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
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.cli.unknown_categories import (
    option_named,
    unknown_categories_option,
    without_unknown,
)
from anyarray_mlp.errors import DataError, UsageError


@click.command(cls=Command)
@click.argument("model", type=MODEL)
@click.argument("data", type=DATA, required=False)
@target_option("the model's own")
@click.option("--drop", type=NAMES, help="Columns of a table to leave out.")
@reading_options
@unknown_categories_option
@backend_options
@json_option
def command(
    model: str,
    data: str | None,
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

    Where DATA comes with a test set, as MNIST's folder does, the test set is scored. Without DATA, MODEL is a run's
    folder, and the rows that the run held out for testing are scored, split as they were.
    """
    import numpy as np

    if data is None:
        for name, value in {"target": target, "drop": drop, **given}.items():
            if value not in (None, ()):
                raise UsageError(f"{flag(name)} is for DATA: give it, or leave {flag(name)} out.")
        scores, name, rows = scores_held_out(model, backend, device, dtype)
        tell_scores(scores, name, "test", rows, as_json)
        return

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.data import load
    from anyarray_mlp.data.sources import is_pictures
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
    if unknown_categories == "rest":
        features = without_unknown(trained, scored.features)
        scored = replace(scored, features=features, feature_names=trained.preprocessor.used_names)
    # A huge target is told by its score.
    with option_named(), np.errstate(over="ignore", invalid="ignore"):
        scores = trained.scores(scored, select_backend(backend, device, dtype), unknown_categories)
    if is_pictures(data):
        for note in dataset.notes:
            tell(f"note: {as_flags(note)}")
    which = "all" if dataset.test is None else "test"
    if which == "all" and was_trained_on(model, data):
        tell(
            f"note: {shown_path(model)} was trained on rows of {shown_path(dataset.name)}, which score better than "
            "new ones: train printed the score of the rows that it held out"
        )
    tell_scores(scores, dataset.name, which, len(scored), as_json)


def scores_held_out(
    path: str, backend: str | None, device: str, dtype: str
) -> tuple[dict[str, float], str, int]:
    """The scores of a run's model on the rows that it held out for testing, the name of its data, how many rows."""
    import numpy as np

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.cli.kept_settings import prepared_again
    from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets

    if not os.path.isdir(path):
        raise UsageError(
            f"{shown_path(path)} is no run's folder, so nothing says which rows it held out: give DATA."
        )
    trained = TrainedModel.load(path)
    prepared = prepared_again(path, trained, dtype, "give the same file, or DATA to score")
    if not prepared.has_test:
        raise DataError(f"{shown_path(path)} held out no rows for testing: give DATA.")
    test = prepared.test
    encoded = encode_targets(trained.mlp, trained.targets, test.y)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = trained.scores_of_inputs(
            test.x, test.input_scale, encoded, select_backend(backend, device, dtype)
        )
    return scores, prepared.name, len(test)


def tell_scores(scores: dict[str, float], name: str, which: str, rows: int, as_json: bool) -> None:
    """Print scores, and what they are of."""
    from anyarray_mlp.persistence.plain_json import plain

    if as_json:
        about = {"data": shown_path(name), "scored_on": which, "rows": rows}
        result(json.dumps(about | plain(scores, "scores", null_for_nonfinite=True), indent=2))
        return
    whose = "all" if which == "all" else "the test set"
    lines = [f"{counted(rows, 'row')}, {whose} of {shown_path(name)}"]
    lines += [f"  {name.replace('_', ' '):<20}{figure(value)}" for name, value in scores.items()]
    result("\n".join(lines))


def was_trained_on(model: str, data: str) -> bool:
    """Whether the `config.toml` beside a model names this data."""
    from anyarray_mlp.errors import AnyArrayMLPError
    from anyarray_mlp.persistence import RunFolder

    folder = model if os.path.isdir(model) else Path(model).parent
    try:
        kept = str(RunFolder(folder).read_config().get("data"))
        return kept == data or os.path.samefile(kept, data)
    except (AnyArrayMLPError, OSError, ValueError):
        return False
