"""A column that says which rows are which: training, validation and test by their names, or the numbers of folds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import counted, listed, shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.data.cells import is_gap, is_number
from anyarray_mlp.data.roles import words_of
from anyarray_mlp.errors import DataError

#: What the parts are called, in any capitals.
WORDS = {
    word: part
    for part, words in {
        "training": "train training learn learning tr fit",
        "validation": "validation valid val validate dev development tune tuning publictest",
        "test": "test testing tests te eval evaluation evaluate holdout hold-out held-out heldout hold_out held_out "
        "privatetest",
    }.items()
    for word in words.split()
}
#: scikit-learn's PredefinedSplit writes this for rows that are in no test fold.
ALWAYS_TRAINING = -1


class Folds(NamedTuple):
    """Rows to train on, to validate on (maybe none) and to test on (maybe none), ascending; and how they were read."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    note: str


@with_known_options
def split_by_folds(values: Any, name: str = "fold") -> Folds:
    """Split rows by a column (n,) that says which are which.

    Words: train, validation or test, and what else these are called. True and false, or 0 and 1, of a column named
    after one part ("is_test", "is_valid", "train"): 1 is that part; if it is not the training rows, 0 is those. Whole
    numbers otherwise: folds, of which the highest is the test set and, of three or more, the next the validation set;
    -1 is in the training rows.

    Raises `DataError` for a missing or another value, and if no rows are left to train on.
    """
    cells = list(np.asarray(values, dtype=object))
    for row, cell in enumerate(cells):
        if is_gap(cell):
            raise DataError(
                f"column {shown(name)} does not say in which part row {row} (from 0) is; fill it in"
            )
    if all(is_number(cell) or isinstance(cell, np.bool_) for cell in cells):
        parts, how = parts_by_number([float(cell) for cell in cells], name)
    else:
        parts, how = parts_by_word([str(cell) for cell in cells], name)
    found = np.array(parts)
    rows = {part: np.flatnonzero(found == part) for part in ("training", "validation", "test")}
    if not len(rows["training"]):
        raise DataError(f"column {shown(name)} leaves no rows to train on: {how}")
    if len(rows["training"]) == len(found):
        raise DataError(f"column {shown(name)} holds out no rows: {how}")
    sizes = ", ".join(f"{counted(len(at), 'row')} for {part}" for part, at in rows.items())
    note = f"column {shown(name)} says which rows are which: {how}; {sizes}"
    return Folds(rows["training"], rows["validation"], rows["test"], note)


def parts_by_word(words: list[str], name: str) -> tuple[list[str], str]:
    """The part of each row by its name; truths written out count as 1 and 0."""
    plain = [word.strip().lower() for word in words]
    if set(plain) <= {"true", "false", "yes", "no"}:
        return parts_by_number([float(word in ("true", "yes")) for word in plain], name)
    strange = [word for word, key in zip(words, plain, strict=True) if key not in WORDS]
    if strange:
        raise DataError(
            f"column {shown(name)} holds {listed(dict.fromkeys(strange))}; it must say train, validation or test, or "
            "the number of a fold, in each row"
        )
    called = {part: [word for word in dict.fromkeys(words) if WORDS[word.strip().lower()] == part]
              for part in dict.fromkeys(WORDS[key] for key in plain)}  # fmt: skip
    how = ", ".join(f"{listed(own)} is {part}" for part, own in called.items())
    return [WORDS[key] for key in plain], how


def parts_by_number(numbers: list[float], name: str) -> tuple[list[str], str]:
    """The part of each row by the number of its fold."""
    folds = sorted(set(numbers))
    if any(fold != int(fold) for fold in folds):
        raise DataError(
            f"column {shown(name)} holds {folds[0]:g} and other fractions; folds are whole numbers"
        )
    named = next((WORDS[word] for word in words_of(name) if word in WORDS), None)
    if set(folds) <= {0, 1} and named is not None:
        other = "test" if named == "training" else "training"
        return [named if number else other for number in numbers], f"1 is {named}, 0 is {other}"
    counting = [fold for fold in folds if fold != ALWAYS_TRAINING]
    if not counting or len(folds) < 2:
        raise DataError(
            f"column {shown(name)} holds {folds[0]:g} in every row; it must tell at least two folds apart"
        )
    test = counting[-1]
    validation = counting[-2] if len(counting) > 2 else None
    parts = [
        "test" if number == test else "validation" if number == validation else "training"
        for number in numbers
    ]
    also = "" if validation is None else f", fold {validation:g} is validation"
    return parts, f"fold {test:g}, the highest, is test{also}, all others are training"
