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
    type=OneOf("unknown_categories", ["refuse", "gap"]),
    default="refuse",
    show_default=True,
    help="What becomes of categories that the model was not trained on: an error, or gaps and a warning.",
)


def without_unknown(model: TrainedModel, features: Any) -> Any:
    """The features with gaps for unknown categories, of which a warning tells."""
    from anyarray_mlp.data import without_unknown

    features, unknown = without_unknown(model.preprocessor, features)
    for name, values in unknown.items():
        rows = counted(len(features), "row")
        hold = "holds a category that was" if len(values) == 1 else "hold categories that were"
        count = "counts as a gap" if len(values) == 1 else "count as gaps"
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
        raise DataError(f"{error}; --unknown-categories gap counts such values as gaps") from error
