"""Rules about the inputs: what is in their columns."""

from __future__ import annotations

from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, Found, rule
from anyarray_mlp.diagnosis.symptoms import listed


@rule("the data contain NaN or infinity", order=10, severity="error", explains=(TRAINING,))
def non_finite_data(run: RunRecord) -> Found | None:
    """NaN or infinity in inputs or targets."""
    if not run.data.non_finite:
        return None
    return Found(
        f"{run.data.non_finite} entries of inputs or targets are NaN or infinite",
        "Drop those rows, or fill them with the column's mean or median",
    )


@rule("a placeholder for 'unknown' is treated as a number", order=30, explains=(TRAINING,))
def sentinel_values(run: RunRecord) -> Found | None:
    """Columns with a placeholder like -999 among the numbers."""
    found = run.data.sentinels
    if not found:
        return None
    # A value that most rows have is the usual one, and none that stands for "unknown".
    found = tuple(each for each in found if each[2] <= 0.5 and run.names.is_whole(*each[:2]))
    if not found:
        return None
    texts = [
        f"column {run.names.column(column)} is {run.names.value(column, value)} in {share:.1%} of the rows"
        for column, value, share in found
    ]
    return Found(
        f"{'; '.join(texts)}, far outside the range of the other values, which it squeezes together",
        "If it stands for 'unknown', treat it as missing and fill it with the column's mean or median",
        changes=({"numbers": "robust"},),
    )


@rule("single cells lie far from all others", order=35, explains=(TRAINING,))
def input_outliers(run: RunRecord) -> Found | None:
    """A few cells so far out that scaling squeezes all others together."""
    found = run.data.outliers
    if not found:
        return None
    texts = [
        f"{'a cell' if cells == 1 else f'{cells} cells'} of column {run.names.column(column)} (up to "
        f"{run.names.value(column, value)})"
        for column, value, cells in found
    ]
    return Found(
        f"{listed(texts, len(texts))}: more than ten times the range of all other rows away from them, which "
        "squeezes these together",
        "Look at the rows, and fix the cells or drop them",
        changes=({"numbers": "robust"}, {"numbers": "pieces"}),
    )


@rule("a column has two units", order=36, severity="warning", explains=(TRAINING,))
def mixed_units(run: RunRecord) -> Found | None:
    """Values in two units, with nothing between them."""
    found = run.data.units
    if not found:
        return None
    texts = [
        f"column {run.names.column(column)}: {share:.0%} of the rows are about {float(f'{factor:.2g}'):,g} times as "
        "large or as small as the others"
        for column, share, factor in found
    ]
    return Found(
        f"{listed(texts, len(texts))}, with nothing between",
        "Bring all rows to one unit",
        changes=({"numbers": "robust"}, {"numbers": "pieces"}),
    )


@rule("a column of codes is read as a number", order=45, explains=(TRAINING,))
def codes_as_numbers(run: RunRecord) -> Found | None:
    """Numbers that are names: each value has its own level of the target, and its neighbours another."""
    found, repeats = run.data.codes, run.outcome.repeats
    # Rows that are there twice tell each other's targets by any column.
    if not found or (repeats is not None and repeats.among_training > 0.1):
        return None
    texts = [
        f"column {run.names.column(column)}, with {number} values: each value by itself tells R² {own:.2f} of the "
        f"target, the values beside it {max(beside, 0.0):.2f}"
        for column, own, beside, number in found
    ]
    columns = tuple(run.names.plain(column) for column, *_ in found)
    return Found(
        listed(texts, len(texts)),
        "Read it as text, a category for each value (in a DataFrame, as a column of texts)",
        changes=({"text": columns},),
    )


@rule("a column is mostly missing", order=325, severity="warning")
def mostly_missing(run: RunRecord) -> Found | None:
    """Columns of which most rows have a value that was filled in."""
    found = run.data.filled
    if not found:
        return None
    texts = [
        f"column {run.names.column(column)} has one value amid the others in {share:.0%} of the rows"
        for column, share in found
    ]
    columns = tuple(run.names.plain(column) for column, _ in found)
    return Found(
        f"{listed(texts, len(texts))}, as gaps have that were filled",
        "Find the values, or drop the column if it adds nothing",
        changes=({"numbers": "robust"}, {"drop": columns}),
    )


