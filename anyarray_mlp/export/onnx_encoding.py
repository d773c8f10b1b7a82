"""The columns of a table as inputs of a network, in operations of ONNX."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.data.dates import CYCLES, DECIMALS, DIGITS, PIVOT, UNITS
from anyarray_mlp.data.encoding import Column, Part
from anyarray_mlp.data.pieces import BOUND, FAR
from anyarray_mlp.errors import UsageError
from anyarray_mlp.export.contents import Contents, as_unit
from anyarray_mlp.export.onnx_graph import Graph, real
from anyarray_mlp.training.saving import PIXEL_SCALE
from anyarray_mlp.typing import Host

#: The input of pixels, and that of columns that are all numbers.
PIXELS, FEATURES = "pixels", "features"
#: Kinds of columns that are numbers; of dates the days since 1970-01-01, or the number that the table has.
OF_NUMBERS = ("numeric", "robust", "date")


def inputs_of(graph: Graph, contents: Contents) -> tuple[list[Any], list[str]]:
    """The inputs of the file, and the name of each column's, if each has one.

    One input (n, columns) if all columns are numbers, or pixels; else one for each column, by its name.
    """
    onnx, columns = graph.onnx, contents.columns
    info, kinds = onnx.helper.make_tensor_value_info, onnx.TensorProto
    if contents.preprocessor.pixels:
        return [info(PIXELS, kinds.UINT8, ["n", len(columns)])], []
    if all(column.kind in OF_NUMBERS for column in columns):
        return [info(FEATURES, kinds.DOUBLE, ["n", len(columns)])], []
    names = [column.name for column in columns]
    twice = next((name for name in names if not name or names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"ONNX knows columns by their names, and {shown(twice)} is empty or there twice: name each otherwise."
        )
    found = [
        info(column.name, kinds.STRING if column.categories else kinds.DOUBLE, ["n", 1])
        for column in columns
    ]
    return found, names


def taken(graph: Graph, names: list[str], start: int, count: int, total: int) -> str:
    """Columns side by side, (n, count), of all columns."""
    if not names:
        if count == total:
            return FEATURES
        return graph.add("Gather", FEATURES, np.arange(start, start + count), axis=1)
    if count == 1:
        return names[start]
    return graph.add("Concat", *names[start : start + count], axis=1)


def encoded(graph: Graph, contents: Contents, names: list[str]) -> str:
    """The inputs (n, i) of the network."""
    if contents.preprocessor.pixels:
        scale = real(contents, as_unit(PIXEL_SCALE, contents.dtype))
        return graph.add("Mul", graph.cast(PIXELS, contents.dtype), scale)
    parts: list[str] = []
    place, total = 0, len(contents.columns)
    for scaled, group in groupby(contents.columns, lambda column: column.kind == "numeric"):
        run = list(group)
        if scaled:
            values = taken(graph, names, place, len(run), total)
            parts.append(scaled_numbers(graph, run, values))
            place += len(run)
            continue
        for column in run:
            parts += encoded_column(graph, column, taken(graph, names, place, 1, total))
            place += 1
    whole = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return whole if contents.dtype == "float64" else graph.cast(whole, contents.dtype)


def scaled_numbers(graph: Graph, columns: list[Column], values: str) -> str:
    """Columns of numbers (n, k): gaps filled, then (value - mean) / scale."""
    moments = [
        (np.nan if column.median is None else column.median, column.mean, column.scale)
        for column in columns
    ]
    medians, means, scales = np.array(moments).T[:, None, :]
    filled = graph.add("Where", graph.add("IsNaN", values), medians, values)
    return graph.add("Div", graph.add("Sub", filled, means), scales)


def encoded_column(graph: Graph, column: Column, values: str) -> list[str]:
    """What a column (n, 1) of another kind becomes, each (n, ...) of float64."""
    if column.categories:
        return categories(graph, column, values)
    if column.kind == "date":
        values = of_form(graph, column.form, values)
    gaps = graph.add("IsNaN", values)
    middle = column.mean if column.median is None else column.median
    filled = graph.add("Where", gaps, np.float64(middle), values)
    if column.kind == "robust":
        parts = robust(graph, column, filled)
    else:
        parts = [each for part in column.parts for each in date_part(graph, part, filled, gaps)]
    return [*parts, graph.cast(gaps, float)] if column.marks_gaps else parts


def categories(graph: Graph, column: Column, texts: str) -> list[str]:
    """Texts (n, 1) as columns of 0 and 1, or as one number; an empty text is a gap."""
    codes = {text: place for place, text in enumerate(column.categories)}
    # A whole number is often written 3.0.
    others = {f"{text}.0": place for text, place in codes.items() if text.lstrip("-").isdecimal()}
    codes = {"": -1, **others, **codes}
    place = graph.add(
        "LabelEncoder",
        texts,
        domain="ai.onnx.ml",
        keys_strings=list(codes),
        values_int64s=list(codes.values()),
        default_int64=-1 if column.rest is None else column.rest,
    )
    if column.kind != "binary":
        return [graph.cast(graph.add("Equal", place, np.arange(column.width)[None]), float)]
    middle = column.mean if column.median is None else column.median
    is_gap = graph.add("Less", place, np.int64(0))
    filled = graph.add("Where", is_gap, np.float64(middle), graph.cast(place, float))
    return [
        graph.add(
            "Div", graph.add("Sub", filled, np.float64(column.mean)), np.float64(column.scale)
        )
    ]


def robust(graph: Graph, fitted: Column | Part, values: str) -> list[str]:
    """Numbers (n, 1) scaled and smoothly clipped, and their pieces."""
    z = graph.add(
        "Div", graph.add("Sub", values, np.float64(fitted.mean)), np.float64(fitted.scale)
    )
    z = clipped(graph, z, -FAR, FAR)
    third = graph.add("Div", z, np.float64(BOUND))
    root = graph.add("Sqrt", graph.add("Add", graph.add("Mul", third, third), np.float64(1)))
    parts = [graph.add("Div", z, root)]
    if fitted.edges:
        edges = np.array(fitted.edges)[None]
        shares = graph.add("Div", graph.add("Sub", values, edges[:, :-1]), np.diff(edges))
        parts.append(clipped(graph, shares, 0.0, 1.0))
    return parts


def clipped(graph: Graph, values: str, low: float, high: float) -> str:
    """Values of float64 within bounds."""
    return graph.add("Min", graph.add("Max", values, np.float64(low)), np.float64(high))


def of_form(graph: Graph, form: str, values: str) -> str:
    """Days since 1970-01-01 of numbers in the form that the table has; days as they are."""
    if form in UNITS:
        return graph.add("Div", values, np.float64(UNITS[form]))
    if form == "year":
        return days_before(graph, values)
    if form not in DIGITS:
        return values

    def part(letter: str) -> str:
        unit = np.float64(10 ** (len(form) - 1 - form.rindex(letter)))
        return remainder(graph, quotient(graph, values, unit), np.float64(10 ** form.count(letter)))

    year, month, day = map(part, "ymd")
    if form.count("y") == 2:
        late = graph.add("GreaterOrEqual", year, np.float64(PIVOT))
        century = graph.add("Where", late, np.float64(1900), np.float64(2000))
        year = graph.add("Add", year, century)
    before = days_before(graph, year)
    # Of the days that each month, from January on, has before the first of this one.
    past = graph.add("Greater", month, np.arange(1.0, 12.0)[None])
    days = graph.add("Where", past, lengths(graph, year), np.float64(0))
    within = graph.add("ReduceSum", days, np.array([1]), keepdims=1)
    return graph.add("Add", graph.add("Add", before, within), graph.add("Sub", day, np.float64(1)))


def quotient(graph: Graph, values: str, unit: Host | np.float64) -> str:
    """The whole part of values over a unit."""
    return graph.add("Floor", graph.add("Div", values, unit))


def remainder(graph: Graph, values: str, unit: Host | np.float64) -> str:
    """What is left of values over whole units."""
    return graph.add("Sub", values, graph.add("Mul", quotient(graph, values, unit), unit))


def days_before(graph: Graph, year: str) -> str:
    """Days from 1970-01-01 to the first day of a year."""
    past = graph.add("Sub", year, np.float64(1))
    fours, hundreds, more = (quotient(graph, past, np.float64(span)) for span in (4, 100, 400))
    leaps = graph.add("Add", graph.add("Sub", fours, hundreds), more)
    years = graph.add("Mul", graph.add("Sub", year, np.float64(1970)), np.float64(365))
    return graph.add("Add", years, graph.add("Sub", leaps, np.float64(477)))


def lengths(graph: Graph, year: str) -> str:
    """The days (n, 11) of the months from January to November of a year."""
    after = days_before(graph, graph.add("Add", year, np.float64(1)))
    leap = graph.add("Sub", graph.add("Sub", after, days_before(graph, year)), np.float64(365))
    february = np.eye(11)[1][None]
    plain = np.array([[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30]], np.float64)
    return graph.add("Add", graph.add("Mul", leap, february), plain)


def year_of(graph: Graph, day: str) -> str:
    """The year of whole days since 1970-01-01."""
    year = graph.add("Add", quotient(graph, day, np.float64(365.2425)), np.float64(1970))
    # The mean length of a year is off by less than one.
    early = graph.cast(graph.add("Greater", days_before(graph, year), day), float)
    year = graph.add("Sub", year, early)
    following = graph.add("Add", year, np.float64(1))
    late = graph.cast(graph.add("LessOrEqual", days_before(graph, following), day), float)
    return graph.add("Add", year, late)


def month_of(graph: Graph, day: str) -> str:
    """The month, from 0, of whole days since 1970-01-01: how many months have ended by then."""
    year = year_of(graph, day)
    within = graph.add("Sub", day, days_before(graph, year))
    ends = graph.add("CumSum", lengths(graph, year), np.array(1))
    ended = graph.cast(graph.add("GreaterOrEqual", within, ends), float)
    return graph.add("ReduceSum", ended, np.array([1]), keepdims=1)


def date_part(graph: Graph, part: Part, days: str, gaps: str) -> list[str]:
    """What a part of a date becomes."""
    day = days if part.name == "days" else graph.add("Floor", days)
    if part.name == "year":
        values = year_of(graph, day)
    elif part.name == "month":
        values = month_of(graph, day)
    elif part.name == "weekday":
        values = remainder(graph, graph.add("Add", day, np.float64(3)), np.float64(7))
    elif part.name == "hour":
        values = graph.add("Mul", graph.add("Sub", days, day), np.float64(24))
    else:
        values = days
    if part.name in CYCLES:
        return circle(graph, values, CYCLES[part.name], gaps)
    if part.edges is not None:
        return robust(graph, part, values)
    return [
        graph.add("Div", graph.add("Sub", values, np.float64(part.mean)), np.float64(part.scale))
    ]


def circle(graph: Graph, values: str, steps: int, gaps: str) -> list[str]:
    """Sine and cosine of values on a circle, rounded, and 0 for a gap."""
    angle = graph.add("Mul", values, np.float64(2 * np.pi / steps))
    # Runtimes have a sine of float64, and not all a cosine.
    turned = graph.add("Add", angle, np.float64(np.pi / 2))
    ten = np.float64(10.0**DECIMALS)
    rounded = (
        graph.add("Div", graph.add("Round", graph.add("Mul", graph.add("Sin", each), ten)), ten)
        for each in (angle, turned)
    )
    return [graph.add("Where", gaps, np.float64(0), each) for each in rounded]
