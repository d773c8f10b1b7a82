"""What a column of a table is good for: a number, categories, dates, or nothing that a network could learn from.

Each decision that a person might have wanted otherwise has a sentence (`Role.because`). Nothing is decided of arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from anyarray_mlp.checking.messages import counted, listed, shown
from anyarray_mlp.data.cells import (
    Cells,
    Places,
    as_array,
    category,
    count_texts,
    gaps_in,
    is_gap,
    is_numeric,
)
from anyarray_mlp.data.dates import AMBIGUOUS, FORMS, cell_of, form_of, forms_of_numbers
from anyarray_mlp.data.encoding import (
    Column,
    Kind,
)
from anyarray_mlp.data.inputs import (
    checked_dates,
    without_gaps,
)
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

#: As many different texts are told apart in any case.
FEW = 20
#: Of more texts, those in at least so many rows to train on are told apart, and no more than this: all countries.
COMMON_ROWS = 2
MOST_CATEGORIES = 250
#: An identifier by its name has more different values than one for so many rows.
ROWS_AN_IDENTIFIER = 10
#: Cells that are dates when all of them but this share are.
NEARLY_DATES = 0.9

#: Words by which a column says that it identifies its rows, anywhere in its name, at its end, and alone.
IDENTIFY = frozenset({"id", "ids", "uuid", "guid", "rowid", "userid", "pid", "uid"})
IDENTIFY_AT_END = IDENTIFY | {"key", "no", "nr", "rownames", "rowname"}
IDENTIFY_ALONE = IDENTIFY_AT_END | {"index", "idx", "#", "row"}
#: The same in languages that share a word: identifier, identifiant, identificador; Kundennummer, klantnummer.
IDENTIFYING = re.compile(r"identifi\w*|identific\w*|\w*nummer")
#: Words of numbers that go up by one and still tell when, or where along an axis, a row is.
MEASURE = frozenset(
    word
    for words in (
        "time t x year yr month week day date hour minute second step period quarter age",
        "epoch iteration",
    )
    for word in words.split()
)

#: What a note says of columns that no input is made of.
LEFT_OUT = "left out"
#: As many columns as a note names in full.
MOST_NAMED = 12


@dataclass(frozen=True)
class Role:
    """What becomes of a column.

    because: why, if it is to be told; it follows the column's name and a colon, or those of several.
    undo: the setting, such as "keep", that overrules it.
    """

    kind: Kind
    because: str = ""
    undo: str = "keep"
    categories: tuple[str, ...] = ()
    form: str = ""


def role_of(name: str, values: Cells, everything: Cells, date: str | None = None) -> Role:
    """What becomes of a column of a table.

    values: the rows to train on. everything: all rows in the order of the table. date: the form of dates that the
        column is said to have, "" for whichever fits; None if nobody says that it holds dates.

    Raises `DataError` if it holds no dates of that form.
    """
    if date is not None:
        return told_date(name, everything, date)
    if everything.dtype.kind == "M":
        return Role("date", form="datetime")
    return number_role(name, values, everything) if is_numeric(everything) else text_role(
        name, values, everything
    )  # fmt: skip


def number_role(name: str, values: Cells, everything: Cells) -> Role:
    """What becomes of a column of numbers."""
    numbers, whole_column = as_numbers(values), as_numbers(everything)
    known = without_gaps(numbers)
    if not known.size:
        return nothing_to_train_on(whole_column)
    if known.min() == known.max():
        if len(known) == len(numbers):
            return Role("left_out", "every row to train on has the same value")
        because = "has one value or none: becomes 1 where it is there"
        return Role("grouped", because, "drop", (category(known[0].item()),))
    if numbers_the_rows(name, whole_column):
        return Role("left_out", "numbers the rows")
    if identifies(name):
        distinct = np.unique(whole_column[~np.isnan(whole_column)])
        is_whole = bool((distinct == np.floor(distinct)).all())
        if is_whole and are_many(len(distinct), len(whole_column)):
            return Role(
                "left_out", "identifies what the rows are of, by its name and its many values"
            )
    return Role("numeric")


def nothing_to_train_on(everything: Cells) -> Role:
    """What becomes of a column without a value in the rows to train on."""
    which = "" if gaps_in(everything).all() else " to train on"
    return Role("left_out", f"no row{which} has a value", "")


def text_role(name: str, values: Cells, everything: Cells) -> Role:
    """What becomes of a column of texts."""
    counts = count_texts(values)
    if not counts:
        return nothing_to_train_on(everything)
    vocabulary = count_texts(everything)
    form = form_of(vocabulary)
    if form == AMBIGUOUS:
        return Role(
            "left_out",
            "holds dates that are d/m/y as well as m/d/y; say which with date=NAME:d/m/y or date=NAME:m/d/y",
            "",
        )
    if form is not None:
        return Role("date", form=form)
    if len(counts) == 1 and not gaps_in(values).any():
        return Role("left_out", "every row to train on has the same value")
    distinct, rows = len(vocabulary), sum(vocabulary.values())
    if are_many(distinct, rows) and identifies(name):
        return Role("left_out", "identifies what the rows are of, by its name and its many values")
    if distinct > max(FEW, rows // 2):
        return Role("left_out", f"holds texts that hardly ever recur{slips(vocabulary)}")
    if distinct <= FEW:
        return Role("categorical", categories=tuple(sorted(vocabulary)))
    return grouped_role(counts, vocabulary)


def grouped_role(counts: Mapping[str, int], vocabulary: Mapping[str, int]) -> Role:
    """Categories of many levels: those that are common in the rows to train on, and the rest as one."""
    by_count = sorted(counts, key=lambda text: (-counts[text], text))
    common = sorted(text for text in by_count[:MOST_CATEGORIES] if counts[text] >= COMMON_ROWS)
    if not common:
        return Role("left_out", "holds no text that recurs in the rows to train on")
    rest = len(vocabulary) - len(common)
    if not rest:
        return Role("categorical", categories=tuple(common))
    rows = sum(counts.values()) - sum(counts[text] for text in common)
    because = (
        f"{counted(rest, 'rare text counts', 'rare texts count')} as one category, the rest, "
        f"in {counted(rows, 'row')} to train on; {counted(len(common), 'other is', 'others are')} told apart"
    )
    return Role("grouped", because, categories=tuple(common))


def told_date(name: str, everything: Cells, date: str) -> Role:
    """The role of a column that a person says holds dates."""
    problem = f"column {shown(name)} is to be read as dates"
    if everything.dtype.kind == "M":
        return Role("date", form="datetime")
    if date:
        checked_dates(name, everything, date, Places(None))
        return Role("date", form=date)
    vocabulary = count_texts(everything)
    if not vocabulary:
        raise DataError(f"{problem}, and no row has a value: leave it out")
    if is_numeric(everything):
        forms = forms_of_numbers(as_numbers(everything))
        wrong = (
            "its numbers are no years, no days written 20240131 or in another order of digits, and no seconds, milli-, "
            "micro- or nanoseconds since 1970, all in 1973 to 2200; leave it a number, or write dates as 2024-01-31"
        )
    elif all(text.isdecimal() for text in vocabulary):
        forms = forms_of_numbers(np.array([float(text) for text in vocabulary]))
        wrong = "its digits are no days in any order; write them as 2024-01-31"
    else:
        form = form_of(vocabulary)
        forms = ["d/m/y", "m/d/y"] if form == AMBIGUOUS else [] if form is None else [form]
        wrong = "not all its texts are dates of one form; write them as 2024-01-31"
    if not forms:
        raise DataError(f"{problem}, and {wrong}")
    if len(forms) > 1:
        raise DataError(
            f"{problem}, and they are {' as well as '.join(forms)}; say which: {name}:{forms[0]}"
        )
    return Role("date", form=forms[0])


def told_forms(dates: Iterable[str]) -> dict[str, str]:
    """The form of each column named as NAME or NAME:FORM; "" for whichever fits."""
    told: dict[str, str] = {}
    for text in dates:
        name, colon, form = text.rpartition(":")
        told |= {name: form} if colon and form in FORMS else {text: ""}
    return told


def as_numbers(values: Cells) -> Host:
    """A column of numbers and gaps as float64."""
    values = as_array(values)
    if values.dtype.kind != "O":
        return values.astype(np.float64, copy=False)
    return np.array([np.nan if is_gap(value) else value for value in values], dtype=np.float64)


def are_many(distinct: int, rows: int) -> bool:
    """Whether so many different values identify rows or things, if the name says so."""
    return distinct > max(FEW, rows / ROWS_AN_IDENTIFIER)


def slips(vocabulary: Mapping[str, int]) -> str:
    """What to say of a column that holds dates but for a few texts."""
    others = [text for text in vocabulary if cell_of(text) is None]
    if not others or len(others) > (1 - NEARLY_DATES) * len(vocabulary):
        return ""
    return f" (dates, but not {listed(others)})"


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: of "customerId", "customer_id" and "Customer ID" the same two."""
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W_]+|#", parted.lower())


