"""Any namespace of the Array API standard trains: one that nobody has prepared for, and MLX."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from anyarray_mlp import MLP, MLPClassifier, fit, select_backend
from anyarray_mlp.backends import reproducible
from anyarray_mlp.backends.namespace_backend import NamespaceBackend
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from tests.beds import require_library

OWN = "namespace:tests.own_namespace"
PIXELS, DIGITS = load_digits(return_X_y=True)
X, X_TEST, Y, Y_TEST = train_test_split(
    (PIXELS / 16).astype(np.float32), DIGITS, random_state=0, stratify=DIGITS
)
SMALL = MLP((64, 20, 10), "gelu", dropout=0.2)
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 32, "seed": 3}


def test_a_namespace_that_nobody_prepared_for_trains_digits(cli: Any) -> None:
    found = fit(
        MLP((64, 100, 10)), X, Y, epochs=40, backend=select_backend(OWN),
        validation=(X_TEST, Y_TEST), metrics=["accuracy"],
    )  # fmt: skip
    assert found.history[-1].scores["accuracy"] >= 0.97
    code, _, err = cli("train", "digits", "--backend", OWN, "--epochs", "2")
    assert code == 0, err
    assert "tests.own_namespace on default, float32" in err


def test_its_bits_are_numpys_in_reproducible_mode() -> None:
    hashes = {
        fit(SMALL, X[:200], Y[:200], backend=select_backend(name, reproducible=True), **SHORT).hash
        for name in ("numpy", OWN)
    }
    assert len(hashes) == 1


def test_estimators_take_it_and_its_arrays_are_data() -> None:
    model = MLPClassifier((20,), backend=OWN, max_iter=300, tol=1e-3, random_state=0).fit(
        X[:400], Y[:400]
    )
    assert model.score(X[:400], Y[:400]) > 0.95
    backend = select_backend(OWN)
    given = fit(SMALL, backend.asarray(X[:200]), Y[:200], backend=backend, **SHORT)
    plain = fit(SMALL, X[:200], Y[:200], backend=backend, **SHORT)
    np.testing.assert_array_equal(given.parameters, plain.parameters)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: select_backend("namespace:nowhere.at_all"), BackendUnavailableError, "cannot be imported"),
        (lambda: select_backend("namespace:"), BackendUnavailableError, "cannot be imported"),
        (lambda: select_backend("namespace:math"), UsageError, "does not follow the Array API standard"),
        (lambda: select_backend(OWN, "cuda"), UsageError, "its own default device: leave device='cuda' out"),
        (lambda: MLPClassifier(backend="namespace").fit(X, Y), UsageError, "'namespace:MODULE'"),
        (lambda: select_backend("torch", "gpu"), UsageError, "device of the mlx backend: give --backend mlx, or --dev"),
        (lambda: select_backend(None, "mps"), UsageError, "a device of the torch backend"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_what_departs_in_reproducible_arithmetic_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests import own_namespace

    def searchsorted(*args: Any, **options: Any) -> Any:
        raise TypeError("not like this")

    monkeypatch.setattr(reproducible, "PROBED", set())  # or it was found to be right before
    for name in ("floor", "round", "where"):
        monkeypatch.setattr(own_namespace, name, searchsorted, raising=False)
    with pytest.raises(UsageError, match=r"departs from the Array API standard where .*not like"):
        select_backend(OWN, reproducible=True)


# --- devices that no test has met ---


@pytest.mark.parametrize("device", ["mps", "xpu"])
def test_gpus_that_are_not_here_are_told(device: str) -> None:
    require_library("torch")
    with pytest.raises(BackendUnavailableError, match=r"PyTorch finds no .*GPU.*--device cpu"):
        select_backend("torch", device)


def test_apples_gpu_has_no_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    require_library("torch")
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert select_backend("torch", "mps").device == "mps"
    with pytest.raises(UsageError, match="no float64"):
        select_backend("torch", "mps", "float64")


# --- MLX ---


@pytest.mark.on("mlx")
@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("float32", -105.0, 90.0), ("float64", -746.0, 711.0)]
)
def test_the_exponential_of_mlx_is_right_to_two_units(
    backend: Any, dtype: str, low: float, high: float
) -> None:
    x = np.linspace(low, high, 2001).astype(dtype)
    with backend.on_device():
        found = backend.to_host(backend.xp.exp(backend.asarray(x)))
        odd = backend.to_host(backend.xp.exp(backend.asarray(np.array([np.inf, -np.inf, np.nan]))))
    np.testing.assert_array_equal(odd, [np.inf, 0.0, np.nan])
    limits = np.finfo(dtype)
    for value, e in zip(x.tolist(), found.tolist(), strict=True):
        exact = mpmath.exp(value)
        if exact > float(limits.max):
            assert e == math.inf
            continue
        unit = float(max(np.spacing(np.dtype(dtype).type(exact)), limits.smallest_subnormal))
        assert abs(e - exact) <= 2 * unit, value


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_mlx_trains_as_numpy_does(dtype: str, solver: str) -> None:
    require_library("mlx")
    network = MLP((64, 20, 10), "tanh")
    options: dict[str, Any] = {"epochs": 3, "seed": 1, "optimizer": solver}
    if solver == "adam":
        options |= {"batch_size": 50}
    found, expected = (
        fit(network, X[:300], Y[:300], backend=select_backend(name, dtype=dtype), **options)
        for name in ("mlx", "numpy")
    )
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(
        found.parameters, expected.parameters, rtol=tolerance, atol=tolerance
    )


def test_the_bits_of_mlx_are_numpys_in_reproducible_mode() -> None:
    require_library("mlx")
    hashes = {
        fit(SMALL, X[:200], Y[:200], backend=select_backend(name, reproducible=True), **SHORT).hash
        for name in ("numpy", "mlx")
    }
    assert len(hashes) == 1


def test_mlx_says_what_it_lacks_on_a_gpu() -> None:
    require_library("mlx")
    with pytest.raises(UsageError, match="no float64 on a GPU"):
        select_backend("mlx", "gpu", "float64")
    import mlx.core as mx

    if not mx.is_available(mx.gpu):
        with pytest.raises(BackendUnavailableError, match="finds no GPU here"):
            select_backend("mlx", "gpu")


def test_the_namespace_of_mlx_trains_as_well() -> None:
    require_library("mlx")
    backend = select_backend("namespace:mlx.core")
    assert isinstance(backend, NamespaceBackend)
    assert fit(SMALL, X[:200], Y[:200], backend=backend, **SHORT).history[-1].loss < 2.6
    with pytest.raises(UsageError, match="departs from the Array API standard"):
        select_backend("namespace:mlx.core", reproducible=True)
