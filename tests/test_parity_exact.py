"""Reproducible arithmetic, bit against bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.reproducible import PROBED
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.parity import compare, compare_exactly, make_case
from anyarray_mlp.parity.cases import exact_cases
from tests.beds import require_library

CASES = [
    make_case("small", MLP((5, 4, 3), "tanh"), weighted=True, alpha=0.1),
    make_case("gathered", MLP((3, 4, 2), "relu"), 9, labels=True, gather=((8, 0, 4), (1, 1, 5))),
]


@pytest.mark.parametrize("name", ["array_api_strict", "torch"])
def test_no_bit_differs(name: str) -> None:
    require_library(name)
    report = compare_exactly(["numpy", name], cases=CASES)
    assert report.ok
    # Two dtypes on each; PyTorch also on a GPU, if there is one.
    assert len(report.comparisons) >= 4
    assert {c.different_bits for c in report.comparisons} == {0}
    hashes = {(c.dtype, c.hash) for c in report.comparisons}
    assert len(hashes) == 2, "one hash for each dtype"


def test_one_bit_is_found() -> None:
    backend = select_backend("numpy", dtype="float32", reproducible=True)
    off = LastBitOff(backend)
    report = compare_exactly([backend, off], cases=CASES)
    same, different = report.comparisons
    assert not report.ok
    assert same.ok
    assert (different.different_numbers, different.different_bits) == (1, 1)
    assert different.first == "small: loss"
    assert different.hash != same.hash
    assert json.loads(json.dumps(report.to_dict()))["ok"] is False


def test_other_arithmetic_on_numpy_is_found() -> None:
    plain = select_backend("numpy", dtype="float32")
    fast = select_backend("numpy", dtype="float32", reproducible="fast")
    report = compare_exactly([plain, fast], cases=CASES)
    assert [comparison.ok for comparison in report.comparisons] == [False, False]


class Renamed:
    """NumPy under another name, less one of its own."""

    def __init__(self, lacks: str = "") -> None:
        self.__name__ = f"renamed {lacks}"
        self.lacks = lacks

    def __getattr__(self, name: str) -> Any:
        if name == self.lacks:
            raise AttributeError(name)
        return getattr(np, name)


@pytest.mark.parametrize("name", ["round", "int64", "float64", "log2"])
def test_a_namespace_that_lacks_what_exact_needs(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        compare_exactly(namespaces=[Renamed(lacks=name)], dtypes=["float32"], cases=CASES)


def test_every_namespace_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = []
    monkeypatch.setattr(
        "anyarray_mlp.backends.reproducible.probe", lambda xp, *rest: probed.append(xp)
    )
    PROBED.clear()
    library = Renamed("nothing")
    for namespace in (library, Renamed("nothing else"), library):
        compare_exactly(namespaces=[namespace], dtypes=["float32"], cases=[])
    PROBED.clear()
    assert [str(xp).count("renamed") for xp in probed] == [1, 0, 1], "NumPy's own between them"


def test_a_namespace_that_fails_within_exact() -> None:
    class Failing(Renamed):
        def take(self, *args: Any, **options: Any) -> Any:
            raise NotImplementedError("take of these\nin detail")

    PROBED.clear()
    with pytest.raises(
        UsageError, match="does not run on renamed : it raised NotImplementedError: take of these;"
    ):
        compare_exactly(namespaces=[Failing()], dtypes=["float32"], cases=CASES)


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
