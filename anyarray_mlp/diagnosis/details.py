"""`Details`: what a diagnosis may be told of a run beside what `fit` is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_boolean,
    check_whole,
    items,
)
from anyarray_mlp.typing import Host


@with_known_options
@dataclass(frozen=True, eq=False)
class Details:
    """What a diagnosis may be told beside what `fit` is told.

    Attributes
    ----------
    column_names : what the findings call the columns of x, or those that `sources` points to.
    sources : if a table was encoded, the place of its column that each column of x was made of; without, each column
        of x stands for itself.
    class_names : what the findings call the classes.
    held_out : more rows of the same columns, which are only asked whether a column varies (those of the validation
        set are as well).
    validation_is_later : whether the rows were split by time, so that validation rows may differ from those before.
    probe_on_device : overrules where probes run.
    scales : what an input must be multiplied by, and what added, to have the column's value in the file: for each
        input such a pair, or None.
    target_scale : the same of the targets.
    different : names of columns of whole numbers in which no two rows have the same.
    table : the settings that a table was encoded with, and those of the run that its plan has instead of the recipe:
        what a change of settings may be about.
    """

    column_names: Sequence[str] = ()
    sources: Sequence[int] = ()
    class_names: Sequence[Any] = ()
    held_out: Sequence[Host] = ()
    validation_is_later: bool = False
    probe_on_device: bool | None = None
    scales: Sequence[tuple[float, float] | None] = ()
    target_scale: tuple[float, float] | None = None
    different: Sequence[str] = ()
    table: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_boolean("validation_is_later", self.validation_is_later)
        if self.probe_on_device is not None:
            check_boolean("probe_on_device", self.probe_on_device)
        places = items("sources", self.sources, "a list of the place of each column's raw column")
        for name, value in (
            (
                "column_names",
                items("column_names", self.column_names, "a list of the columns' names"),
            ),
            ("sources", tuple(check_whole("sources", place, 0) for place in places)),
            ("class_names", items("class_names", self.class_names, "a list of the classes' names")),
            ("held_out", items("held_out", self.held_out, "a list of arrays of more rows")),
        ):
            object.__setattr__(self, name, value)