@rule(
    "the inputs only name the rows",
    order=52,
    severity="error",
    explains=(TRAINING, "shuffled_labels"),
)
def inputs_name_rows(run: RunRecord) -> Found | None:
    """Nothing but identifiers, which tell nothing of a new row."""
    data = run.data
    if not data.all_identifiers:
        return None
    names = [run.names.column(place) for place in data.identifiers]
    return Found(
        f"every value of column {listed(names, len(names))} is another, and there is no other column: nothing tells "
        "a new row's target",
        "Add columns that describe what the rows are of",
    )


@rule("a column numbers the rows", order=50, severity="warning")
def identifier_column(run: RunRecord) -> Found | None:
    """Columns that number the rows."""
    data = run.data
    if not data.identifiers or data.all_identifiers:
        return None
    names = [run.names.column(place) for place in data.identifiers]
    return Found(
        f"every value of column {listed(names, len(names))} is another, and all are whole steps apart",
        "Drop it: it says nothing about new rows. If it is a time, validate on the latest rows",
        changes=({"drop": tuple(run.names.plain(place) for place in data.identifiers)},),
    )


#: The usual range of the largest column's root mean square.
SMALL_INPUT, LARGE_INPUT = 0.05, 10.0


@rule("the inputs are not scaled", order=60, explains=(TRAINING,))
def unscaled_inputs(run: RunRecord) -> Found | None:
    """Columns far from unit size, or far apart from each other."""
    data = run.data
    if data.largest_rms > LARGE_INPUT:
        evidence = (
            f"column {run.names.column(data.largest_column)} has a root mean square of {data.largest_rms:.3g}, "
            f"the smallest column {data.smallest_rms:.3g}"
        )
    elif 0 < data.largest_rms < SMALL_INPUT:
        evidence = f"no column has a root mean square above {data.largest_rms:.2g}"
    elif not data.sparse and data.spread_ratio > 100:
        evidence = (
            f"the standard deviation of column {run.names.column(data.widest)} is {data.spread_ratio:.3g} times that "
            f"of column {run.names.column(data.narrowest)}"
        )
    else:
        return None
    if run.settings.table.get("standardize") is False:
        return Found(
            f"{evidence}, and the columns were left as they are",
            "Let the columns be standardised",
            changes=({"standardize": True},),
        )
    return Found(
        evidence,
        "Standardise each column to mean 0 and standard deviation 1 (images: divide by the largest value)",
        changes=({"numbers": "robust"},),
    )


@rule("a column gives the target away", order=130)
def leaking_column(run: RunRecord) -> Found | None:
    """Columns that give the target away."""
    data = run.data
    if data.leaking_pair and not data.n_leaking:
        first, second, told = data.leaking_pair
        return Found(
            f"a weighted sum of columns {run.names.column(first)} and {run.names.column(second)} gives R² {told:.3f} "
            "of the target, and neither does alone",
            "Check whether both are known when a prediction is made; if not, drop one: the score will fall to what new "
            "rows will have",
        )
    if not data.n_leaking:
        return None
    names = [run.names.column(place) for place in data.leaking]
    return Found(
        f"column {listed(names, data.n_leaking)} alone sorts the rows as the target does",
        "Check whether the column is known when a prediction is made; if not, drop it: the score will fall to what new "
        "rows will have",
    )


@rule("columns are duplicates", order=330, severity="warning")
def duplicate_column(run: RunRecord) -> Found | None:
    """Columns that repeat another one, up to scale and offset, or up to the names of categories."""
    data = run.data
    if not data.n_duplicates:
        return None
    column = run.names.column
    pairs = [f"{column(later)} repeats {column(first)}" for first, later in data.duplicates]
    return Found(
        f"column {listed(pairs, data.n_duplicates)}, up to scale or the names of categories",
        "Keep one of each",
    )


@rule("columns are constant", order=340, severity="warning")
def constant_column(run: RunRecord) -> Found | None:
    """Columns with one value."""
    data = run.data
    if not data.n_constant:
        return None
    columns = data.columns or data.features
    if data.sparse:
        evidence = (
            f"{data.n_constant} of {columns} columns have only one value, as at the edges of images"
        )
        return Found(evidence, "They do no harm", severity="note")
    names = [run.names.column(place) for place in data.constant]
    return Found(
        f"{data.n_constant} of {columns} columns {'has' if data.n_constant == 1 else 'have'} only one value "
        f"({listed(names, data.n_constant)})",
        "Drop them: they carry no information",
    )
