"""Blocks of lines that are plainly cut: checked with NumPy, all bytes at once, and split by the parser of pandas.

The strict parser goes through a file cell by cell. Most large files need none of that: a few passes over the bytes show
that every row has the same number of columns, that quotes open and close where they should, and that nothing else is
among the rows. A block of which that cannot be shown is left to the strict parser, which says what is wrong and where.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.dialect import Dialect
from anyarray_mlp.tables.markers import GAPS

#: Bytes of a block at least and at most; and of rows that are longer.
SMALL_BLOCK, BLOCK, LARGEST_BLOCK = 1 << 20, 4 << 20, 128 << 20
#: Bytes of a block for each column, so that of wide tables it has some rows: each column takes time in every block.
BYTES_A_COLUMN = 40
#: Columns from which on the parser of pandas is slower than that of NumPy, which knows neither gaps nor texts.
WIDE = 500
NEWLINE, RETURN, ZERO, BLANK = b"\n\r0 "
BYTE_ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")
NOTHING = frozenset(b" \t\r\n\"'")


@dataclass(frozen=True)
class Block:
    """Whole rows, all of the same width.

    data: their bytes. ends: where each row's line end is. lines: the line, from 1, on which each starts. padded: the
    columns in which a cell begins with a zero and another digit. after: how many lines of the file end with the block.
    end: where the block ends, in bytes from the first.
    """

    data: bytes
    ends: NDArray[np.int64]
    lines: NDArray[np.int64]
    padded: frozenset[int]
    after: int
    end: int = 0

    def rows(self, dialect: Dialect, encoding: str, first: int, last: int) -> list[UncutRow]:
        """A few rows."""
        starts = np.concatenate(([0], self.ends + 1))[first : last + 1].tolist()
        return [UncutRow(self.data[a:b], dialect, encoding) for a, b in pairwise(starts)]


@dataclass(frozen=True)
class UncutRow:
    """A row as it stands in the file."""

    data: bytes
    dialect: Dialect
    encoding: str

    @property
    def fields(self) -> list[str]:
        """Its cells."""
        return next(self.dialect.cut(io.StringIO(self.data.decode(self.encoding), newline="")))


def is_quick(dialect: Dialect, encoding: str) -> bool:
    """Whether lines of this kind can be checked byte by byte."""
    marks = dialect.separator + dialect.quote
    return (
        len(dialect.separator) == 1
        and dialect.separator != " "
        and not dialect.escaped
        and marks.isascii()
        and encoding in BYTE_ENCODINGS
    )


def block_size(size: int, width: int) -> int:
    """Bytes of a block of a file of some size: few of a small one, as splitting a block takes several times as many."""
    return min(BLOCK, max(SMALL_BLOCK, size // 16, BYTES_A_COLUMN * width))


def blocks(stream: BinaryIO, dialect: Dialect, width: int, skip: int, size: int) -> Iterator[Block]:
    """The rows after some lines, as long as they are plainly cut; what is left over is for the strict parser.

    size: about how many bytes to split at a time.
    """
    for _ in range(skip):
        stream.readline()
    end = stream.tell()
    done, rest = skip, b""
    while True:
        more = stream.read(max(size, len(rest)))
        data = rest + more
        if not more and data and not data.endswith(b"\n"):
            data += b"\n"
        found = block_in(data, dialect, width, done)
        if found is None and more and len(data) < LARGEST_BLOCK and b"\n" not in data:
            rest = data
            continue
        if found is None:
            return
        end += len(found.data)
        yield replace(found, end=end)
        done, rest = found.after, data[len(found.data) :]


def block_in(data: bytes, dialect: Dialect, width: int, done: int) -> Block | None:
    """The whole rows at the beginning of some bytes, after so many lines; None if they are not plainly cut."""
    raw = np.frombuffer(data, dtype=np.uint8)
    newlines = np.flatnonzero(raw == NEWLINE)
    separators = np.flatnonzero(raw == ord(dialect.separator))
    ends, quote = newlines, dialect.quote.encode()
    if quote and quote in data:
        quotes = np.flatnonzero(raw == quote[0])
        ends = outside(newlines, quotes)
        if not len(ends) or not are_sound(raw, quotes[quotes <= ends[-1]], dialect):
            return None
        separators = outside(separators, quotes)
    if not len(ends):
        return None
    size = int(ends[-1]) + 1
    data, raw = data[:size], raw[:size]
    separators = separators[separators < size]
    starts = np.concatenate(([0], ends[:-1] + 1))
    cut = np.searchsorted(separators, ends)
    returns = np.flatnonzero(raw == RETURN) if b"\r" in data else newlines[:0]
    same = (np.diff(cut, prepend=0) == width - 1).all() and (raw[returns + 1] == NEWLINE).all()
    comment = dialect.comment.encode()
    if (
        not same
        or (comment and (raw[starts] == comment[0]).any())
        or holds_nothing(data, starts, ends, dialect)
    ):
        return None
    lines = done + 1 + np.searchsorted(newlines, starts)
    after = done + int(np.searchsorted(newlines, size))
    return Block(data, ends, lines, padded(raw, starts, separators, dialect), after)


def outside(places: NDArray[np.int64], quotes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some places before which as many quotes open as close."""
    found: NDArray[np.int64] = places[np.searchsorted(quotes, places) % 2 == 0]
    return found


