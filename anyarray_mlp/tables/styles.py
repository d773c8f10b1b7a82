"""How people write numbers: decimal commas, digits in groups, money, percent, exponents of Fortran."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

CURRENCY = r"(?:(?:US|AU?|CA?|NZ|HK|R)?\$|[€£¥₹₽₩]|(?:USD|EUR|GBP|CHF|JPY|INR|AUD|CAD)\b)"
AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[+-]?)(?P<before>{CURRENCY})?\s*(?P<inner>\()?(?P<sign_after>[+-]?)"
    rf"(?P<digits>[\d.,](?:.*[\d.,])?)\)?\s*(?P<after>%|{CURRENCY})?\s*(?P<close>\))?"
)
GROUP_BLANKS = " '’\u2009\u202f"  # after NBSP has become a blank
TIDY = str.maketrans({"\xa0": " ", "\u2212": "-", "\ufeff": ""})


class Amount(NamedTuple):
    """The number of a cell without what stands around it, and that: a currency, % or nothing."""

    digits: str
    unit: str


@dataclass(frozen=True)
class Style:
    """One way to write a number.

    pattern: what a bare number looks like. grouping: the characters between groups of digits. point: the decimal mark.
    said: how a note names it; empty for what needs no word.
    """

    name: str
    pattern: re.Pattern[str]
    grouping: str = ""
    point: str = "."
    said: str = ""

    def number(self, cell: str) -> float | None:
        """The number that a cell holds in this style, or None."""
        digits = amount(cell).digits
        if self.pattern.fullmatch(digits) is None:
            return None
        for mark in self.grouping:
            digits = digits.replace(mark, "")
        return float(digits.replace(self.point, ".").replace("D", "e").replace("d", "e"))


def pattern(body: str) -> re.Pattern[str]:
    """A number with a sign; digits are those of ASCII."""
    return re.compile(rf"[+-]?(?:{body})", re.ASCII)


EXPONENT = r"(?:[eE][+-]?\d+)?"
#: Written so that digits match in one way only: lines of many numbers would else be tried in all ways.
PLAIN_BODY = rf"(?:\d+(?:\.\d*)?|\.\d+){EXPONENT}"
PLAIN = Style("plain", pattern(PLAIN_BODY))
COMMA = Style(
    "comma", pattern(rf"(?:\d+(?:,\d+)?|,\d+){EXPONENT}"), point=",", said="with decimal commas"
)
THOUSANDS = Style(
    "thousands",
    pattern(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?|\d+(?:\.\d*)?|\.\d+"),
    ",",
    said="with commas between thousands",
)
DOTTED = Style(
    "dotted",
    pattern(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?|,\d+"),
    ".",
    ",",
    "with dots between thousands",
)
SPACED = Style(
    "spaced",
    pattern(rf"[1-9]\d{{0,2}}(?:[{GROUP_BLANKS}]\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?"),
    GROUP_BLANKS,
    said="with blanks between thousands",
)
SPACED_COMMA = Style(
    "spaced_comma",
    pattern(rf"[1-9]\d{{0,2}}(?:[{GROUP_BLANKS}]\d{{3}})+(?:,\d+)?|\d+(?:,\d+)?"),
    GROUP_BLANKS,
    ",",
    "with blanks between thousands and decimal commas",
)
FORTRAN = Style(
    "fortran",
    pattern(rf"(?:\d+(?:\.\d*)?|\.\d+)[dD][+-]?\d+|{PLAIN_BODY}"),
    said="with exponents written D",
)
#: In the order in which they are tried: of those that fit the same number of cells the first is taken.
STYLES = (PLAIN, THOUSANDS, COMMA, SPACED, DOTTED, SPACED_COMMA, FORTRAN)
#: In a table whose other numbers have decimal commas, 1.234 has no decimals.
STYLES_OF_COMMAS = (COMMA, DOTTED, SPACED_COMMA, PLAIN, THOUSANDS, SPACED, FORTRAN)
BY_NAME = {style.name: style for style in STYLES}


@lru_cache(maxsize=1 << 16)
def amount(cell: str) -> Amount:
    """A cell without blanks, currency and percent, and with a minus for parentheses and for the sign U+2212."""
    text = cell.translate(TIDY).strip()
    found = AMOUNT.fullmatch(text)
    if found is None:
        return Amount(text, "")
    opened, closed = found["open"] or found["inner"], text.endswith(")")
    if bool(opened) != closed or (found["before"] and found["after"]):
        return Amount(text, "")
    sign = found["sign"] or found["sign_after"]
    if (found["sign"] and found["sign_after"]) or (sign and opened):
        return Amount(text, "")
    return Amount(
        ("-" if opened else sign) + found["digits"], found["before"] or found["after"] or ""
    )


def is_plain(cell: str) -> bool:
    """Whether a cell is a plain number and nothing else, as most are; what takes no look at styles."""
    return PLAIN.pattern.fullmatch(cell) is not None


def is_number(cell: str) -> bool:
    """Whether a cell is a number in some style."""
    return is_plain(cell) or has_style(cell)


@lru_cache(maxsize=1 << 16)
def has_style(cell: str) -> bool:
    """Whether a style fits a cell."""
    digits = amount(cell).digits
    return any(style.pattern.fullmatch(digits) for style in STYLES)


def fitting(cells: Iterable[tuple[str, int]], decimal_commas: bool) -> tuple[Style, int]:
    """The style that fits most of some cells, which come with how often they occur; how many it fits."""
    known = [(amount(cell).digits, times) for cell, times in cells]
    total = sum(times for _, times in known)
    found, most = PLAIN, -1
    for style in STYLES_OF_COMMAS if decimal_commas else STYLES:
        fits = sum(times for digits, times in known if style.pattern.fullmatch(digits))
        if fits > most:
            found, most = style, fits
        if most == total:
            break
    return found, most


def tells_decimal_commas(cells: Iterable[str]) -> bool:
    """Whether more of some cells can only have a decimal comma than only a decimal point."""
    commas = points = 0
    for cell in cells:
        digits = amount(cell).digits
        if ("," in digits) == ("." in digits) and "," not in digits:
            continue
        plain = any(s.pattern.fullmatch(digits) for s in (PLAIN, THOUSANDS))
        comma = any(s.pattern.fullmatch(digits) for s in (COMMA, DOTTED))
        points += plain and not comma
        commas += comma and not plain
    return commas > points
