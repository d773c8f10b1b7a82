"""Whole runs in reproducible arithmetic have one hash; each rule that is broken on purpose is caught."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from anyarray_mlp.arithmetic.probe import probe
from anyarray_mlp.arithmetic.reproducible import ReproducibleNamespace
from anyarray_mlp.arithmetic.reproducible_array import Array
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.backends.reproducible import PROBED, ReproducibleBackend
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import Fit, fit

NETWORKS: dict[str, tuple[MLP, dict[str, Any]]] = {
    "relu, momentum": (
        MLP((64, 24, 10), "relu"),
        {"optimizer": "momentum", "learning_rate_init": 0.05, "clip_norm": 1.0, "alpha": 0.1},
    ),
    "tanh, adam": (MLP((64, 24, 10), "tanh"), {"learning_rate": "cosine"}),
    "gelu, adamw, dropout": (MLP((64, 24, 10), "gelu", dropout=0.2), {"optimizer": "adamw"}),
    "logistic, squared error": (
        MLP((64, 24, 10), "silu", "logistic", "squared_error"),
        {"optimizer": "rmsprop", "initializer": "glorot_normal", "learning_rate": "exponential"},
    ),
}
MODES = [("float32", True), ("float32", "fast"), ("float64", True)]


#: Reproducible JAX switches float64 on for the process.
pytestmark = pytest.mark.usefixtures("x64_as_before")


def run(name: str, backend: Backend, epochs: int = 1, mlp_class: type[MLP] = MLP) -> Fit:
    mlp, options = NETWORKS[name]
    mlp = mlp_class.from_config(mlp.to_config())
    x, y = load_digits(return_X_y=True)
    targets = np.eye(10)[y] if mlp.loss == "squared_error" else y
    return fit(
        mlp,
        x[:400] / 16,
        targets[:400],
        backend=backend,
        epochs=epochs,
        batch_size=150,
        validation=(x[400:600] / 16, targets[400:600]),
        **options,
    )


class CutMLP(MLP):
    """Takes each batch in uneven parts."""

    def loss_and_grad(
        self, xp: Any, leaves: Any, x: Any, targets: Any, *_: Any, **options: Any
    ) -> Any:
        cuts = [0, 1, 40, 43, x.shape[0]]
        parts = [(x[a:b, ...], targets[a:b, ...], None) for a, b in pairwise(cuts)]
        return self.loss_and_grad_in_parts(xp, leaves, parts, **options)


@pytest.mark.parametrize(("dtype", "reproducible"), MODES)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_hash(name: str, dtype: str, reproducible: Any) -> None:
    """NumPy, in parts, array-api-strict, PyTorch."""
    numpy = select_backend("numpy", dtype=dtype, reproducible=reproducible)
    expected = run(name, numpy)
    assert run(name, numpy, mlp_class=CutMLP).hash == expected.hash
    for library in ("array_api_strict", "torch"):
        if importlib.util.find_spec(library) is not None:
            backend = select_backend(library, dtype=dtype, reproducible=reproducible)
            assert run(name, backend).hash == expected.hash, library


@pytest.mark.parametrize(("dtype", "reproducible"), MODES)
def test_one_hash_compiled(dtype: str, reproducible: Any) -> None:
    """JAX, whole epochs in one program."""
    pytest.importorskip("jax")
    for name in ("gelu, adamw, dropout",):
        hashes = {
            run(name, select_backend(library, dtype=dtype, reproducible=reproducible)).hash
            for library in ("numpy", "jax")
        }
        assert len(hashes) == 1


def test_the_hash_takes_in_curves_and_parameters() -> None:
    backend = select_backend("numpy", reproducible=True)
    one, two = run("tanh, adam", backend), run("tanh, adam", backend, epochs=2)
    assert one.hash != two.hash
    changed = Fit(np.nextafter(one.parameters, np.float32(9)), one.history, one.stopped)
    assert changed.hash != one.hash


@pytest.mark.parametrize("library", ["numpy", "array_api_strict"])
def test_train_prints_the_hash(library: str, tmp_path: Any, capsys: Any) -> None:
    from anyarray_mlp.cli import run as run_command

    pytest.importorskip(library)
    command = ["train", "iris", "--epochs", "3", "--reproducible", "--quiet", "--backend", library]
    assert run_command([*command, "--json", "--out", str(tmp_path / "run")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["arithmetic"], report["random_streams"]) == ("reproducible 1", "2")
    assert report["hash"] == EXPECTED_HASH


#: Of `train iris --epochs 3 --reproducible`, on any machine. Another hash: another version of arithmetic or streams.
EXPECTED_HASH = "2ab48cdf758f5973313f1a4a152056019081259dd93268c86558fea3a380ce47"


def test_lbfgs_is_refused() -> None:
    x, y = load_digits(return_X_y=True)
    with pytest.raises(UsageError, match="lbfgs cannot be reproducible"):
        fit(MLP((64, 10)), x, y, optimizer="lbfgs", backend=select_backend(reproducible=True))


# ---------------------------------------------------------------- rules broken on purpose


class Altered:
    """NumPy with some functions replaced."""

    def __init__(self, **functions: Any) -> None:
        self.functions = functions

    def __getattr__(self, name: str) -> Any:
        return self.functions.get(name, getattr(np, name))


@dataclass(frozen=True)
class Sabotage:
    """A library that breaks a rule, and what the probe says of it."""

    functions: dict[str, Callable[..., Any]]
    message: str


def single_precision(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """A matrix product accumulated in float32, as reduced-precision settings do."""
    return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)


def bfloat(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """A float32 matrix product of operands cut to 7 bits."""
    if a.dtype == np.float64:
        return np.matmul(a, b)
    cut = (lambda v: (v.view(np.int32) & ~0x3FFFF).view(np.float32)) if a.size else (lambda v: v)
    return np.matmul(cut(np.ascontiguousarray(a)), cut(np.ascontiguousarray(b)))


def float32_sum(x: NDArray[Any], axis: Any = None, keepdims: bool = False) -> NDArray[Any]:
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(x.dtype)


def half_up(x: NDArray[Any]) -> NDArray[Any]:
    return np.floor(x + 0.5)


def bad_root(x: NDArray[Any]) -> NDArray[Any]:
    return np.sqrt(x) * (1 + 1e-12)


def bad_log2(x: NDArray[Any]) -> NDArray[Any]:
    return np.log2(x) + 2.5


SABOTAGE = {
    "matrix products in float32": Sabotage({"matmul": single_precision}, "float64 matrix products"),
    "matrix products cut to 6 bits": Sabotage(
        {"matmul": bfloat}, "float32 matrix products of small"
    ),
    "sums in float32": Sabotage({"sum": float32_sum}, "sums accumulated in float64"),
    "rounding half up": Sabotage({"round": half_up}, "rounding ties to even"),
    "a root that is off": Sabotage({"sqrt": bad_root}, "square roots"),
    "a log2 that is off by two": Sabotage({"log2": bad_log2}, "log2 within 1"),
}


class AlteredBackend(NumpyBackend):
    """NumPy with altered functions or arithmetic."""

    functions: dict[str, Callable[..., Any]]
    alter: Callable[[ReproducibleNamespace], None]

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        namespace = ReproducibleNamespace(Altered(__name__="altered", **self.functions), slices)
        self.alter(namespace)
        return namespace


def altered(functions: dict[str, Any], alter: Callable[[Any], None] = lambda xp: None) -> Backend:
    backend = AlteredBackend("cpu", "float32")
    backend.functions, backend.alter = functions, alter  # type: ignore[method-assign]
    return backend


@pytest.mark.parametrize("name", SABOTAGE)
def test_the_probe_names_a_broken_property(name: str) -> None:
    broken = SABOTAGE[name]
    with pytest.raises(BackendUnavailableError, match=broken.message):
        ReproducibleBackend(altered(broken.functions))


class Product(Array):
    """A product that remembers its factors."""

    __slots__ = ("factors",)


def fused(xp: ReproducibleNamespace) -> None:
    """Products that feed a difference are not rounded first, as a compiler's contraction has it."""
    multiply, subtract = xp.multiply, xp.subtract

    def product(a: Any, b: Any) -> Any:
        result = multiply(a, b)
        if isinstance(a, Array) and isinstance(b, Array) and a.dtype.kind == "f":
            result = Product(result.value, xp)
            result.factors = (a.value.astype(np.longdouble), b.value.astype(np.longdouble))
        return result

    def unrounded(a: Any) -> Any:
        if isinstance(a, Product):
            return a.factors[0] * a.factors[1]
        return a.value.astype(np.longdouble) if isinstance(a, Array) else a

    def difference(a: Any, b: Any) -> Any:
        if not (isinstance(a, Product) or isinstance(b, Product)):
            return subtract(a, b)
        dtype = a.dtype if isinstance(a, Array) else b.dtype
        return xp.wrap((unrounded(a) - unrounded(b)).astype(dtype))

    xp.multiply, xp.subtract = product, difference  # type: ignore[method-assign]


