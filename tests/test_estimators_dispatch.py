"""Everything follows X under array API dispatch; off, results are NumPy, wherever training ran."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

from anyarray_mlp import MLPClassifier, MLPRegressor
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.estimators.placement import Place, backend_for, place_of
from tests.beds import EXPECTED, require_library, since_scikit_learn_1_9

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore::sklearn.exceptions.ConvergenceWarning",
        "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
    ),
    since_scikit_learn_1_9,
]

X_IRIS, IRIS = load_iris(return_X_y=True)
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)
Y_DIABETES = np.stack([DIABETES, DIABETES**2 / 100], axis=1) / 100.0
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 10, "random_state": 0}

HOMES = {
    "torch": ("torch", "cpu"),
    "jax": ("jax", "cpu"),
    "array-api-strict": ("array_api_strict", "device1"),
    "cupy": ("cupy", "cuda"),
    "torch-cuda": ("torch", "cuda"),
}


@pytest.fixture(autouse=True)
def fresh_backends() -> None:
    """JAX keeps float64 behind a switch of the process, which other tests turn off under a kept backend."""
    backend_for.cache_clear()


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A place for X other than NumPy, in float64."""
    name, device = HOMES[request.param]
    if importlib.util.find_spec(name) is None:
        assert name not in EXPECTED
        pytest.skip(f"{name} is not installed")
    if name == "jax":
        import jax

        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        yield select_backend(name, device, "float64")
        jax.config.update("jax_enable_x64", before)
        return
    try:
        yield select_backend(name, device, "float64")
    except RuntimeError as error:
        pytest.skip(str(error))


def at_home(home: Backend, array: Any) -> bool:
    return place_of(array) == Place(home.name, home.device)


def problem(name: str) -> tuple[Any, Any, Any]:
    """An estimator, not fitted, its features and its targets."""
    return {
        "multiclass": (MLPClassifier(**QUICK), X_IRIS, IRIS),
        "binary": (MLPClassifier(**QUICK), X_IRIS, (IRIS > 0).astype(int)),
        "multilabel": (MLPClassifier(**QUICK), X_IRIS, np.eye(3, dtype=int)[IRIS]),
        "regression": (MLPRegressor(**QUICK), X_DIABETES, Y_DIABETES[:, 0]),
        "two outputs": (MLPRegressor(**QUICK), X_DIABETES, Y_DIABETES),
        "lbfgs": (MLPRegressor(**QUICK, solver="lbfgs"), X_DIABETES, Y_DIABETES),
        "early stopping": (
            MLPClassifier(**QUICK, early_stopping=True, scoring="neg_log_loss"),
            X_IRIS,
            IRIS,
        ),
    }[name]


@pytest.mark.parametrize(
    "name",
    ["multiclass", "binary", "multilabel", "regression", "two outputs", "lbfgs", "early stopping"],
)
def test_everything_follows_x_and_equals_numpy(home: Backend, name: str) -> None:
    estimator, x, y = problem(name)
    expected = copy.deepcopy(estimator).fit(x, y, sample_weight=np.full(len(x), 0.5))
    with config_context(array_api_dispatch=True):
        x_home, y_home = home.asarray(x), home.asarray(y)
        estimator.fit(x_home, y_home, sample_weight=home.asarray(np.full(len(x), 0.5)))
        assert all(at_home(home, part) for part in estimator.coefs_ + estimator.intercepts_)
        methods = ["predict"]
        if isinstance(estimator, MLPClassifier):
            methods += ["predict_proba", "predict_log_proba"]
        for method in methods:
            answer = getattr(estimator, method)(x_home)
            assert at_home(home, answer)
            np.testing.assert_allclose(
                home.to_host(answer), getattr(expected, method)(x), rtol=1e-9, atol=1e-12
            )
        if home.name != "jax":  # scikit-learn's metrics do not take JAX yet
            score = estimator.score(x_home, y_home)
            assert isinstance(score, float)
            assert score == pytest.approx(expected.score(x, y))
    np.testing.assert_allclose(estimator.loss_curve_, expected.loss_curve_, rtol=1e-9)
    if isinstance(estimator, MLPClassifier):
        assert isinstance(estimator.classes_, np.ndarray)


