"""--unknown-categories: rows with categories that the model was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.names import UNKNOWN_CATEGORIES
from anyarray_mlp.cli.kinds import OneOf
from anyarray_mlp.cli.output import tell

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.trained_model import TrainedModel

unknown_categories_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--unknown-categories",
    type=OneOf("unknown_categories", UNKNOWN_CATEGORIES),
    default="rest",
    show_default=True,
    help="What becomes of categories that the model was not trained on: they fall into the rest of their column, or "
    "count as gaps if it has none, and a warning says how many; or they are an error.",
)


def without_unknown(model: TrainedModel, features: Any) -> Any:
    """The features without categories that the model has no input for, of which a warning tells."""
    from anyarray_mlp.data.unknown import about_unknown, without_unknown

    features, unknown = without_unknown(model.preprocessor, features)
    for sentence in about_unknown(model.preprocessor, unknown, len(features)):
        tell(f"warning: {sentence}")
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
