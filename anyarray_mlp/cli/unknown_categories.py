"""--unknown-categories: rows with categories that the model was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted, listed, shown
from anyarray_mlp.cli.options import OneOf
from anyarray_mlp.cli.output import tell

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.trained_model import TrainedModel

unknown_categories_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--unknown-categories",
    type=OneOf("unknown_categories", ["rest", "refuse"]),
    default="rest",
    show_default=True,
    help="What becomes of categories that the model was not trained on: they fall into the rest of their column, or "
    "count as gaps if it has none, and a warning says how many; or they are an error.",
)


def without_unknown(model: TrainedModel, features: Any) -> Any:
    """The features without categories that the model has no input for, of which a warning tells."""
    from anyarray_mlp.data import without_unknown

    features, unknown = without_unknown(model.preprocessor, features)
    rests = {column.name for column in model.preprocessor.columns if column.rest is not None}
    for name, values in unknown.items():
        rows = counted(len(features), "row")
        one = len(values) == 1
        hold = "holds a category that was" if one else "hold categories that were"
        hold += " rare or" if name in rests else ""
        count = "counts as a gap" if one else "count as gaps"
        if name in rests:
            count = f"{'falls' if one else 'fall'} into the rest"
        tell(
            f"warning: column {shown(name)}: {len(values):,} of {rows} {hold} not seen in training and {count}: "
            f"{listed(dict.fromkeys(values))}"
        )
    return features


@contextmanager
def option_named() -> Iterator[None]:
    """An error about an unknown category names the option."""
    from anyarray_mlp.errors import DataError, UnknownCategoryError

    try:
        yield
    except UnknownCategoryError as error:
        raise DataError(
            f"{error}; --unknown-categories rest takes such rows all the same"
        ) from error
