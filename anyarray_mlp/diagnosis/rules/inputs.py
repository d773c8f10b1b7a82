"""Rules on the inputs: what is in their columns."""

from __future__ import annotations

from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules.findings import TRAINING, Found, rule
from anyarray_mlp.diagnosis.symptoms import listed


@rule("the data hold NaN or infinity", order=10, severity="error", explains=(TRAINING,))
def non_finite_data(run: RunRecord) -> Found | None:
    """NaN or infinity in inputs or targets."""
    if not run.data.non_finite:
        return None
    return Found(
        f"{run.data.non_finite} entries of inputs or targets are NaN or infinite",
        "Drop those rows, or fill the gaps with the column's mean or median",
    )


@rule("a value that stands for 'unknown' is taken for a number", order=30, explains=(TRAINING,))
def sentinel_values(run: RunRecord) -> Found | None:
    """Columns with a value like -999 among numbers."""
    found = run.data.sentinels
    if not found:
        return None
    texts = [
        f"column {run.names.column(column)} holds {value:.4g} (as the network sees it) in {share:.1%} of the "
        "rows"
        for column, value, share in found
    ]
    return Found(
        f"{'; '.join(texts)}, far outside the range of the other values, which it leaves hardly apart",
        "If it stands for 'unknown', make it a gap in the data, to be filled with the column's mean or median",
    )


@rule("a column numbers the rows", order=50, severity="warning")
def identifier_column(run: RunRecord) -> Found | None:
    """Columns that number the rows."""
    data = run.data
    if not data.identifiers:
        return None
    names = [run.names.column(place) for place in data.identifiers]
    return Found(
        f"all values of column {listed(names, len(names))} differ, and they are whole steps apart",
        "Drop it: what it says of these rows it does not say of new ones. If it is a time, hold out the latest rows "
        "to validate on",
    )


#: Root mean squares between which the largest column is of a usual size.
SMALL_INPUT, LARGE_INPUT = 0.05, 10.0


@rule("the inputs are not scaled", order=60, explains=(TRAINING,))
def unscaled_inputs(run: RunRecord) -> Found | None:
    """Columns far from unit size, or far apart from each other."""
    data = run.data
    if data.largest_rms > LARGE_INPUT:
        evidence = (
            f"column {run.names.column(data.largest_column)} is of size {data.largest_rms:.3g} (root mean square), "
            f"the smallest column of size {data.smallest_rms:.3g}"
        )
    elif 0 < data.largest_rms < SMALL_INPUT:
        evidence = f"no column exceeds a size of {data.largest_rms:.2g} (root mean square)"
    elif not data.sparse and data.spread_ratio > 100:
        evidence = (
            f"column {run.names.column(data.widest)} spreads {data.spread_ratio:.3g} times as far as column "
            f"{run.names.column(data.narrowest)}"
        )
    else:
        return None
    return Found(
        evidence,
        "Standardise each column to mean 0 and standard deviation 1 (images: divide by the largest value)",
    )


@rule("a column gives the target away", order=130, severity="warning")
def leaking_column(run: RunRecord) -> Found | None:
    """Columns from which the target can be read off."""
    data = run.data
    if not data.n_leaking:
        return None
    names = [run.names.column(place) for place in data.leaking]
    return Found(
        f"column {listed(names, data.n_leaking)} alone orders the rows as the target does",
        "Ask whether the column is known when a prediction is made; if not, drop it",
    )


@rule("columns are duplicates", order=330, severity="warning")
def duplicate_column(run: RunRecord) -> Found | None:
    """Columns that repeat another one, up to scale and offset, or to the names of categories."""
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
    """Columns of one value."""
    data = run.data
    if not data.n_constant:
        return None
    columns = data.columns or data.features
    if data.sparse:
        evidence = f"{data.n_constant} of {columns} columns have one value, as at the rim of images"
        return Found(evidence, "They do no harm", severity="note")
    names = [run.names.column(place) for place in data.constant]
    return Found(
        f"{data.n_constant} of {columns} columns {'has' if data.n_constant == 1 else 'have'} one value "
        f"({listed(names, data.n_constant)})",
        "Drop them: they carry nothing",
    )
