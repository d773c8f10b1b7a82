"""`Dialect`: what stands between cells and around them; `records` cuts lines into cells by it, strictly."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyarray_mlp.errors import DataError

#: Any number of blanks and tabs.
BLANKS = " "
#: Several tabs in a row are one.
TABS = "\t+"

Record = tuple[int, list[str]]


@dataclass(frozen=True)
class Dialect:
    """How a line is cut.

    Attributes
    ----------
    separator : a text, or `BLANKS` or `TABS`.
    quote : what stands around a cell that holds separators; empty if quotes are part of texts.
    escaped : whether a quote within a cell has a backslash before it, rather than being doubled.
    comment : what begins a line that is no row; empty if nothing does.
    """

    separator: str
    quote: str = '"'
    escaped: bool = False
    comment: str = ""

    def cut(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells of each record; `csv.Error` where a quote does not fit."""
        if self.separator == BLANKS:
            return self.cut_at_blanks(lines)
        if self.separator == TABS:
            return csv.reader(
                (re.sub(r"\t+", "\t", line) for line in lines), delimiter="\t", **self.quoting()
            )
        if len(self.separator) > 1:
            return (
                line.strip("\r\n").split(self.separator) if line.strip() else [] for line in lines
            )
        return csv.reader(lines, delimiter=self.separator, **self.quoting())

    def cut_at_blanks(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells between blanks; only a line with a quote needs the slow way."""
        for line in lines:
            if self.quote and self.quote in line:
                tidy = re.sub(r"\s+", " ", line.strip())
                yield next(csv.reader([tidy], delimiter=" ", **self.quoting()), [])
            else:
                yield line.split()

    def quoting(self) -> dict[str, Any]:
        """What `csv.reader` is told of quotes."""
        how: dict[str, Any] = {"skipinitialspace": True, "strict": True}
        if not self.quote:
            return how | {"quoting": csv.QUOTE_NONE}
        if self.escaped:
            return how | {"quotechar": self.quote, "escapechar": "\\", "doublequote": False}
        return how | {"quotechar": self.quote}


class Lines:
    """The lines of a text, and the number of the one on which a record starts.

    Lines before the table and comments are passed over, but not within a record: a cell in quotes may hold several
    lines. `before`: how many lines are before the first that is given.
    """

    def __init__(
        self, lines: Iterable[str], skip: int = 0, comment: str = "", before: int = 0
    ) -> None:
        self.lines = iter(lines)
        self.skip = skip
        self.comment = comment
        self.number = before
        self.start = self.comments = 0
        self.between = True

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        for line in self.lines:
            self.number += 1
            if self.between:
                if self.number <= self.skip:
                    continue
                if self.comment and line.startswith(self.comment):
                    self.comments += 1
                    continue
                self.between, self.start = False, self.number
            return line
        raise StopIteration


def records(lines: Lines, dialect: Dialect) -> Iterator[Record]:
    """Each record that is not blank, with the line on which it starts; `csv.Error` where a quote does not fit."""
    for fields in dialect.cut(lines):
        lines.between = True
        if len(fields) > 1 or (fields and fields[0].strip()):
            yield lines.start, fields


class QuoteError(DataError):
    """A record whose quotes do not fit; `within`: they close before the end of a cell."""

    within = False


def misquoted(path: Path, lines: Lines, error: csv.Error) -> QuoteError:
    """The error for a record whose quotes do not fit."""
    found = QuoteError(
        f"{path}: line {lines.start or lines.number}: {error}; close the quotes that open there, and double any "
        "quotes inside"
    )
    found.within = "expected after" in str(error)
    return found
