"""`Table`: what is made of the data, each setting declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import NUMBERS
from anyarray_mlp.checking.settings import (
    Name,
    Number,
    Truth,
    Whole,
    check_settings,
    setting,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.kinds import (
    Cells,
    ClassWeight,
    ColumnName,
    ColumnNames,
    Columns,
    DecimalMark,
    ImageMode,
    ImageSize,
    Separator,
    Source,
    Text,
)

if TYPE_CHECKING:
    from anyarray_mlp.tables import Reading
    from anyarray_mlp.tables.reading import Place


@dataclass(frozen=True)
class Table:
    """What is made of the data: the columns, the encoding and the parts that they are split in.

    Attributes
    ----------
    target : the target's column, by name or place from 0, or several; the last one by default.
    drop : columns to leave out.
    header : whether a table's first line names columns; None finds out, as it does for what follows.
    separator, decimal : what stands between columns, and in numbers.
    missing : cells that are gaps besides the usual ones; with these given, no other is looked for.
    skip : the lines before the table.
    sheet : the sheet of a workbook, where several hold something.
    pixels : whether a table holds the pixels of pictures, in columns or listed in one; None finds out.
    image_size, image_mode : height and width, and "grey" or "rgb", that pictures are brought to; by default their own.
    numeric, text : columns of numbers, in which all else is a gap, and of texts.
    keep : columns to take as they are that would be left out (constants, identifiers, texts that hardly ever recur) or
        whose rare texts would count as one.
    date : columns of numbers to read as dates (years, days in digits such as 20240131, seconds and smaller units since
        1970), or COLUMN:d/m/y, COLUMN:mmddyy and the like where several forms fit.
    split : "time:COLUMN" holds out the latest rows, for testing and for validation; None and "random" draw them. The
        column is an input too, unless `drop` names it.
    group : a column whose equal values stay together, so that no group is trained on and tested or validated on.
    folds : a column that says which rows are which: train, validation and test, or numbers of folds.
    test : data whose rows are the test set, read and encoded as the rest.
    standardize : bring columns of numbers to mean 0 and deviation 1; pixels are divided by 255 in any case.
    numbers : how columns of numbers are scaled: "standard", "robust" or "pieces" (`data.Preprocessor.fit`).
    scale_target : standardise the target of a regression; None: if the output is identity.
    clamp_target : keep predictions of a regression within the targets of the rows to train on; None: if `members` are
        several.
    test_fraction, validation_fraction : share of the rows to score the final model on, and of the rest to score each
        epoch on; each of several `members` holds other rows out for that.
    class_weight : "balanced", or a weight for each label.
    """

    target: tuple[Place, ...] = setting(
        (),
        Columns(),
        "Target column of a table: its name or its place; the last by default. Again for each further one.",
        show_default=False,
    )
    drop: tuple[Place, ...] = setting(
        (), Columns(flat=True), "Columns of a table to leave out.", flag_default=None
    )
    header: bool | None = setting(None, Truth(), "Whether a table's first line names columns.")
    separator: str | None = setting(
        None,
        Separator(),
        "What stands between the columns of a table: a character, or comma, semicolon, tab, pipe, blank.",
    )
    decimal: str | None = setting(
        None, DecimalMark(), "The decimal mark of a table's numbers: . or , ."
    )
    missing: tuple[str, ...] | None = setting(
        None,
        Cells(),
        "Cells of a table that are gaps, besides the usual ones; no others are then looked for.",
    )
    skip: int | None = setting(None, Whole(), "Lines before a table.")
    sheet: str | None = setting(
        None, Text(), "The sheet of a workbook, where several hold something."
    )
    numeric: tuple[Place, ...] = setting(
        (), Columns(flat=True), "Columns of numbers, in which all else is a gap.", flag_default=None
    )
    text: tuple[Place, ...] = setting(
        (), Columns(flat=True), "Columns of texts, whatever they look like.", flag_default=None
    )
    keep: tuple[str, ...] = setting(
        (),
        ColumnNames(),
        "Columns to take as they are that would be left out: constants, identifiers, texts that hardly ever recur.",
        flag_default=None,
    )
    date: tuple[str, ...] = setting(
        (),
        ColumnNames(),
        "Columns of numbers to read as dates, or COLUMN:d/m/y, COLUMN:mmddyy and the like where several forms fit.",
        flag_default=None,
    )
    split: str | None = setting(
        None,
        ColumnName("time:", "random"),
        "time:COLUMN holds out the latest rows instead of random ones.",
    )
    group: str | None = setting(
        None,
        ColumnName(),
        "A column whose equal values stay together: no group is on both sides of a split.",
    )
    folds: str | None = setting(
        None,
        ColumnName(),
        "A column that says which rows are which: train, validation and test, or numbers of folds.",
    )
    test: Any = setting(
        None, Source(), "Data whose rows are the test set, read and encoded as the rest."
    )
    pixels: bool | None = setting(
        None,
        Truth(),
        "Whether a table holds the pixels of pictures, which are divided by 255.",
    )
    image_size: tuple[int, int] | None = setting(
        None, ImageSize(), "Height and width to bring pictures of a folder to."
    )
    image_mode: str | None = setting(None, ImageMode(), "Make pictures of a folder grey or rgb.")
    standardize: bool = setting(
        True,
        Truth(),
        "Bring columns of numbers to mean 0 and deviation 1; pixels are divided by 255.",
    )
    numbers: str = setting(
        "standard",
        Name("numbers", NUMBERS, listed=True),
        "How columns of numbers are scaled: by mean and deviation; by quartiles with a smooth clip and a mark of gaps; "
        "or so with pieces between their quantiles beside.",
    )
    scale_target: bool | None = setting(
        None,
        Truth(),
        "Standardise the target of a regression; by default where the output is identity.",
    )
    clamp_target: bool | None = setting(
        None,
        Truth(),
        "Keep predictions of a regression within the targets of training; by default of several --members.",
    )
    test_fraction: float = setting(
        0.2, Number(high=1.0), "Share of the rows to score the final model on."
    )
    validation_fraction: float = setting(
        0.1, Number(high=1.0), "Share of the rest to score each epoch on."
    )
    class_weight: str | Mapping[str, float] | None = setting(
        None, ClassWeight(), "Weights of the classes."
    )

    def __post_init__(self) -> None:
        for name in ("target", "drop", "numeric", "text", "keep", "date"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, ())
        check_settings(self)
        check_columns(self)
        ways = {
            "split": self.is_by_time,
            "group": self.group is not None,
            "folds": self.folds is not None,
        }
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise UsageError(
                f"{given[0]} and {given[1]} split the rows in two ways: give one of them."
            )
        if self.folds is not None and self.test is not None:
            raise UsageError(
                "folds and test both say which rows are the test set: give one of them."
            )

    @property
    def is_by_time(self) -> bool:
        """Whether the latest rows are held out."""
        return self.split not in (None, "random")

    @property
    def splitting(self) -> str | None:
        """The column that says which rows are held out, or which of them belong together."""
        if self.split is not None and self.is_by_time:
            return self.split.removeprefix("time:")
        return self.group if self.folds is None else self.folds

    @property
    def reading(self) -> Reading:
        """How the table is to be read; a column that splits the rows is read although it is no input."""
        from anyarray_mlp.tables import Reading

        return Reading(
            self.header,
            self.separator,
            self.decimal,
            self.missing,
            self.skip,
            self.numeric,
            self.text,
            tuple(column for column in self.drop if column != self.splitting),
            sheet=self.sheet,
            pixels=self.pixels,
            image_size=self.image_size,
            image_mode=self.image_mode,
        )


#: What cannot be said of one column at once.
CONTRARY = (
    ("drop", "numeric"),
    ("drop", "text"),
    ("drop", "keep"),
    ("drop", "date"),
    ("numeric", "text"),
)


def check_columns(table: Table) -> None:
    """Raise `UsageError` where two settings contradict each other about a column."""
    named = {name: set(getattr(table, name)) for name in ("drop", "numeric", "text", "keep")}
    named["date"] = set()
    if table.date:
        from anyarray_mlp.data.roles import told_forms

        named["date"] = set(told_forms(table.date)) - {table.splitting}
    for one, other in CONTRARY:
        for column in sorted(named[one] & named[other], key=str):
            raise UsageError(
                f"{one} and {other} both name column {shown(column)}: leave it out of one of them."
            )
