"""Reproducible arithmetic, bit against bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.functional import ACTIVATIONS
from anyarray_mlp.parity import compare, compare_exactly, make_case
from anyarray_mlp.parity.cases import exact_cases
from tests.beds import require_library

CASES = [
    make_case("small", MLP((5, 4, 3), "tanh"), weighted=True, alpha=0.1),
    make_case("gathered", MLP((3, 4, 2), "relu"), 9, labels=True, gather=(0, 8, 4)),
]


@pytest.mark.parametrize("name", ["array_api_strict", "torch"])
def test_no_bit_differs(name: str) -> None:
    require_library(name)
    report = compare_exactly(["numpy", name], cases=CASES)
    assert report.ok
    assert [c.different_bits for c in report.comparisons] == [0] * 4
    hashes = {(c.dtype, c.hash) for c in report.comparisons}
    assert len(hashes) == 2, "one hash for each dtype"


def test_one_bit_is_found() -> None:
    backend = select_backend("numpy", dtype="float32", reproducible=True)
    off = LastBitOff(backend)
    report = compare_exactly([backend, off], cases=CASES)
    same, different = report.comparisons
    assert not report.ok
    assert same.ok
    assert (different.different_numbers, different.different_bits) == (2, 2)
    assert different.first == "small: loss"
    assert different.hash != same.hash
    assert json.loads(json.dumps(report.to_dict()))["ok"] is False


def test_other_arithmetic_on_numpy_is_found() -> None:
    plain = select_backend("numpy", dtype="float32")
    fast = select_backend("numpy", dtype="float32", reproducible="fast")
    report = compare_exactly([plain, fast], cases=CASES)
    assert [comparison.ok for comparison in report.comparisons] == [False, False]


class LastBitOff(Backend):
    """A reproducible backend whose scalars have the last bit wrong."""

    name = "numpy, one bit off"

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend.device, backend.dtype, backend.xp)
        self.backend = backend
        self.compile = backend.compile  # type: ignore[method-assign]
        self.asarray = backend.asarray  # type: ignore[method-assign]

    def asarray(self, host: Any, dtype: str | None = None) -> Any:
        raise NotImplementedError

    def to_host(self, array: Any) -> Any:
        host = np.array(self.backend.to_host(array))
        if host.size == 1:
            return (host.view(np.uint32) ^ np.uint32(1)).view(np.float32)
        return host


def test_reproducible_arithmetic_is_within_the_bound() -> None:
    backend = select_backend("numpy", dtype="float32", reproducible=True)
    (comparison,) = compare([backend], cases=CASES).comparisons
    assert comparison.departures == ()
    assert comparison.differences


def test_exact_cases_cover_every_activation() -> None:
    cases = exact_cases()
    assert {name for case in cases for name in case.mlp.activation} == set(ACTIVATIONS)
    assert 0 < len(exact_cases(quick=True)) < len(cases)
