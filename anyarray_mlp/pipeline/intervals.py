"""How far a prediction of a regression may be off: conformal intervals from rows that were not trained on.

The half-width is a quantile of the absolute errors on n such rows, the ceil((n + 1) level)-th smallest, which is larger
than the plain quantile just enough: where those rows and a new one could change places, the new one's value lies within
with a probability of at least `level`, whatever the network and the distribution (Vovk, Gammerman and Shafer 2005; Lei,
G'Sell, Rinaldo, Tibshirani and Wasserman 2018).
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import counted
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.pipeline.preparation import Prepared
from anyarray_mlp.pipeline.scoring import held_out_rows, outputs_held_out
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.typing import Host


def half_widths(errors: Host, level: float) -> Host:
    """The half-width (k,) of intervals from absolute errors (n, k); `UsageError` where n are too few for the level."""
    exact = Fraction(repr(level))
    n, rank = len(errors), math.ceil((len(errors) + 1) * exact)
    if rank > n:
        needed = math.ceil(exact / (1 - exact))
        raise UsageError(
            f"An interval of {level:g} needs {counted(needed, 'row')} that were not trained on, and there are {n:,}: "
            "ask for a lower one, or train with a larger validation_fraction."
        )
    width: Host = np.sort(errors, axis=0)[rank - 1]
    return width


def errors_held_out(model: TrainedModel, prepared: Prepared, backend: Backend) -> Host:
    """Absolute errors (n, k), in the target's own unit, on the rows that a run has validated on.

    Rows that each of several networks holds out are answered by those networks alone. Raises `DataError` if there are
    no such rows.
    """
    if prepared.folds:
        outputs = outputs_held_out(model, prepared, backend)
        truth = prepared.training.y[held_out_rows(prepared)]
    elif prepared.validation is not None:
        held_out = prepared.validation
        outputs = model.predictor(backend, held_out.input_scale)(held_out.x)
        truth = held_out.y
    else:
        raise DataError(
            f"{prepared.name}: the run validated on no rows, from which an interval could be made; train with a "
            "validation_fraction"
        )
    errors: Host = np.abs(model.decode(outputs) - truth.astype(np.float64)).reshape(outputs.shape)
    return errors
