"""Tables whose columns are the pixels of pictures, or in which a column of texts lists them.

In a picture, a pixel resembles the next one, and the one below it more than one half a row further. Whole numbers
from 0 to 255 that do, or whose columns are named as pixels are, are taken for a picture; what is beside them may be
the target.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.data.cells import as_array
from anyarray_mlp.data.inputs import PIXEL_LEVELS
from anyarray_mlp.data.roles import identifies, numbers_the_rows
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import Table
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.table import Column
from anyarray_mlp.typing import Host

#: A picture without names that say so has at least so many pixels, and its brightest ones are near to white.
FEWEST_PIXELS = 64
BRIGHT = 240
#: At most so many columns stand beside the pixels of a picture that is known by its numbers alone.
MOST_OTHERS = 3
#: How much nearer than others neighbours are in a picture, of rows that are looked at.
NEARER = 0.8
#: An order of pixels by multiples of the golden ratio is as good as a random one.
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
#: How much more a column beside a picture must differ from the pixel next to it than pixels at its edge do.
CLEARLY = 1.5
LOOKED_AT = 256
#: pixel0, pixel_0_0, px12; 1x1.
PIXEL_NAME = re.compile(r"(?:pixels?|pix|px)[ _.\-]*[0-9]+(?:[ _.\-x]+[0-9]+){0,2}", re.IGNORECASE)
GRID_NAME = re.compile(r"[0-9]+x[0-9]+", re.IGNORECASE)
NUMBERED = re.compile(r"([^0-9]+?)[0-9]{1,6}")
UNNAMED = re.compile(r"column_[0-9]+|[0-9.]+")
#: Names of columns that hold the class of a picture.
LABEL_NAMES = frozenset(
    name
    for names in (
        "label labels class classes target y digit digits letter letters emotion",
        "category character symbol number",
    )
    for name in names.split()
)
#: Between numbers that a text lists; written so that blanks match in one way only.
BETWEEN = r"(?:\s*[,;]\s*|\s+)"
#: A text that lists whole numbers, and as many as there must be.
LIST = re.compile(rf"\s*[\[(]?\s*[0-9]{{1,3}}(?:{BETWEEN}[0-9]{{1,3}})*\s*[\])]?\s*")
NUMBERS = re.compile(rf"\s*[\[(]?\s*[-+0-9.eE]+(?:{BETWEEN}[-+0-9.eE]+){{3,}}\s*[\])]?\s*")
FEWEST_LISTED = 16
#: Where so many of the cells are lists, another one is a mistake.
NEARLY_ALL = 0.9
NO_MARKS = str.maketrans(",;[]()", "      ")


@dataclass(frozen=True)
class Found:
    """The pixels of a table.

    columns: that hold one each, in their order, or the one whose texts list them. shape: of the pictures, if it is
    known. are_bytes: whether they are whole numbers of 0 to 255; what else is called a pixel stays a number.
    others: the columns beside them.
    """

    columns: tuple[str, ...]
    shape: tuple[int, ...] | None
    are_bytes: bool
    others: tuple[str, ...]
    is_listed: bool = False

    @property
    def said(self) -> str:
        """The pixels in words."""
        if self.is_listed:
            return f"column {shown(self.columns[0])} lists"
        return f"columns {shown(self.columns[0])} to {shown(self.columns[-1])} are"

    def targets(self, path: Path) -> list[str]:
        """The column that holds the classes; raises `DataError` if it cannot be told."""
        named = [name for name in self.others if name.lower() in LABEL_NAMES]
        if len(self.others) == 1 or len(named) == 1:
            return named or list(self.others)
        beside = (
            f"columns {listed(self.others)} are beside them"
            if self.others
            else "there is no column beside them"
        )
        raise DataError(
            f"{path}: {self.said} the pixels of pictures, and {beside}; name the target, or take the pixels as other "
            "numbers with pixels=False"
        )


def find_pixels(
    table: Table, besides: Iterable[str], asked: bool | None, texts: Iterable[str] = ()
) -> Found | None:
    """The pixels of a table, if it is one of pictures; `besides`: columns that are none, `texts`: nor lists of them."""
    if asked is False:
        return None
    besides = set(besides)
    columns = {name: column for name, column in table.by_name.items() if name not in besides}
    found = (
        listed_in(columns, set(texts))
        or named_in(columns)
        or resembling_in(columns)
        or numbered_in(columns)
    )
    if found is None and asked:
        found = told_in(columns)
    if found is None:
        return None
    columns_of_pixels = set(found.columns)
    others = [
        name
        for name, column in columns.items()
        if name not in columns_of_pixels and not is_counting(name, column)
    ]
    return Found(found.columns, found.shape, found.are_bytes, tuple(others), found.is_listed)


def is_counting(name: str, column: Column) -> bool:
    """Whether a column numbers or identifies the rows, so that it is no target."""
    return identifies(name) or (
        column.dtype.kind == "f" and numbers_the_rows(name, as_array(column))
    )


def listed_in(columns: dict[str, Column], texts: set[str]) -> Found | None:
    """The first column whose texts list pixels: nearly all of them as many, none above 255."""
    for name, column in columns.items():
        cells = [] if name in texts else some_texts(column)
        if not cells:
            continue
        sizes = Counter(map(size_of_list, cells))
        size, alike = sizes.most_common(1)[0]
        if size >= FEWEST_LISTED and alike >= NEARLY_ALL * sizes.total():
            return Found((name,), shape_of(size), True, (), is_listed=True)
    return None


def size_of_list(cell: Any) -> int:
    """How many pixels a text lists; 0 for one that does not."""
    if not isinstance(cell, str) or not LIST.fullmatch(cell):
        return 0
    numbers = cell.translate(NO_MARKS).split()
    return len(numbers) if max(map(int, numbers)) <= PIXEL_LEVELS else 0


def lists_of_numbers(columns: dict[str, Column]) -> list[str]:
    """The columns whose first texts list numbers."""
    return [
        name
        for name, column in columns.items()
        if (cells := some_texts(column)[:10])
        and all(isinstance(cell, str) and NUMBERS.fullmatch(cell) for cell in cells)
    ]


def pixels_listed(column: Host, name: str, lines: Sequence[int], path: Path) -> Host:
    """The pictures (n, i) in a column of texts that list their pixels; `DataError` for one that does not."""
    rows = []
    width = 0
    for row, cell in enumerate(column):
        place = f"{path}: line {lines[row]}, column {shown(name)}"
        if cell is None or not LIST.fullmatch(cell):
            raise DataError(
                f"{place}: {shown(cell)} is no list of pixels, which are whole numbers from 0 to 255; correct it, or "
                f"leave the row out; text=['{name}'] takes the column as texts"
            )
        numbers = np.fromstring(cell.translate(NO_MARKS), dtype=np.int64, sep=" ")
        width = width or len(numbers)
        if len(numbers) != width or numbers.max() > PIXEL_LEVELS:
            wrong = (
                f"lists {len(numbers):,} pixels, and the first row {width:,}"
                if len(numbers) != width
                else f"{numbers.max()} is no pixel, which are whole numbers from 0 to 255"
            )
            raise DataError(
                f"{place}: {wrong}; correct it, or leave the row out; text=['{name}'] takes the column as texts"
            )
        rows.append(numbers.astype(np.uint8))
    return np.stack(rows)


def named_in(columns: dict[str, Column]) -> Found | None:
    """The columns that are named as pixels are."""
    for pattern in (PIXEL_NAME, GRID_NAME):
        names = [name for name in columns if pattern.fullmatch(name)]
        if len(names) >= FEWEST_LISTED and all(columns[name].dtype.kind == "f" for name in names):
            brightest, are_bytes = 0.0, True
            for name in names:
                whole, most = bytes_in(columns[name])
                are_bytes, brightest = are_bytes and whole, max(brightest, most)
            return Found(
                tuple(names), grid(names) or shape_of(len(names)), are_bytes and brightest >= BRIGHT, ()
            )  # fmt: skip
    return None


def told_in(columns: dict[str, Column]) -> Found | None:
    """Every column of whole numbers from 0 to 255 but the last, or one that is named as a label is."""
    whole = [name for name, column in columns.items() if bytes_in(column)[0]]
    named = [name for name in columns if name.lower() in LABEL_NAMES]
    aside = named[0] if len(named) == 1 else list(columns)[-1]
    pixels = tuple(name for name in whole if name != aside)
    return Found(pixels, shape_of(len(pixels)), True, ()) if pixels else None


def numbered_in(columns: dict[str, Column]) -> Found | None:
    """The columns of one name and consecutive numbers, p1, p2, ..., where one beside them is named as a label is.

    They may be pixels or not: what matters is that none of them is the target.
    """
    named = [name for name in columns if name.lower() in LABEL_NAMES]
    series: dict[str, list[str]] = {}
    for name, column in columns.items():
        match = NUMBERED.fullmatch(name)
        if match and column.dtype.kind == "f":
            series.setdefault(match[1], []).append(name)
    names = max(series.values(), key=len, default=[])
    numbers = [int(name[len(NUMBERED.fullmatch(name)[1]) :]) for name in names]  # type: ignore[index]
    in_order = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
    if len(named) != 1 or len(names) < FEWEST_LISTED or not in_order:
        return None
    return Found(tuple(names), None, False, ())


def resembling_in(columns: dict[str, Column]) -> Found | None:
    """A run of columns whose numbers make pictures."""
    if len(columns) < FEWEST_PIXELS:
        return None
    numbers = [name for name in columns if name.lower() not in LABEL_NAMES]
    bytes_, units = (
        [name for name in numbers if holds(columns[name])] for holds in (is_bytes, is_unit)
    )
    return run_in(columns, bytes_) or run_in(columns, units)


def run_in(columns: dict[str, Column], names: list[str]) -> Found | None:
    """The run of some columns that makes pictures."""
    shapes = shapes_near(len(names))
    if not shapes:
        return None
    order = {name: place for place, name in enumerate(columns)}
    values = np.stack([sampled(as_array(columns[name])) for name in names], axis=1)
    varies = values.min(axis=0) < values.max(axis=0)
    cuts: list[tuple[float, int, int, tuple[int, ...]]] = []
    for count, shape in shapes:
        found = []
        for start in range(len(names) - count + 1):
            end = start + count
            together = order[names[end - 1]] - order[names[start]] == count - 1
            beside = varies[:start].any() or varies[end:].any() or count == len(names)
            if together and beside:
                found.append((start, end))
        if any(makes_pictures(values[:, start:end], shape) for start, end in found):
            cuts += [(edges(values[:, a:b], shape), a, b, shape) for a, b in found]
    if not cuts:
        return None
    cuts.sort()
    edge, start, end, shape = cuts[0]
    if len(cuts) > 1 and cuts[1][0] <= CLEARLY * edge:
        # Nothing says which column is beside the pixels.
        return Found(tuple(names), None, False, ())
    bright = float(values[:, start:end].max()) >= BRIGHT
    return Found(tuple(names[start:end]), shape, bright, ())


def makes_pictures(values: Host, shape: tuple[int, ...]) -> bool:
    """Whether rows (n, i) are pictures of a shape, by the likeness of neighbours."""
    height, width = shape[:2]
    depth = shape[2] if len(shape) > 2 else 1
    image = values.reshape(-1, height, width, depth)
    # Multiples of the golden ratio, sorted: an order in which no neighbours meet.
    order = np.argsort(np.arange(values.shape[1]) * GOLDEN % 1.0)
    apart = abs(values - values[:, order]).mean()
    beside = abs(np.diff(image, axis=2)).mean()
    below = abs(np.diff(image, axis=1)).mean()
    # A line of numbers, as of a curve, is cut anywhere: there the half row is nearer.
    half = (width // 2) * depth
    halfway = abs(values[:, half:] - values[:, :-half]).mean()
    return bool(beside < NEARER * apart and below < NEARER * apart and below < halfway)


def edges(values: Host, shape: tuple[int, ...]) -> float:
    """How little the first and the last pixel resemble their neighbours."""
    depth = shape[2] if len(shape) > 2 else 1
    first = abs(values[:, 0] - values[:, depth]).mean()
    last = abs(values[:, -1] - values[:, -1 - depth]).mean()
    return float(first + last)


def some_texts(column: Column) -> Sequence[Any]:
    """Some cells of a column of texts, or of its different ones; none of a column of anything else."""
    if isinstance(column, CodedTexts):
        return column.levels[:LOOKED_AT]
    if column.dtype.kind != "O":
        return ()
    cells: list[Any] = sampled(column).tolist()
    return cells


def sampled(column: Host) -> Host:
    """Some rows, from all over a column."""
    return column[:: max(1, math.ceil(len(column) / LOOKED_AT))]


def bytes_in(column: Column) -> tuple[bool, float]:
    """Whether a column holds whole numbers from 0 to 255 and no gap, and the largest."""
    if isinstance(column, CodedTexts) or column.dtype.kind != "f" or not len(column):
        return False, 0.0
    low, high = float(column.min()), float(column.max())
    whole = low >= 0 and high <= PIXEL_LEVELS and bool((column == np.floor(column)).all())
    return whole, high


def is_bytes(column: Column) -> bool:
    """Whether a column holds whole numbers from 0 to 255 and no gap."""
    return bytes_in(column)[0]


def is_unit(column: Column) -> bool:
    """Whether a column holds numbers from -1 to 1 and no gap, as pixels that were divided."""
    if isinstance(column, CodedTexts) or column.dtype.kind != "f" or not len(column):
        return False
    return bool((abs(column) <= 1).all())


def shape_of(count: int) -> tuple[int, ...] | None:
    """Height and width of a square picture of so many numbers, in grey or else in three colours."""
    side = math.isqrt(count)
    if side * side == count:
        return side, side
    side = math.isqrt(count // 3)
    return (side, side, 3) if 3 * side * side == count else None


def shapes_near(count: int) -> list[tuple[int, tuple[int, ...]]]:
    """The numbers of pixels that a square picture may have which leaves few of so many columns over."""
    near = range(max(FEWEST_PIXELS, count - MOST_OTHERS), count + 1)
    return [(size, shape) for size in near if (shape := shape_of(size)) is not None]


def grid(names: Sequence[str]) -> tuple[int, ...] | None:
    """Height and width that names such as 1x1, 1x2, ..., or pixel_0_0, ... count up to, row by row."""
    places = [tuple(map(int, re.findall("[0-9]+", name))) for name in names]
    if any(len(place) != 2 for place in places) or places != sorted(places):
        return None
    rows, columns = ({place[axis] for place in places} for axis in (0, 1))
    return (len(rows), len(columns)) if len(rows) * len(columns) == len(places) else None


def is_label(name: str) -> bool:
    """Whether a column of whole numbers beside pixels holds classes, by its name or for want of one."""
    return name.lower() in LABEL_NAMES or UNNAMED.fullmatch(name) is not None
