"""Parity: the same gradients on every array library, checked against a float64 reference.

from anyarray_mlp.parity import compare report = compare(["torch", "jax"]) assert report.ok,
report.departures[0].message `roundoff` is the reference with its error bound, `tracing` checks each operation
separately, `cases` lists what is run, `comparison` compares, `report` holds the results, and `exact` compares
reproducible arithmetic bit by bit. `gradcheck` compares gradients with finite differences.
"""

from __future__ import annotations

from anyarray_mlp.parity.cases import Case, all_cases, make_case
from anyarray_mlp.parity.comparison import compare
from anyarray_mlp.parity.exact import ExactComparison, ExactReport, compare_exactly
from anyarray_mlp.parity.finite_differences import Gradcheck, gradcheck
from anyarray_mlp.parity.report import Comparison, Departure, Difference, Report
from anyarray_mlp.parity.tracing import FaultyOperation

__all__ = [
    "Case",
    "Comparison",
    "Departure",
    "Difference",
    "ExactComparison",
    "ExactReport",
    "FaultyOperation",
    "Gradcheck",
    "Report",
    "all_cases",
    "compare",
    "compare_exactly",
    "gradcheck",
    "make_case",
]