def library_exp(xp: ReproducibleNamespace) -> None:
    """The library's own exp in place of the tables'."""
    xp.functions.exp = np.exp  # type: ignore[method-assign]


def unordered_sum(xp: ReproducibleNamespace) -> None:
    """The library's own sum, in whatever order it adds."""
    xp.sums.sum = lambda x, axis=None, keepdims=False: np.sum(x, axis=axis, keepdims=keepdims)  # type: ignore[method-assign]


def reused_scale(xp: ReproducibleNamespace) -> None:
    """The first scale of a shape, used again where it is within a factor of 8 of the right one."""
    scale, known = xp.library.scale, {}

    def kept(largest: Any, bits: int) -> Any:
        new = scale(largest, bits)
        old = known.setdefault((largest.shape, bits), new)
        near = np.abs(np.log2(old[0] / new[0])) <= 3
        return tuple(np.where(near, o, n) for o, n in zip(old, new, strict=True))

    xp.library.scale = kept  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (fused, "no contraction"),
        (library_exp, "sample of its operations"),
        (unordered_sum, "sample of its operations"),
    ],
)
def test_the_probe_catches_altered_arithmetic(alter: Any, message: str) -> None:
    with pytest.raises(BackendUnavailableError, match=message):
        ReproducibleBackend(altered({}, alter))


@pytest.mark.parametrize("alter", [fused, library_exp, unordered_sum, reused_scale])
def test_the_hash_of_a_run_catches_altered_arithmetic(alter: Any) -> None:
    """Also where the probe is not asked."""
    whole = altered({}, lambda xp: None)
    broken = altered({}, alter)
    keys = {(AlteredBackend, "cpu", "float32", 1)}
    PROBED.update(keys)
    try:
        hashes = [run("tanh, adam", ReproducibleBackend(b, slices=1)).hash for b in (whole, broken)]
    finally:
        PROBED.difference_update(keys)
    assert hashes[0] == run("tanh, adam", select_backend("numpy", reproducible="fast")).hash
    assert hashes[1] != hashes[0]


def test_the_probe_passes_what_is_sound() -> None:
    backend = select_backend("numpy", reproducible=True)
    probe(backend.xp, "float32", backend.asarray, backend.to_host, backend.jit)
