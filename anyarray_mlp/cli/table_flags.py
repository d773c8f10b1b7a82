"""The flags of all settings of a run from raw data, which `train` and `tune` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.cli.kinds import Text
from anyarray_mlp.cli.options import (
    CELLS,
    DATA,
    DECIMAL,
    NAMES,
    SEPARATOR,
    SHEET,
    SIZES,
    target_option,
)
from anyarray_mlp.cli.sections import section_options
from anyarray_mlp.pipeline.presets import Base
from anyarray_mlp.pipeline.shape import Shape
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.training.recipe import Recipe

#: What `click` is told of flags whose values have a form of their own.
OF_TABLE: dict[str, dict[str, Any]] = {
    **{key: {"type": NAMES} for key in ("drop", "numeric", "text", "keep", "date")},
    "missing": {"type": CELLS},
    "separator": {"type": SEPARATOR},
    "decimal": {"type": DECIMAL},
    "sheet": {"type": SHEET},
    "split": {"type": Text("time:COLUMN or random"), "metavar": "time:COLUMN|random"},
    **{
        key: {"type": Text("the name of a column"), "metavar": "COLUMN"}
        for key in ("group", "folds")
    },
    "test": {"type": DATA, "metavar": "DATA"},
    "image_size": {"type": Text("height and width as in 28x28"), "metavar": "HxW"},
    "image_mode": {"type": Text("grey or rgb"), "metavar": "grey|rgb"},
    "class_weight": {
        "type": Text("balanced or LABEL=WEIGHT,..."),
        "metavar": "balanced|LABEL=W,...",
    },
}
OF_SHAPE: dict[str, dict[str, Any]] = {
    "hidden": {"type": SIZES, "names": ("--hidden-layer-sizes",)},
}


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for each setting, in the order of the help."""
    sections = (
        target_option("the last"),
        section_options(Recipe, only=("task",)),
        section_options(Base),
        section_options(Table, but=("target",), further=OF_TABLE),
        section_options(Shape, further=OF_SHAPE),
        section_options(Recipe, but=("task",)),
        section_options(Placement),
    )
    for section in reversed(sections):
        function = section(function)
    return function