def test_targets_from_numpy_move_to_x(home: Backend) -> None:
    with config_context(array_api_dispatch=True):
        estimator = MLPClassifier(**QUICK).fit(home.asarray(X_IRIS), IRIS)
        assert at_home(home, estimator.predict(home.asarray(X_IRIS)))
        partial = MLPClassifier(**QUICK).partial_fit(home.asarray(X_IRIS), IRIS, classes=[0, 1, 2])
        assert at_home(home, partial.coefs_[0])
        partial.partial_fit(home.asarray(X_IRIS), IRIS, classes=home.asarray(np.arange(3)))
        named = MLPClassifier(**QUICK).partial_fit(
            home.asarray(X_IRIS), home.asarray(IRIS), classes=home.asarray(np.arange(3))
        )
        np.testing.assert_array_equal(named.classes_, [0, 1, 2])


def test_text_labels_stay_numpy(home: Backend) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[IRIS]
    with config_context(array_api_dispatch=True):
        estimator = MLPClassifier(**QUICK).fit(home.asarray(X_IRIS), names)
        answer = estimator.predict(home.asarray(X_IRIS))
    assert isinstance(answer, np.ndarray)
    assert set(answer) <= set(names)


def test_another_library_or_device_at_predict_is_refused(home: Backend) -> None:
    with config_context(array_api_dispatch=True):
        there = MLPClassifier(**QUICK).fit(home.asarray(X_IRIS), IRIS)
        here = MLPClassifier(**QUICK).fit(X_IRIS, IRIS)
        with pytest.raises(ValueError, match="must use the same namespace") as caught:
            there.predict(X_IRIS)
        assert "MLPClassifier.predict()" in str(caught.value)
        assert f"{home.name} ({home.device})" in str(caught.value)
        with pytest.raises(ValueError, match=r"MLPClassifier\.predict_proba\(\)"):
            here.predict_proba(home.asarray(X_IRIS))
        with pytest.raises(ValueError, match=r"MLPClassifier\.partial_fit\(\)"):
            there.partial_fit(X_IRIS, IRIS)
        with pytest.raises(ValueError, match="must use the same namespace"):
            there.predict(sparse.csr_matrix(X_IRIS))


def test_scikit_learn_can_move_a_fitted_estimator(home: Backend) -> None:
    if home.name == "jax":
        pytest.skip("scikit-learn does not move to JAX")
    import array_api_compat

    # Not in older versions, so not at the top.
    from sklearn.utils._array_api import move_estimator_to

    with config_context(array_api_dispatch=True):
        x = home.asarray(X_IRIS)
        there = MLPClassifier(**QUICK).fit(x, IRIS)
        moved = move_estimator_to(there, np, "cpu")
        np.testing.assert_array_equal(moved.predict(X_IRIS), home.to_host(there.predict(x)))
        back = move_estimator_to(moved, array_api_compat.array_namespace(x), x.device)
        assert at_home(home, back.predict(x))
        back.partial_fit(x, IRIS)


def test_copies_and_pickles_keep_what_is_on_the_cpu(home: Backend) -> None:
    with config_context(array_api_dispatch=True):
        x = home.asarray(X_IRIS)
        estimator = MLPClassifier(**QUICK).fit(x, IRIS)
        expected = home.to_host(estimator.predict_proba(x))
        for twin in (copy.copy(estimator), copy.deepcopy(estimator)):
            np.testing.assert_array_equal(home.to_host(twin.predict_proba(x)), expected)
        restored = pickle.loads(pickle.dumps(estimator))
        if home.device.startswith("cuda"):
            np.testing.assert_allclose(restored.predict_proba(X_IRIS), expected, rtol=1e-6)
        elif home.name != "array_api_strict":  # whose devices do not survive pickling
            np.testing.assert_array_equal(home.to_host(restored.predict_proba(x)), expected)


