"""Dates and times: how the cells of a column are read, and which inputs they become.

A column is read in one form, which all its cells must have. Where d/m/y and m/d/y both fit every cell, the form is
ambiguous, and nobody guesses.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from anyarray_mlp.typing import Host

#: In which form the cells of a column hold a date: texts; numbers, of which a person must say so; a type of its own.
Form = Literal[
    "y-m-d", "d/m/y", "m/d/y", "named month", "year and month", "time of day",
    "yyyymmdd", "ddmmyyyy", "mmddyyyy", "yymmdd", "ddmmyy", "mmddyy",
    "seconds", "milliseconds", "microseconds", "nanoseconds", "year", "datetime",
]  # fmt: skip
FORMS: tuple[Form, ...] = get_args(Form)
TEXT_FORMS = FORMS[:6]
#: Digits alone, in the order that the form spells; of a number, zeros at the front are lost.
DIGITS = FORMS[6:12]
AMBIGUOUS = "d/m/y or m/d/y"

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FULL_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
#: The number of each month by its name.
MONTH = {name: i for names in (MONTHS, FULL_MONTHS, ("", "", "", "", "", "", "", "", "sept"))
         for i, name in enumerate(names, 1) if name}  # fmt: skip

#: Two digits of a year from 70 on are of the last century.
PIVOT = 70
EPOCH = datetime.date(1970, 1, 1).toordinal()
SECONDS_A_DAY = 86_400
MONTHS_A_YEAR = 12

WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
NAME = r"([a-z]{3,9})\.?"
DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:\s*([ap])\.?m\.?)?"
ZONE = r"\s*(?:z|utc|gmt|[+-]\d{2}:?\d{2})?"
TIME = rf"(?:(?:\s*t\s*|,?\s+){CLOCK}{ZONE})?"


def pattern(date: str) -> re.Pattern[str]:
    """A date that a time of day may follow."""
    return re.compile(rf"{WEEKDAY}{date}{TIME}", re.IGNORECASE | re.ASCII)


#: The ways in which cells are written; the numbers of a date in the order of `fields_of`.
THREE_NUMBERS = pattern(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})")
COMPACT = re.compile(
    rf"(\d{{4}})(\d{{2}})(\d{{2}})t(\d{{2}})(\d{{2}})(\d{{2}})?{ZONE}", re.I | re.A
)
DAY_NAME_YEAR = pattern(rf"{DAY}[-\s/.]*{NAME},?[-\s/.]*(\d{{4}}|\d{{2}})")
NAME_DAY_YEAR = pattern(rf"{NAME}[-\s/]*{DAY}(?:,\s*|[-\s/]+)(\d{{4}})")
YEAR_NAME_DAY = pattern(rf"(\d{{4}})[-\s/]{NAME}[-\s/]{DAY}")
NAME_YEAR = re.compile(rf"{NAME}[-,\s/]+(\d{{4}})", re.IGNORECASE | re.ASCII)
YEAR_NAME = re.compile(rf"(\d{{4}})[-\s/]{NAME}", re.IGNORECASE | re.ASCII)
YEAR_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})", re.ASCII)
CLOCK_ALONE = re.compile(rf"{CLOCK}{ZONE}", re.IGNORECASE | re.ASCII)


class Cell(NamedTuple):
    """What a cell holds: how it is written, its three numbers as they stand, and the seconds of its day."""

    written: Literal["year first", "year last", "named month", "year and month", "time of day"]
    first: int
    second: int
    third: int
    seconds: float


def cell_of(text: str) -> Cell | None:
    """The date or time in a text, before anyone knows which number is the day; None if there is none."""
    if not any(character.isdigit() for character in text):
        return None
    if found := THREE_NUMBERS.fullmatch(text):
        first, _, second, third, *clock = found.groups()
        return dated(first, second, third, seconds_of(clock))
    if found := COMPACT.fullmatch(text):
        first, second, third, hour, minute, second_ = found.groups()
        return dated(first, second, third, seconds_of((hour, minute, second_, None, None)))
    if found := DAY_NAME_YEAR.fullmatch(text):
        day, name, year, *clock = found.groups()
        return named(year, name, day, seconds_of(clock))
    if found := NAME_DAY_YEAR.fullmatch(text):
        name, day, year, *clock = found.groups()
        return named(year, name, day, seconds_of(clock))
    if found := YEAR_NAME_DAY.fullmatch(text):
        year, name, day, *clock = found.groups()
        return named(year, name, day, seconds_of(clock))
    if found := NAME_YEAR.fullmatch(text):
        return named(found[2], found[1], "1", 0.0)
    if found := YEAR_NAME.fullmatch(text):
        return named(found[1], found[2], "1", 0.0)
    if found := YEAR_MONTH.fullmatch(text):
        return Cell("year and month", int(found[1]), int(found[2]), 1, 0.0)
    if found := CLOCK_ALONE.fullmatch(text):
        seconds = seconds_of(found.groups())
        return None if seconds is None else Cell("time of day", 1970, 1, 1, seconds)
    return None


def dated(first: str, second: str, third: str, seconds: float | None) -> Cell | None:
    """A date of three numbers, one of which is a year of two or four digits."""
    if seconds is None:
        return None
    numbers = int(first), int(second), int(third)
    if len(first) == 4 and len(third) <= 2:
        return Cell("year first", *numbers, seconds)
    if len(first) <= 2 and len(third) in (2, 4):
        return Cell("year last", numbers[0], numbers[1], century(third), seconds)
    return None


def named(year: str, name: str, day: str, seconds: float | None) -> Cell | None:
    """A date whose month has its English name."""
    month = MONTH.get(name.lower())
    if month is None or seconds is None:
        return None
    return Cell("named month", century(year), month, int(day), seconds)


def century(year: str) -> int:
    """The year of two or four digits."""
    number = int(year)
    return number if len(year) > 2 else number + (1900 if number >= PIVOT else 2000)


def seconds_of(clock: Iterable[str | None]) -> float | None:
    """Seconds since midnight; None for a time that no clock shows."""
    hour, minute, second, fraction, half = clock
    if hour is None:
        return 0.0
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if minutes > 59 or seconds > 60 or hours > (12 if half else 24):
        return None
    if half:
        hours = hours % 12 + (12 if half.lower() == "p" else 0)
    return 3600.0 * hours + 60.0 * minutes + seconds + (float(f"0.{fraction}") if fraction else 0.0)


def ordinal(year: int, month: int, day: int) -> int | None:
    """Days since 1970-01-01, None for a day that no calendar has."""
    try:
        return datetime.date(year, month, day).toordinal() - EPOCH
    except (ValueError, OverflowError):
        return None


#: The order in which a form takes the three numbers of a cell as year, month and day.
ORDERS: dict[tuple[str, str], tuple[int, int, int]] = {
    ("y-m-d", "year first"): (0, 1, 2),
    ("d/m/y", "year last"): (2, 1, 0),
    ("m/d/y", "year last"): (2, 0, 1),
    ("named month", "named month"): (0, 1, 2),
    ("year and month", "year and month"): (0, 1, 2),
    ("time of day", "time of day"): (0, 1, 2),
}  # fmt: skip


def days_of(cell: Cell | None, form: str) -> float:
    """Days since 1970-01-01 with the part of the day, nan for a cell that has not this form."""
    order = None if cell is None else ORDERS.get((form, cell.written))
    if cell is None or order is None:
        return np.nan
    numbers = cell.first, cell.second, cell.third
    day = ordinal(*(numbers[place] for place in order))
    return np.nan if day is None else day + cell.seconds / SECONDS_A_DAY


def form_of(texts: Iterable[str]) -> str | None:
    """The form in which every one of some different texts is a date, `AMBIGUOUS`, or None if they are no dates."""
    cells: list[Cell] = []
    for text in texts:
        cell = cell_of(text)
        if cell is None or (cells and cell.written != cells[0].written):
            return None
        cells.append(cell)
    if not cells or are_seasons(cells):
        return None
    fitting = [
        form
        for form, written in ORDERS
        if written == cells[0].written and not any(np.isnan(days_of(cell, form)) for cell in cells)
    ]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    alike = all(days_of(cell, fitting[0]) == days_of(cell, fitting[1]) for cell in cells)
    if alike or len(cells) < MONTHS_A_YEAR:
        return fitting[0] if alike else AMBIGUOUS
    # Of a dozen dates, one day of every month, such as the first, and not only the first days of one month.
    if len({cell.first for cell in cells}) == 1:
        return "d/m/y"
    return "m/d/y" if len({cell.second for cell in cells}) == 1 else AMBIGUOUS


def are_seasons(cells: list[Cell]) -> bool:
    """Whether "2009-10", "2010-11" are years that begin in one and end in the next, and no months."""
    return all(
        cell.written == "year and month" and cell.second == (cell.first + 1) % 100 for cell in cells
    )


#: Forms of numbers by the range that they must lie in, days for one of them.
UNITS = {
    "seconds": 86_400,
    "milliseconds": 86_400e3,
    "microseconds": 86_400e6,
    "nanoseconds": 86_400e9,
}
FIRST_YEAR, LAST_YEAR = 1800, 2200


def forms_of_numbers(numbers: Host) -> list[str]:
    """The forms in which numbers that a person says are dates lie all in 1800 to 2200; of some, only the first."""
    known = numbers[~np.isnan(numbers)]
    if not known.size:
        return []
    if (known == np.floor(known)).all():
        if known.min() >= FIRST_YEAR and known.max() <= LAST_YEAR:
            return ["year"]
        fitting: list[str] = [form for form in DIGITS if are_days(known, form)]
        if fitting:
            return fitting
    # Since 1973, so that small numbers are not taken for the first seconds of 1970.
    low, high = 3 * 365.25, (LAST_YEAR - 1970) * 365.25
    for form, unit in UNITS.items():
        if low <= known.min() / unit and known.max() / unit <= high:
            return [form]
    return []


def are_days(numbers: Host, form: str) -> bool:
    """Whether whole numbers, written in digits, are all days of a form in 1800 to 2200."""
    days = days_of_numbers(np.unique(numbers), form)
    if np.isnan(days).any():
        return False
    years = part_values("year", days)
    return bool(years.min() >= FIRST_YEAR and years.max() <= LAST_YEAR)


def days_of_numbers(numbers: Host, form: str) -> Host:
    """Days since 1970-01-01 of numbers in a form, nan for those that have not this form."""
    if form in UNITS:
        return np.asarray(numbers / UNITS[form])
    days = np.full(len(numbers), np.nan)
    for row in np.flatnonzero(np.isfinite(numbers) & (numbers == np.floor(numbers))).tolist():
        number = int(numbers[row])
        found = ordinal(number, 1, 1) if form == "year" else day_of_digits(number, form)
        if found is not None:
            days[row] = found
    return days


def day_of_digits(number: int, form: str) -> int | None:
    """Days since 1970-01-01 of digits in the order that the form spells, such as ddmmyy."""
    digits = str(number).zfill(len(form))
    if form not in DIGITS or len(digits) != len(form) or number < 0:
        return None
    year, month, day = (
        "".join(digit for digit, letter in zip(digits, form, strict=True) if letter == part)
        for part in "ymd"
    )
    return ordinal(century(year), int(month), int(day))


def days_of_column(values: Host, form: str, is_gap: Callable[[Any], bool]) -> Host:
    """Days since 1970-01-01 of the cells of a column, nan for gaps and for cells that have not this form."""
    if values.dtype.kind == "M":
        days = values.astype("datetime64[us]").astype(np.float64) / (SECONDS_A_DAY * 1e6)
        return np.where(np.isnat(values), np.nan, days)
    if values.dtype.kind in "biuf":
        return days_of_numbers(values.astype(np.float64), form)
    known: dict[Any, float] = {}
    days = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if is_gap(value):
            continue
        if value not in known:
            known[value] = days_of_cell(value, form)
        days[row] = known[value]
    return days


def days_of_cell(value: Any, form: str) -> float:
    """Days since 1970-01-01 of one cell, text or number; nan if it has not this form."""
    form = "y-m-d" if form == "datetime" else form
    if isinstance(value, str) and not (form in DIGITS and value.strip().isdecimal()):
        return days_of(cell_of(value.strip()), form)
    try:
        return float(days_of_numbers(np.array([float(value)]), form)[0])
    except (TypeError, ValueError):
        return np.nan


# --- what dates become ---

#: Inputs on a circle, by the length of a turn: the first and the last lie side by side.
CYCLES = {"month": 12, "weekday": 7, "hour": 24}
#: Inputs that grow with time, which are scaled.
GROWING = ("days", "year")
PARTS = (*GROWING, *CYCLES)
#: Sines are rounded to so many decimals, so that their bits do not depend on the library.
DECIMALS = 6
DAYS_A_YEAR = 365.25


def part_values(part: str, days: Host) -> Host:
    """The values of a part of dates (n,): days since 1970, the year, the month and weekday from 0, the hour."""
    if part == "days":
        return days
    whole = np.floor(days)
    if part == "weekday":
        return np.asarray((whole + 3) % 7)
    if part == "hour":
        return np.asarray((days - whole) * 24)
    months = whole.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(months // 12 + 1970 if part == "year" else months % 12, dtype=np.float64)


def circle(part: str, values: Host) -> Host:
    """Sine and cosine (n, 2) of values on a circle."""
    angle = values * (2 * np.pi / CYCLES[part])
    return np.round(np.stack([np.sin(angle), np.cos(angle)], axis=1), DECIMALS)


def parts_of(days: Host) -> tuple[str, ...]:
    """The parts of known dates that can tell something.

    The weekday needs three weeks and more than one day of the month (monthly figures have none); the month two years,
    as else it only says once more how many days have passed; the year three; the hour three different times.
    """
    if not days.size:
        return ()
    span = float(days.max() - days.min())
    whole = np.floor(days)
    if span < 1:
        # Times of one day, or times alone.
        return ("hour",) if span > 0 else ()
    of_month = whole - whole.astype("datetime64[D]").astype("datetime64[M]").astype(
        "datetime64[D]"
    ).astype(np.float64)
    holds = {
        "days": True,
        "year": len(np.unique(part_values("year", days))) >= 3,
        "month": span >= 2 * DAYS_A_YEAR and len(np.unique(part_values("month", days))) > 2,
        "weekday": span >= 21
        and len(np.unique(of_month)) > 1
        and len(np.unique(part_values("weekday", days))) > 1,
        "hour": len(np.unique(days - whole)) >= 3,
    }
    return tuple(part for part in PARTS if holds[part])


def middle(days: Host) -> float:
    """The median of known dates, a whole day if they all are."""
    return float(np.sort(days)[(len(days) - 1) // 2])
