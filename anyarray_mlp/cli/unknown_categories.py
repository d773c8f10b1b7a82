"""--unknown-categories: rows with categories that the model was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from anyarray_mlp.trained import TrainedModel

unknown_categories_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--unknown-categories",
    type=click.Choice(["refuse", "gap"]),
    default="refuse",
    show_default=True,
    help="What becomes of categories that the model was not trained on: an error, or gaps and a warning.",
)


def without_unknown(model: TrainedModel, features: Any) -> Any:
    """The features with gaps for unknown categories, of which a warning tells."""
    from anyarray_mlp.data import without_unknown
    from anyarray_mlp.data.messages import listed

    features, unknown = without_unknown(model.preprocessor, features)
    for name, values in unknown.items():
        click.echo(
            f"warning: column {name!r}: {len(values):,} of {len(features):,} rows hold categories that were not seen "
            f"in training and count as gaps: {listed(dict.fromkeys(values))}",
            err=True,
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
