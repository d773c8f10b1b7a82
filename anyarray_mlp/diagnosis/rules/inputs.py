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
    texts = [
        f"column {run.names.column(column)} is {value:.4g} (as the network sees it) in {share:.1%} of the rows"
        for column, value, share in found
    ]
    return Found(
        f"{'; '.join(texts)}, far outside the range of the other values, which it squeezes together",
        "If it stands for 'unknown', treat it as missing and fill it with the column's mean or median",
        changes=({"numbers": "robust"},),
    )


@rule("a column numbers the rows", order=50, severity="warning")
def identifier_column(run: RunRecord) -> Found | None:
    """Columns that number the rows."""
    data = run.data
    if not data.identifiers:
        return None
    names = [run.names.column(place) for place in data.identifiers]
    return Found(
        f"every value of column {listed(names, len(names))} is different, and the values are whole steps apart",
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


@rule("a column gives the target away", order=130, severity="warning")
def leaking_column(run: RunRecord) -> Found | None:
    """Columns that give the target away."""
    data = run.data
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
