"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.cli.kinds import Choice, DataName, Integer, Names, PathName, Sizes, Text

if TYPE_CHECKING:
    pass

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


SIZES = Sizes()
NAMES = Names()
CELLS = Names()
CELLS.example = "the text of a cell such as -, or several separated by commas"
SEPARATOR = Text("a character such as ';', or comma, semicolon, tab, pipe or blank")
DECIMAL = Choice(".", ",")
COUNT = Integer(1)
NATURAL = Integer(0)
DEVICE = Text("cpu, cuda, cuda:N or auto")
DATA = DataName("a built-in set, a table, an .npz or a folder of images")
MODEL = PathName("a model file or a run's folder")
COLUMN = Text("the name of a column, or its place from 0")
SHEET = Text("the name of a sheet")


def backend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--device, --backend and --dtype."""
    from anyarray_mlp.backends.placement import Placement
    from anyarray_mlp.cli.sections import section_options

    return section_options(Placement, but=("reproducible", "memory"))(function)


def target_option(default: str) -> Decorator:
    """--target; `default` says what it is where it is left out."""
    return click.option(
        "--target",
        type=COLUMN,
        multiple=True,
        callback=each_once,
        help=f"Target column of a table: its name or its place; {default} by default. Again for each further one.",
    )


def each_once(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
    """Refuse a value that is given twice."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise click.BadParameter(
            f"{shown(twice)} is named twice: give it once.", context, parameter
        )
    return values


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How a table is read, where it is otherwise than the model remembers it."""
    for option in reversed(
        (
            click.option(
                "--header/--no-header",
                default=None,
                help="Whether a table's first line names columns.",
            ),
            click.option(
                "--separator", type=SEPARATOR, help="What stands between the columns of a table."
            ),
            click.option(
                "--decimal", type=DECIMAL, help="The decimal mark of a table's numbers: . or , ."
            ),
            click.option(
                "--missing",
                type=CELLS,
                help="Cells of a table that are gaps, besides the usual ones.",
            ),
            click.option("--skip", type=NATURAL, help="Lines before a table."),
            click.option("--sheet", type=SHEET, help="The sheet of a workbook."),
        )
    ):
        function = option(function)
    return function


def given_reading(remembered: Any, given: dict[str, Any]) -> Any:
    """How a table is read: as the command line says, or else as the model remembers."""
    from dataclasses import replace

    from anyarray_mlp.pipeline.table import Table

    asked = Table(**given)
    changed = {name: getattr(asked, name) for name, value in given.items() if value is not None}
    return replace(remembered, **changed)


json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, for machines."
)
