"""The format of LIBSVM and SVMlight: a label, and the values that are not zero, each after the number of its column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import memory, shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import FREE_BYTES, MAX_EXPANSION
from anyarray_mlp.tables.formats.typed import Typed, typed_table
from anyarray_mlp.tables.layout import MAX_COLUMNS
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.source import HEAD, Source
from anyarray_mlp.tables.styles import PLAIN, PLAIN_BODY
from anyarray_mlp.tables.table import Known, Table
from anyarray_mlp.tables.text import text_file

NUMBER = rf"[+-]?{PLAIN_BODY}"
LINE = re.compile(
    rf"(?:{NUMBER}(?:,{NUMBER})*)?(?:[ \t]+qid:\d+)?(?:[ \t]+\d+:(?:{NUMBER}|[+-]?nan))*".encode(),
    re.ASCII | re.IGNORECASE,
)
CLOCK = re.compile(rb"[0-2]?\d:[0-5]\d")
SUFFIXES = (".libsvm", ".svm", ".svmlight", ".svml")
#: So many lines are looked at to tell the format.
TOLD_BY = 20
LABEL, QUERY = "label", "qid"


def is_libsvm(head: bytes, path: Path) -> bool:
    """Whether most of the first lines are labels and pairs, one of them with two, and the pairs no times of day."""
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    held = [line.partition(b"#")[0].strip() for line in lines[:TOLD_BY]]
    held = [line for line in held if line]
    if len(held) == len(lines) == 1:  # which may be longer than the head
        held = [held[0].rpartition(b" ")[0]] if len(head) >= HEAD else held
    fitting = [line for line in held if LINE.fullmatch(line)]
    pairs = [line.count(b":") for line in fitting]
    least = 1 if path.suffix.lower() in SUFFIXES else 2
    if 2 * len(fitting) < len(held) or max(pairs, default=0) < least:
        return False
    words = [word for line in fitting for word in line.split() if b":" in word]
    return least == 1 or not all(map(CLOCK.fullmatch, words))


def read_libsvm(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a file of LIBSVM, with zeros where it says nothing.

    A column has the number with which the file has it, so that it does not matter whether these begin at 0 or at 1. The
    label comes last; several labels in a row become a column of 0 and 1 for each.
    """
    notes: list[str] = []
    rows = Rows(source.path)
    for number, line in enumerate(text_file(source, notes).lines(), 1):
        rows.take(number, line)
    labels = rows.label_columns()
    first, last = min([1, *rows.columns]), max(rows.columns, default=0)
    rows.check_size(last + 1 - first, source)
    places = {column: place for place, column in enumerate(range(first, last + 1))}
    names = [f"feature_{column}" for column in places]
    extra = [*([QUERY] if rows.queries else []), *labels]
    if rows.queries:
        notes.append(
            f"column {QUERY!r} holds the queries: keep their rows together (--group {QUERY}), or leave it out "
            f"(--drop {QUERY})"
        )

    def load(wanted: list[int]) -> Iterator[NDArray[Any]]:
        dense = np.zeros((len(names), len(rows.lines)))
        dense[[places[column] for column in rows.columns], rows.of_row] = rows.values
        ends = [
            *([np.array(rows.queries, dtype=np.float64)] if rows.queries else []),
            *labels.values(),
        ]
        for place in wanted:
            yield dense[place] if place < len(names) else ends[place - len(names)]

    typed = Typed(source.path, [*names, *extra], load, np.array(rows.lines, dtype=np.int64))
    table = typed_table(typed, reading, known, notes)
    return replace(table, targets=tuple(labels), is_sparse=True)


class Rows:
    """The rows of a file: the column, the row and the value of each number that it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[int] = []
        self.labels: list[list[float]] = []
        self.queries: list[float] = []
        self.columns: list[int] = []
        self.of_row: list[int] = []
        self.values: list[float] = []

    def take(self, number: int, line: str) -> None:
        """One line; raises `DataError` for anything else than a label and pairs."""
        words = line.partition("#")[0].split()
        if not words:
            return
        row = len(self.lines)
        self.labels.append([])
        if ":" not in words[0]:
            self.labels[-1] = [self.number(each, number) for each in words.pop(0).split(",")]
        if words and words[0].startswith("qid:"):
            self.queries.append(self.number(words.pop(0)[4:], number))
        met: set[int] = set()
        for word in words:
            column, colon, value = word.partition(":")
            if not colon or not column.isdecimal() or not column.isascii() or int(column) in met:
                raise DataError(
                    f"{self.path}: line {number}: {shown(word)} is no pair of a column's number and a value, "
                    "each column once; correct it"
                )
            met.add(int(column))
            self.columns.append(int(column))
            self.of_row.append(row)
            self.values.append(self.number(value, number))
        self.lines.append(number)
        if self.queries and len(self.queries) != len(self.lines):
            raise DataError(
                f"{self.path}: line {number}: some lines have a qid and some have not; write it on all, or on none"
            )

    def number(self, text: str, line: int) -> float:
        """A number, NaN for a gap."""
        found = np.nan if text.lower() in ("nan", "+nan", "-nan") else PLAIN.number(text)
        if found is None:
            raise DataError(f"{self.path}: line {line}: {shown(text)} is no number; correct it")
        return found

    def label_columns(self) -> dict[str, NDArray[np.float64]]:
        """The labels as one column, or where rows have several or none, as one of 0 and 1 for each."""
        if not self.lines:
            raise DataError(f"{self.path}: holds no rows; give at least one row of data")
        if all(len(each) == 1 for each in self.labels):
            return {LABEL: np.array([each[0] for each in self.labels])}
        known = sorted({label for each in self.labels for label in each})
        if len(known) > MAX_COLUMNS:
            raise DataError(
                f"{self.path}: has {len(known):,} different labels, more than {MAX_COLUMNS:,}; keep fewer"
            )
        return {
            f"{LABEL}={label:g}": np.array([float(label in each) for each in self.labels])
            for label in known
        }

    def check_size(self, width: int, source: Source) -> None:
        """Raise `DataError` for a table that is too large with its zeros."""
        size, limit = 8 * width * len(self.lines), FREE_BYTES + MAX_EXPANSION * source.size
        if width > MAX_COLUMNS or size > limit:
            raise DataError(
                f"{self.path}: has {len(self.lines):,} rows of {width:,} columns, which take {memory(size)} with their "
                "zeros, more than is allowed; keep the columns that matter, or reduce them "
                "(sklearn.decomposition.TruncatedSVD)"
            )
