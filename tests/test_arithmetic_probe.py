"""The probe of an array library: what is sound passes, and each property that is broken is named."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.arithmetic import probe as probing
from anyarray_mlp.arithmetic.library import Library
from anyarray_mlp.arithmetic.probe import probe, properties, sample_inputs, whole_numbers
from anyarray_mlp.arithmetic.reproducible import ReproducibleNamespace
from anyarray_mlp.errors import BackendUnavailableError


def run_probe(xp: ReproducibleNamespace, dtype: str = "float32") -> None:
    """The probe as a backend calls it."""
    probe(
        xp,
        dtype,
        lambda host, kind: xp.asarray(np.array(host, dtype=kind)),
        lambda array: np.asarray(array.value),
        lambda f: lambda *arrays: f(xp, *arrays),
    )


@pytest.mark.parametrize(
    ("dtype", "slices"), [("float32", 1), ("float32", 2), ("float64", 1), ("float64", 2)]
)
def test_numpy_is_sound(dtype: str, slices: int) -> None:
    run_probe(ReproducibleNamespace(np, slices), dtype)


def numpy_with(**functions: Any) -> Any:
    return types.SimpleNamespace(**{**vars(np), "__name__": "altered", **functions})


def toward_zero(x: Any, dtype: Any, copy: bool = True) -> Any:
    """Casts that cut off instead of rounding."""
    y = np.astype(x, dtype, copy=copy)
    return (
        np.where(np.abs(y) > np.abs(x), np.nextafter(y, y.dtype.type(0)), y)
        if y.dtype == "f4"
        else y
    )


def products_in(dtype: str, of: str) -> Callable[..., Any]:
    """Matrix products that are worked out in another dtype where they are of `of`."""
    return lambda a, b: (
        np.matmul(a.astype(dtype), b.astype(dtype)).astype(a.dtype) if a.dtype == of else a @ b
    )


#: What a library does wrong, and which property it breaks.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "half up": ({"round": lambda x: np.floor(x + 0.5)}, "rounding ties to even"),
    "casts cut off": ({"astype": toward_zero}, "rounding float64 to float32"),
    "products in float32": (
        {"matmul": products_in("float32", "float64")},
        "float64 matrix products",
    ),
    "vectors in float32": (
        {
            "matmul": lambda a, b: (
                (a.astype("f4") @ b.astype("f4")).astype(a.dtype) if len(a) == 1 else a @ b
            )
        },
        "float64 matrix products exact at 1 x 4096 x 64",
    ),
    "short products in float16": (
        {"matmul": products_in("float16", "float32")},
        "float32 matrix products of small",
    ),
    "sums in float32": (
        {
            "sum": lambda x, axis=None, keepdims=False: np.sum(
                x, axis=axis, keepdims=keepdims, dtype="f4"
            ).astype("f8")
        },
        "sums accumulated in float64",
    ),
    "roots that are off": (
        {"sqrt": lambda x: np.sqrt(x) * (1 + 1e-12)},
        "square roots within 2 ulp",
    ),
    "a log2 that is off": ({"log2": lambda x: np.log2(x) + 2.5}, "log2 within 1"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_broken_property_is_named(name: str) -> None:
    functions, message = BROKEN[name]
    with pytest.raises(
        BackendUnavailableError,
        match=f"altered cannot be used .* here: {message}.* does not hold .* results differ",
    ):
        run_probe(ReproducibleNamespace(numpy_with(**functions)))


def test_as_many_results_as_differ_are_counted() -> None:
    xp = ReproducibleNamespace(numpy_with(round=np.trunc))
    with pytest.raises(BackendUnavailableError, match=r"\(3 of 8 results differ\)"):
        run_probe(xp)


#: Changes of one property's own computation, each of which must not go unseen.
WRONG: dict[str, Callable[[Any], Any]] = {
    "an ulp": lambda y: (
        np.nextafter(y, np.array(np.inf, y.dtype)) if y.dtype.kind == "f" else y + 1
    ),
    "another dtype": lambda y: y.astype(
        {"f4": "f8", "f8": "f4", "i4": "i8"}.get(y.dtype.str[1:], "i4")
    ),
}


@pytest.mark.parametrize("change", WRONG)
@pytest.mark.parametrize("k", range(20))
def test_every_property_is_compared_to_the_bit(
    k: int, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = properties()
    assert len({p.name for p in every}) == len(every) == 20
    prop = every[k]
    if prop.expected.dtype == bool and change == "an ulp":
        wrong = ~prop.expected
    else:
        wrong = WRONG[change](prop.expected)
    xp = ReproducibleNamespace(np)
    right = prop.compute(xp, *(xp.asarray(a) for a in prop.inputs)).value
    assert right.dtype == prop.expected.dtype
    np.testing.assert_array_equal(right, prop.expected)
    changed = probing.Property(prop.name, prop.inputs, prop.compute, wrong)
    monkeypatch.setattr(probing, "properties", lambda: [changed])
    with pytest.raises(
        BackendUnavailableError,
        match=re.escape(f"here: {prop.name} does not hold"),
    ):
        run_probe(xp)


def test_a_sample_of_other_bits_is_refused() -> None:
    xp = ReproducibleNamespace(np)
    xp.functions.exp = np.exp  # type: ignore[method-assign]
    with pytest.raises(
        BackendUnavailableError,
        match=r"a sample of its operations has the hash [0-9a-f]{12} where it must be [0-9a-f]{12}\. Use",
    ):
        run_probe(xp)


def test_the_rules_that_a_compiler_breaks() -> None:
    """A fused multiply-add, and (1 + x) - 1 taken for x, are no functions of a library: their inputs must tell them."""
    by_name = {p.name: p for p in properties()}
    for name in ("float32", "float64"):
        a, b, c = by_name[f"no contraction to a fused multiply-add in {name}"].inputs
        assert a.dtype == b.dtype == c.dtype == name
        exact = a.astype(np.longdouble) * b.astype(np.longdouble) - c.astype(np.longdouble)
        assert np.mean(exact != 0) > 0.9
    reassociated = by_name["(1 + x) - 1 left as it is written"]
    assert np.mean(reassociated.expected != 0) > 0.3  # as it were
    assert np.all(reassociated.inputs[0] < 1.0)


def test_inputs_use_the_bits_that_they_are_said_to() -> None:
    for bits in (8, 21, 45):
        x = whole_numbers(3, 1000, bits)
        assert x.dtype == np.float64
        assert np.all(x == np.round(x))
        assert 2.0 ** (bits - 1) < np.abs(x).max() <= 2.0**bits
        assert x.min() < 0 < x.max()
        np.testing.assert_array_equal(x, whole_numbers(3, 1000, bits))
        assert np.any(x != whole_numbers(4, 1000, bits))
    inputs = {p.name: p.inputs for p in properties()}
    left, right = inputs["float64 matrix products accumulated in float64"]
    # Partial sums are beyond float32, and within float64.
    assert 2.0**24 < np.abs(left @ right).max() < 2.0**53
    left, right = inputs["float32 matrix products of small integers exact"]
    assert 2.0**11 < np.abs(left @ right).max() <= 2.0**24
    (terms,) = inputs["sums accumulated in float64"]
    assert 2.0**40 < np.abs(terms.sum(axis=0)).max() < 2.0**53
    for dtype in ("float32", "float64"):
        x, a, w, dy = sample_inputs(dtype)
        assert {v.dtype.name for v in (x, a, w, dy)} == {dtype}
        assert (x.shape, a.shape, w.shape, dy.shape) == ((480,), (30, 50), (50, 20), (30, 20))
    assert isinstance(ReproducibleNamespace(np).library, Library)


def test_inputs_reach_what_each_property_is_about() -> None:
    inputs = {p.name: p.inputs for p in properties()}
    expected = {p.name: p.expected for p in properties()}

    def fills(values: Any, bits: int) -> None:
        """Spread over [1, 1.5), down to the last of so many bits."""
        assert values.min() < 1.1
        assert 1.45 < values.max() < 1.5
        assert values.min() >= 1.0
        assert 0.4 < np.mean(values * 2.0**bits % 2 == 1) < 0.6

    for values in inputs["float64 division correctly rounded"]:
        fills(values, 52)
    root_of, roots = inputs["square roots within 2 ulp"]
    fills(root_of, 52)
    np.testing.assert_array_equal(roots, np.sqrt(root_of))
    for name, bits in (("float32", 23), ("float64", 52)):
        for values in inputs[f"no contraction to a fused multiply-add in {name}"][:2]:
            fills(values.astype(np.float64), bits)

    (x,) = inputs["rounding ties to even"]
    halves = x[(np.abs(x) < 2.0) & (x % 1.0 == 0.5)]
    assert {-1.5, -0.5, 0.5, 1.5} == set(halves)  # above even and odd numbers, of both signs

    x = inputs["rounding float64 to float32"][0]
    low = x[:4].astype(np.float32)
    ties = [(np.nextafter(f, np.float32(9)), np.nextafter(f, np.float32(0))) for f in low]
    for tie, f, neighbours in zip(x[:4], low, ties, strict=True):
        assert any((float(f) + float(n)) / 2 == tie for n in neighbours)
    assert {int(t * 2.0**24) % 8 for t in x[:4]} == {1, 3, 5, 7}  # above even and odd ones
    beyond = x[4:8] - x[:4]
    assert np.all((beyond > 0) & (beyond < 2.0**-40))
    np.testing.assert_array_equal(x[8:12], -x[:4])

    e = expected["log2 within 1"]
    powers = inputs["log2 within 1"][0]
    assert (e.min(), e.max()) < (-890.0, 2000.0)
    assert e.max() > 890.0
    assert {1.0, 1.5, 2.0 - 2.0**-52} == set(powers / 2.0**e)
    (x,) = inputs["(1 + x) - 1 left as it is written"]
    assert 2.0**-4 < x.max() <= 2.0**-3
    a, b = (v.astype(np.float64) for v in inputs["small results set to zero"])
    assert {2.0**-124, 2.0**-125, 2.0**-126} <= set(a * b)
    assert (a * b).max() < 2.0**-115
    assert (a * b).min() < 2.0**-149


def test_roots_may_be_off_by_two_units_and_no_more() -> None:
    prop = next(p for p in properties() if p.name == "square roots within 2 ulp")
    for units, right in ((-2, True), (2, True), (3, False), (-3, False)):
        off = numpy_with(sqrt=lambda x, units=units: np.sqrt(x) + units * 2.0**-52)
        xp = ReproducibleNamespace(off)
        near = prop.compute(xp, *(xp.asarray(a) for a in prop.inputs)).value
        assert np.all(near) if right else not np.any(near)