def are_sound(raw: NDArray[np.uint8], quotes: NDArray[np.int64], dialect: Dialect) -> bool:
    """Whether quotes open at the beginning of cells and close at their end, where those inside are doubled."""
    if len(quotes) % 2:
        return False
    edges = one_of(dialect.separator.encode() + b"\n\r")
    opening, closing = quotes[0::2], quotes[1::2]
    doubled = opening[1:] == closing[:-1] + 1
    opens = (opening == 0) | edges[raw[opening - 1]]
    closes = edges[raw[np.minimum(closing + 1, len(raw) - 1)]]
    opens[1:] |= doubled
    closes[:-1] |= doubled
    return bool(opens.all() and closes.all())


def holds_nothing(
    data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64], dialect: Dialect
) -> bool:
    """Whether a row has only separators and blanks."""
    marks = NOTHING | {ord(dialect.separator)}
    begins = one_of(marks)[np.frombuffer(data, dtype=np.uint8)[starts]]
    nothing = re.compile(b"[%s]*" % re.escape(bytes(marks)))
    rows = zip(starts[begins].tolist(), ends[begins].tolist(), strict=True)
    return any(nothing.fullmatch(data, start, end) for start, end in rows)


def padded(
    raw: NDArray[np.uint8],
    starts: NDArray[np.int64],
    separators: NDArray[np.int64],
    dialect: Dialect,
) -> frozenset[int]:
    """The columns in which a cell begins with 0 and another digit, after blanks and a quote at most."""
    skipped = bytes([BLANK]) + dialect.quote.encode()
    cells = np.concatenate((starts, separators + 1))
    places = np.flatnonzero(one_of(skipped + b"0")[raw[cells]])
    cells = cells[places]
    found = [places[:0]]
    while len(cells):
        zeros = raw[cells] == ZERO
        digits = one_of(b"0123456789")[raw[cells[zeros] + 1]]
        found.append(places[zeros][digits])
        more = one_of(skipped)[raw[cells]]
        cells, places = cells[more] + 1, places[more]
    n = len(starts)
    within = max(1, len(separators) // n)
    columns = np.concatenate(found)
    columns = np.where(columns < n, 0, (columns - n) % within + 1)
    return frozenset(np.unique(columns).tolist())


def one_of(marks: Iterable[int]) -> NDArray[np.bool_]:
    """Whether each byte is one of some marks, (256,)."""
    found = np.zeros(256, dtype=np.bool_)
    found[list(marks)] = True
    return found


@dataclass(frozen=True)
class Cut:
    """The columns of a block: the places of those of numbers, these as float64 (columns, rows), and those of texts."""

    places: list[int]
    numbers: Any
    texts: dict[int, CodedTexts]


def columns_of(block: Block, dialect: Dialect, encoding: str, kinds: Sequence[str]) -> Cut | None:
    """The columns of a block, each as its kind asks: "number", "text", or "" not at all.

    None if a column of numbers holds anything else, as far as pandas can tell.
    """
    import pandas

    numbers, texts = (
        [place for place, kind in enumerate(kinds) if kind == wanted]
        for wanted in ("number", "text")
    )
    values = all_numbers(block, dialect, numbers) if len(numbers) >= WIDE else None
    left = numbers if values is None else []
    if not left and not texts:
        return Cut(numbers, np.empty((0, len(block.ends))) if values is None else values, {})
    frame = frame_of(block, dialect, encoding, len(kinds), left, texts)
    if frame is None:
        return None
    if values is None:
        values = (frame[numbers] if texts else frame).to_numpy().T
    coded = {}
    for place in texts:
        codes, levels = pandas.factorize(frame[place].to_numpy())
        coded[place] = CodedTexts(codes, tuple(levels.tolist())).stripped()
    return None if np.isinf(values).any() else Cut(numbers, values, coded)


def frame_of(
    block: Block,
    dialect: Dialect,
    encoding: str,
    width: int,
    numbers: Sequence[int],
    texts: Sequence[int],
) -> Any:
    """Some columns of a block as a DataFrame, texts as objects; None if a column of numbers holds anything else."""
    import pandas

    read_csv: Any = pandas.read_csv  # whose types depend on its version
    # A type of each of many columns takes pandas long to look up.
    dtypes: Any = defaultdict(lambda: np.float64) if numbers else object
    if numbers:
        dtypes.update(dict.fromkeys(texts, object))
    options: dict[str, Any] = (
        {} if is_exact(pandas.__version__) else {"float_precision": "round_trip"}
    )
    wanted = sorted([*numbers, *texts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pandas.errors.DtypeWarning)
        try:
            frame = read_csv(
                io.BytesIO(block.data),
                sep=dialect.separator,
                header=None,
                names=range(width),
                usecols=wanted if len(wanted) < width else None,
                index_col=False,
                dtype=dtypes,
                na_values=sorted(GAPS),
                keep_default_na=False,
                skipinitialspace=True,
                skip_blank_lines=False,
                quotechar=dialect.quote or '"',
                quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
                encoding=encoding,
                low_memory=False,
                **options,
            )
        except (ValueError, OverflowError, pandas.errors.ParserError):
            return None
    return frame if len(frame) == len(block.ends) else None


def all_numbers(block: Block, dialect: Dialect, places: Sequence[int]) -> Any:
    """Some columns of a block, (k, n), if they have no gap and no text; else None. pandas takes some time for each."""
    try:
        values = np.loadtxt(
            io.BytesIO(block.data),
            delimiter=dialect.separator,
            quotechar=dialect.quote or None,
            comments=None,
            ndmin=2,
            usecols=places,
        )
    except ValueError:
        return None
    fits = len(values) == len(block.ends) and np.isfinite(values).all()
    return values.T if fits else None


def is_exact(version: str) -> bool:
    """Whether this pandas parses to the nearest double without being asked."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= (3, 1)