def identifies(name: str) -> bool:
    """Whether a column's name says that it identifies rows or what they are of.

    Nothing but the name can: whole numbers that are all different may as well be days, ranks or wavelengths.
    """
    words = words_of(name)
    if not words:
        return False
    if any(map(IDENTIFYING.fullmatch, words)):
        return True
    alone = len(words) == 1 and words[0] in IDENTIFY_ALONE
    return alone or words[-1] in IDENTIFY_AT_END or not IDENTIFY.isdisjoint(words)


def numbers_the_rows(name: str, numbers: Host) -> bool:
    """Whether a column counts the rows of the table from 0 or 1, and its name does not say that it measures."""
    if len(numbers) <= FEW or numbers[0] not in (0, 1) or numbers[1] != numbers[0] + 1:
        return False
    return bool((np.diff(numbers) == 1).all()) and MEASURE.isdisjoint(words_of(name))


def repeated_keys(columns: Iterable[tuple[str, Cells]]) -> list[tuple[str, int]]:
    """Those of some columns that identify by their name which recur, and how many values each has."""
    found = []
    for name, values in columns:
        distinct = len(count_texts(values))
        if distinct > FEW and are_many(distinct, len(values)) and len(values) >= 1.5 * distinct:
            found.append((name, distinct))
    return found


def notes_of(roles: Mapping[str, Role], fitted: Mapping[str, Column]) -> Iterator[str]:
    """A sentence for each decision, with the columns that share it, and how to overrule it."""
    shared: dict[tuple[str, str, bool], list[str]] = {}
    for name, role in roles.items():
        if role.because:
            left_out = fitted[name].kind == "left_out"
            shared.setdefault((role.because, role.undo, left_out), []).append(name)
    for (because, undo, left_out), names in shared.items():
        subject = f"column {shown(names[0])}" if len(names) == 1 else f"columns {listed(names)}"
        verdict = f"{LEFT_OUT}: " if left_out else ""
        how = f" ({undo}={names[:MOST_NAMED]})" if undo and left_out else ""
        yield f"{subject}: {verdict}{because}{how}"
