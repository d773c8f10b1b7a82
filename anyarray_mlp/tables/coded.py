"""`CodedTexts`: a column of texts as numbers, each text that occurs being kept once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.tables.markers import GAPS

GAP = -1


@dataclass(frozen=True, eq=False)
class CodedTexts:
    """Texts by their place among the different ones.

    Attributes
    ----------
    codes : (n,), integers from 0; -1 for a gap.
    levels : the different texts, of which some may occur in no row.
    """

    codes: NDArray[np.integer[Any]]
    levels: tuple[str, ...]
    #: Of the cells.
    dtype: ClassVar[np.dtype[Any]] = np.dtype(object)

    @classmethod
    def of(cls, cells: Sequence[str]) -> CodedTexts:
        """Cells without the blanks around them."""
        known: dict[str, int] = {}
        codes = {cell: code_of(cell.strip(), known) for cell in dict.fromkeys(cells)}
        return cls(np.fromiter(map(codes.__getitem__, cells), np.int32, len(cells)), tuple(known))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str | None:
        """The text of a row, None for a gap."""
        code = self.codes[row]
        return None if code == GAP else self.levels[code]

    @property
    def gaps(self) -> NDArray[np.bool_]:
        """Whether there is a gap in each row, (n,)."""
        found: NDArray[np.bool_] = self.codes == GAP
        return found

    def rows(self, kept: NDArray[Any]) -> CodedTexts:
        """Some of the rows."""
        return CodedTexts(self.codes[kept], self.levels)

    def replaced(self, known: dict[str, int]) -> NDArray[np.int32]:
        """The codes (n,) of the texts, without blanks around them, among those known, which grow by the others."""
        return self.spread([code_of(text.strip(), known) for text in self.levels], np.int32, GAP)

    def stripped(self) -> CodedTexts:
        """The same without the blanks around texts, and without those that are gaps."""
        known: dict[str, int] = {}
        codes = self.replaced(known)
        return CodedTexts(codes, tuple(known)) if tuple(known) != self.levels else self

    def spread(self, values: Sequence[Any], dtype: Any, gap: Any) -> NDArray[Any]:
        """The value (n,) of each row's text, from one for each level and one for gaps."""
        table = np.empty(len(self.levels) + 1, dtype=dtype)
        table[:-1], table[-1] = values, gap
        found: NDArray[Any] = table[self.codes]
        return found

    def texts(self) -> NDArray[Any]:
        """The texts (n,) as objects, None for gaps."""
        return self.spread(self.levels, object, None)

    def counts(self) -> dict[str, int]:
        """How many rows hold each text, those that occur."""
        times = np.bincount(self.codes + 1, minlength=len(self.levels) + 1)[1:].tolist()
        return {text: n for text, n in zip(self.levels, times, strict=True) if n}

    def tidy(self) -> CodedTexts:
        """The same texts with only the levels that occur, in the order in which they first do."""
        n = len(self)
        first = np.full(len(self.levels) + 1, n)
        first[self.codes[::-1]] = np.arange(n - 1, -1, -1)
        order = np.argsort(first[:-1], kind="stable")
        order = order[: np.count_nonzero(first[:-1] < n)]
        if np.array_equal(order, np.arange(len(self.levels))):
            return self
        places = np.full(len(self.levels) + 1, GAP, np.int32)
        places[order] = np.arange(len(order))
        return CodedTexts(places[self.codes], tuple(self.levels[place] for place in order))

    def without(self, markers: Collection[str]) -> CodedTexts:
        """The same with gaps in place of some texts."""
        if not any(text in markers for text in self.levels):
            return self
        codes = [GAP if text in markers else code for code, text in enumerate(self.levels)]
        return CodedTexts(self.spread(codes, np.int32, GAP), self.levels).tidy()


def code_of(text: str, known: dict[str, int]) -> int:
    """The code of a text, a new one for a new text."""
    return GAP if text in GAPS else known.setdefault(text, len(known))