def test_what_is_on_a_gpu_is_pickled_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stand-in for a GPU: PyTorch's arrays are said to be there.
    torch = pytest.importorskip("torch")
    with config_context(array_api_dispatch=True):
        estimator = MLPClassifier(**QUICK).fit(torch.tensor(X_IRIS), IRIS)
        from anyarray_mlp.estimators import fitted

        monkeypatch.setattr(fitted, "place_of", lambda array: Place("torch", "cuda:0"))
        state = pickle.dumps(estimator)
    monkeypatch.undo()
    restored = pickle.loads(state)
    assert all(isinstance(part, np.ndarray) for part in restored.coefs_ + restored.intercepts_)
    assert set(restored.predict(X_IRIS)) <= {0, 1, 2}


def test_what_jax_unpickles_onto_a_gpu_goes_back_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A stand-in for a machine with a GPU, where that is JAX's default device: its arrays are said to be there.
    jax = pytest.importorskip("jax")
    from anyarray_mlp.estimators import fitted

    with config_context(array_api_dispatch=True):
        x = jax.numpy.asarray(X_IRIS, dtype="float32")
        estimator = MLPClassifier(**QUICK).fit(x, IRIS)
        state = pickle.dumps(estimator)
        moved = []
        monkeypatch.setattr(fitted, "place_of", lambda array: Place("jax", "cuda:0"))
        monkeypatch.setattr(fitted, "to_host", lambda part: moved.append(part) or np.asarray(part))
        restored = pickle.loads(state)
        monkeypatch.undo()
        assert len(moved) == len(restored.coefs_ + restored.intercepts_) == 4
        for part, given in zip(restored.coefs_ + restored.intercepts_, moved, strict=True):
            assert part.device == jax.devices("cpu")[0]
            assert part.dtype == given.dtype
        np.testing.assert_array_equal(restored.predict_proba(x), estimator.predict_proba(x))


def test_without_dispatch_results_are_numpy() -> None:
    torch = pytest.importorskip("torch")
    estimator = MLPClassifier(**QUICK).fit(torch.tensor(X_IRIS), torch.tensor(IRIS))
    assert isinstance(estimator.coefs_[0], np.ndarray)
    assert isinstance(estimator.predict(torch.tensor(X_IRIS)), np.ndarray)
    expected = MLPClassifier(**QUICK).fit(X_IRIS, IRIS)
    np.testing.assert_array_equal(estimator.predict_proba(X_IRIS), expected.predict_proba(X_IRIS))


@pytest.mark.parametrize("backend", ["torch", "jax", "array_api_strict"])
@pytest.mark.parametrize("parameters", [{}, {"solver": "lbfgs"}, {"early_stopping": True}])
def test_numpy_in_numpy_out_wherever_training_runs(backend: str, parameters: Any) -> None:
    pytest.importorskip(backend)
    expected = MLPClassifier(**QUICK, **parameters).fit(X_IRIS, IRIS)
    estimator = MLPClassifier(**QUICK, **parameters, backend=backend).fit(X_IRIS, IRIS)
    for part in [*estimator.coefs_, *estimator.intercepts_, estimator.predict(X_IRIS)]:
        assert isinstance(part, np.ndarray)
    np.testing.assert_allclose(estimator.loss_curve_, expected.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(
        estimator.predict_proba(X_IRIS), expected.predict_proba(X_IRIS), rtol=1e-8
    )


def test_a_device_of_ones_own_leaves_results_with_x() -> None:
    torch, _ = pytest.importorskip("torch"), pytest.importorskip("jax")
    with config_context(array_api_dispatch=True):
        estimator = MLPClassifier(**QUICK, backend="jax").fit(torch.tensor(X_IRIS), IRIS)
        assert all(isinstance(part, torch.Tensor) for part in estimator.coefs_)
        assert isinstance(estimator.predict(torch.tensor(X_IRIS)), torch.Tensor)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_what_is_computed_and_returned(dtype: str) -> None:
    for x in (X_DIABETES, X_DIABETES.astype(np.float32)):
        estimator = MLPRegressor(**QUICK, dtype=dtype).fit(x, DIABETES)
        assert {str(part.dtype) for part in estimator.coefs_ + estimator.intercepts_} == {dtype}
        assert estimator.predict(x).dtype == dtype
    torch = pytest.importorskip("torch")
    with config_context(array_api_dispatch=True):
        x = torch.tensor(X_DIABETES)
        estimator = MLPRegressor(**QUICK, dtype=dtype, early_stopping=True).fit(x, DIABETES)
        assert str(estimator.predict(x).dtype) == f"torch.{dtype}"


def test_reproducible_gives_the_same_bits_on_every_backend() -> None:
    bits = set()
    for backend in ("numpy", "torch", "array_api_strict"):
        pytest.importorskip(backend)
        estimator = MLPClassifier(
            hidden_layer_sizes=(4,),
            max_iter=2,
            random_state=0,
            backend=backend,
            dtype="float32",
            reproducible=True,
            early_stopping=True,
        ).fit(X_IRIS, IRIS)
        bits.add(
            b"".join(part.tobytes() for part in estimator.coefs_)
            + estimator.predict_proba(X_IRIS).tobytes()
        )
    assert len(bits) == 1


@pytest.mark.parametrize("backend", [None, "torch"])
@pytest.mark.parametrize(
    "parameters",
    [{"batch_size": 16}, {"early_stopping": True}, {"solver": "lbfgs"}, {"shuffle": False}],
    ids=str,
)
def test_sparse_input_gives_what_dense_gives(backend: str | None, parameters: Any) -> None:
    require_library(backend or "numpy")
    x = np.where(X_IRIS > 2.0, X_IRIS, 0.0)
    dense = MLPClassifier(**QUICK, **parameters, backend=backend).fit(x, IRIS)
    for container in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        estimator = MLPClassifier(**QUICK, **parameters, backend=backend).fit(container(x), IRIS)
        for a, b in zip(dense.coefs_, estimator.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(estimator.predict(container(x)), dense.predict(x))
    partial = MLPClassifier(**QUICK).partial_fit(sparse.csr_matrix(x), IRIS, classes=[0, 1, 2])
    assert partial.score(sparse.csr_matrix(x), IRIS) >= 0


def test_sparse_input_is_never_dense_as_a_whole() -> None:
    import tracemalloc

    # 200,000 features: 3.2 GB if dense.
    rng = np.random.default_rng(0)
    x = sparse.random(2000, 200_000, density=1e-4, format="csr", rng=rng)
    y = rng.integers(0, 2, 2000)
    estimator = MLPClassifier((2,), max_iter=1, batch_size=20, random_state=0)
    tracemalloc.start()
    estimator.fit(x[:200], y[:200]).predict(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500e6


def test_jax_compiles_training_and_prediction_once() -> None:
    jax = pytest.importorskip("jax")
    estimator = MLPClassifier(**QUICK, backend="jax", early_stopping=True)
    for _ in range(2):
        estimator.partial_fit(X_IRIS, IRIS, classes=[0, 1, 2]).predict(X_IRIS)
    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(event) if "compile" in event else None
    )
    try:
        for _ in range(3):
            estimator.partial_fit(X_IRIS, IRIS).predict(X_IRIS)
        assert compiled == []
        clone(estimator).set_params(hidden_layer_sizes=(9,)).fit(X_IRIS, IRIS)
        assert compiled != []
    finally:
        jax.monitoring.clear_event_listeners()


def test_arrays_of_a_library_that_is_not_served_are_named() -> None:
    class Namespace:
        __name__ = "dask.array"

    class Array:
        dtype = shape = None

        def __array_namespace__(self, api_version: str | None = None) -> Any:
            return Namespace

    with pytest.raises(ValueError, match="not supported: convert them to NumPy"):
        place_of(Array())


def test_a_gpu_that_is_absent_is_said_so_with_the_way_back() -> None:
    if importlib.util.find_spec("cupy") is not None:
        pytest.skip("a GPU may be here")
    with pytest.raises(RuntimeError, match=r"device cpu|cupy") as caught:
        MLPClassifier(**QUICK, device="cuda").fit(X_IRIS, IRIS)
    assert "set_params(device='cpu', backend=None)" in str(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = MLPClassifier(**QUICK, device="auto").fit(X_IRIS, IRIS)
    assert isinstance(estimator.predict(X_IRIS), np.ndarray)


def test_backends_are_made_once() -> None:
    assert backend_for("numpy", "cpu", "float64") is backend_for("numpy", "cpu", "float64")
