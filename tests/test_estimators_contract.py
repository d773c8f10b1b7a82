"""What scikit-learn expects of an estimator: its own checks, its own tests, its meta-estimators."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from anyarray_mlp import MLPClassifier, MLPRegressor
from tests.beds import require_library, since_scikit_learn_1_9

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

IS_1_9 = sklearn.__version__.startswith("1.9.")
#: What this machine may lack; every other array API check has to run. ("float64 on device cuda" is what is said of a
#: PyTorch that was built for CUDA, as pip installs it, where there is no GPU.)
ABSENT = re.compile(
    "cupy is not|requires cuda|float64 on device cuda|XPU|MPS|dpnp is not|no decision_function|"
    "does not have a decision"
)
#: CuPy is installed and there is no GPU: the check asks the driver where it would skip without CuPy.
NO_GPU = re.compile("cudaErrorInsufficientDriver|cudaErrorNoDevice")
#: Tests of scikit-learn's that look at its private parts, or pin what this package does better.
NOT_OURS = {
    "test_gradient": "calls the private _loss_grad_lbfgs",
    "test_learning_rate_warmstart": "reads the private _optimizer",
    "test_adaptive_learning_rate": "reads the private _optimizer",
    "test_mlp_partial_fit_after_fit": "asks that partial_fit refuse early stopping",
}

X_IRIS, IRIS = load_iris(return_X_y=True)
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)


@since_scikit_learn_1_9
@pytest.mark.parametrize(
    "estimator", [MLPClassifier(), MLPRegressor()], ids=lambda e: type(e).__name__
)
def test_check_estimator_passes_with_array_api_support(estimator: Any) -> None:
    assert estimator.__sklearn_tags__().array_api_support
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    by_status: dict[str, list[Any]] = {}
    for result in results:
        by_status.setdefault(result["status"], []).append(result)
    failed = {r["check_name"]: r["exception"] for r in by_status.get("failed", [])}
    assert {name: e for name, e in failed.items() if not NO_GPU.search(str(e))} == {}
    assert "xfail" not in by_status
    require_library("torch")  # without it the checks below are skipped
    assert [r for r in by_status["skipped"] if not ABSENT.search(str(r["exception"]))] == []
    if IS_1_9:
        passed = [r["check_name"] for r in by_status["passed"]]
        # NumPy, array-api-strict on two devices, PyTorch on the CPU in two dtypes; strict moved to PyTorch.
        assert passed.count("check_array_api_input") >= 5
        assert passed.count("check_array_api_mixed_inputs") >= 1
        assert passed.count("check_array_api_same_namespace") == 1


@pytest.mark.skipif(not IS_1_9, reason="its tests are those of another version")
def test_scikit_learns_own_tests_pass(tmp_path: Path) -> None:
    source = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    if not source.exists():
        pytest.skip("scikit-learn was installed without its tests")
    theirs = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
    text = source.read_text()
    assert theirs in text
    (tmp_path / "test_mlp.py").write_text(
        text.replace(theirs, "from anyarray_mlp import MLPClassifier, MLPRegressor")
    )
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef global_random_seed():\n    return 42\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        tmp_path,
    ]
    command += ["-c", "/dev/null", "-k", f"not ({' or '.join(NOT_OURS)})", tmp_path / "test_mlp.py"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 50  # type: ignore[index]


def test_meta_estimators_take_them() -> None:
    quick = MLPClassifier((8,), max_iter=15, learning_rate_init=0.05, random_state=0)
    pipeline = make_pipeline(StandardScaler(), quick)
    assert pipeline.fit(X_IRIS, IRIS).score(X_IRIS, IRIS) > 0.9
    assert np.mean(cross_val_score(pipeline, X_IRIS, IRIS, cv=3)) > 0.85

    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e3]}, cv=3, n_jobs=2)
    search.fit(X_IRIS, IRIS)
    assert search.best_params_ == {"mlpclassifier__alpha": 1e-4}

    calibrated = CalibratedClassifierCV(pipeline, cv=3).fit(X_IRIS, IRIS)
    np.testing.assert_allclose(calibrated.predict_proba(X_IRIS).sum(axis=1), 1.0)
    assert calibrated.score(X_IRIS, IRIS) > 0.9

    vote = VotingClassifier([("mlp", pipeline), ("linear", LogisticRegression())], voting="soft")
    assert vote.fit(X_IRIS, IRIS).score(X_IRIS, IRIS) > 0.9

    importance = permutation_importance(pipeline, X_IRIS, IRIS, n_repeats=3, random_state=0)
    assert np.argmax(importance.importances_mean) in (2, 3)  # the petals tell irises apart

    bagged = BaggingRegressor(
        MLPRegressor(hidden_layer_sizes=8, max_iter=15, learning_rate_init=0.05),
        n_estimators=2,
        n_jobs=2,
    )
    assert bagged.fit(X_DIABETES * 20, DIABETES / 100).score(X_DIABETES * 20, DIABETES / 100) > 0.2


def test_clone_and_set_params_keep_every_parameter() -> None:
    estimator = MLPClassifier(hidden_layer_sizes=[3, 4], activation=["tanh", "gelu"], dropout=0.1)
    copy = clone(estimator.set_params(class_weight={0: 2.0}, device="cpu"))
    assert copy.get_params() == estimator.get_params()
    assert not hasattr(copy, "coefs_")
    assert "device='cpu'" in repr(copy)
    with pytest.raises(
        ValueError, match=r"Invalid parameter .* 'hidden' \(did you mean 'hidden_layer_sizes'"
    ):
        copy.set_params(hidden=3)


@pytest.mark.parametrize(
    "dump",
    [lambda e, path: joblib.dump(e, path), lambda e, path: path.write_bytes(pickle.dumps(e))],
)
def test_a_pickled_estimator_predicts_and_goes_on_as_before(tmp_path: Path, dump: Any) -> None:
    estimator = MLPClassifier((8,), random_state=0)
    for _ in range(3):
        estimator.partial_fit(X_IRIS, IRIS, classes=[0, 1, 2])
    path = tmp_path / "estimator"
    dump(estimator, path)
    restored = joblib.load(path)
    np.testing.assert_array_equal(restored.predict_proba(X_IRIS), estimator.predict_proba(X_IRIS))
    for each in (estimator, restored):
        each.partial_fit(X_IRIS, IRIS)
    for a, b in zip(estimator.coefs_, restored.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_predictions_are_the_same_in_sixteen_threads() -> None:
    estimator = MLPClassifier((64, 32), max_iter=5, random_state=0).fit(X_IRIS, IRIS)
    x = np.tile(X_IRIS, (30, 1))
    expected = estimator.predict_proba(x).tobytes()
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda _: estimator.predict_proba(x).tobytes(), range(64))
    assert set(answers) == {expected}


def test_feature_names_are_kept_and_checked() -> None:
    frame = pd.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    estimator = MLPClassifier((8,), max_iter=3, early_stopping=True, random_state=0).fit(
        frame, IRIS
    )
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert estimator.n_features_in_ == 4
    estimator.predict(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X_IRIS)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1.0, 2.0, 3.0]], "X has 3 features, but MLPClassifier is expecting 4 features"),
        (np.array([[1.0, 2.0, 3.0, np.nan]]), "Input X contains NaN"),
        (np.array([[1.0, 2.0, 3.0, np.inf]]), "Input X contains infinity"),
        (np.ones(4), "Expected 2D array, got 1D array"),
        (np.ones((0, 4)), "0 sample"),
        (np.array([["a", "b", "c", "d"]]), "not compatible|could not convert"),
    ],
    ids=["width", "nan", "inf", "1d", "empty", "text"],
)
def test_predict_refuses_bad_input_in_scikit_learns_words(x: Any, message: str) -> None:
    estimator = MLPClassifier((8,), max_iter=2, random_state=0).fit(X_IRIS, IRIS)
    with pytest.raises(ValueError, match=message):
        estimator.predict(x)


def test_prediction_before_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        MLPClassifier().predict(X_IRIS)


BAD_PARAMETERS = {
    "hidden_layer_sizes": [0, -1, 2.5, "100", [3, 0], [3, 2.5], [[3]], None, True, [True]],
    "activation": [
        "swish",
        1,
        None,
        ["relu", "swish"],
        ["relu", "relu"],
        True,
        b"relu",
        [1],
        "",
        {},
    ],
    "solver": ["newton", 1, None, "", "ADAM", ["adam"], True, b"adam", 0.5, {}],
    "alpha": [-1, "1", None, np.nan, np.inf, True, [1], -1e-9, {}, "auto"],
    "batch_size": [0, -1, 1.5, "all", None, True, np.nan, [32], np.inf, {}],
    "learning_rate": ["fast", 1, None, "", ["constant"], True, 0.1, {}, "Constant", b"constant"],
    "learning_rate_init": [0, -1, "1", None, np.nan, np.inf, True, [0.1], {}, "auto"],
    "power_t": [-0.1, "1", None, np.nan, np.inf, True, [1], {}, "auto", -np.inf],
    "max_iter": [0, -1, 1.5, "10", None, True, np.nan, np.inf, [5], {}],
    "shuffle": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
    "random_state": [-1, 1.5, "0", 2**32, [0], True, np.nan, {}, np.random.default_rng(0), "None"],
    "tol": [-1, "1", None, np.nan, np.inf, True, [1], {}, -1e-9, "auto"],
    "verbose": [-1, "yes", None, 1.5, [], {}, np.nan, "True", [1], -5],
    "warm_start": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
    "momentum": [-0.1, 1.1, "0.9", None, np.nan, np.inf, True, [0.9], {}, -np.inf],
    "nesterovs_momentum": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
    "early_stopping": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
    "validation_fraction": [-0.1, 1, 1.5, "0.1", None, np.nan, np.inf, True, [0.1], {}],
    "beta_1": [-0.1, 1, 1.1, "0.9", None, np.nan, np.inf, True, [0.9], {}],
    "beta_2": [-0.1, 1, 1.1, "0.9", None, np.nan, np.inf, True, [0.9], {}],
    "epsilon": [0, -1, "1", None, np.nan, np.inf, True, [1], {}, "auto"],
    "n_iter_no_change": [0, -1, 1.5, "10", None, True, np.nan, [5], {}, -np.inf],
    "max_fun": [0, -1, 1.5, "10", None, True, np.nan, np.inf, [5], {}],
    "loss": ["hinge", 1, None, "", ["log_loss"], True, {}, b"log_loss", 0.5, "poisson"],
    "class_weight": ["even", 1, 0.5, True, "", (1, 2), "auto", np.nan, -1, b"balanced"],
    "dropout": [-0.1, 1, 1.5, "0.1", None, np.nan, np.inf, True, [0.1, 0.1], [2.0]],
    "initializer": ["best", 1, None, "", ["zeros"], True, {}, b"zeros", 0.5, "Zeros"],
    "clip_norm": [0, -1, "1", np.nan, np.inf, True, [1], {}, "auto", -0.5],
    "scoring": [1, 0.5, True, [], {}, ["accuracy"], b"loss", np.nan, -1, ("f1",)],
    "on_epoch": [1, 0.5, True, "print", {}, ["print"], b"", np.nan, -1, [1]],
    "device": ["gpu", 1, True, "", "cuda:x", "cpu:0", [], {}, b"cpu", "tpu"],
    "backend": ["tensorflow", 1, True, "", "NumPy", [], {}, b"numpy", 0.5, "np"],
    "dtype": ["float16", 1, True, "", np.float32, "f4", [], {}, "int32", "double"],
    "diagnose": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
    "reproducible": [1, 0, "yes", None, 1.0, [], {}, "True", np.nan, [True]],
}


@pytest.mark.parametrize("name", BAD_PARAMETERS)
def test_a_parameter_that_cannot_be_is_named_with_what_it_may_be(name: str) -> None:
    assert set(BAD_PARAMETERS) == set(MLPClassifier().get_params())
    assert len(BAD_PARAMETERS[name]) >= 10
    for value in BAD_PARAMETERS[name]:
        with pytest.raises(ValueError) as caught:
            MLPClassifier(**{"max_iter": 1, name: value}).fit(X_IRIS[:30], IRIS[:30] % 2)
        message = str(caught.value)
        assert name in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(150), "must contain at least one non-zero number"),
        (np.ones(149), r"sample_weight.shape == \(149,\), expected \(150,\)!"),
        (np.ones((150, 1)), "must be 1D array or scalar"),
        (np.full(150, np.nan), "Input sample_weight contains NaN"),
    ],
    ids=["zeros", "length", "2d", "nan"],
)
def test_sample_weights_that_cannot_be_are_refused(weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(max_iter=1).fit(X_IRIS, IRIS, sample_weight=weight)


def test_a_batch_of_zero_weights_changes_nothing() -> None:
    weight = np.ones(150)
    weight[50:100] = 0.0
    estimator = MLPClassifier((4,), max_iter=3, batch_size=50, shuffle=False, random_state=0)
    estimator.fit(X_IRIS, IRIS, sample_weight=weight)
    assert np.all(np.isfinite(estimator.loss_curve_))


@pytest.mark.parametrize("loss", ["poisson", "squared_error"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_regression_passes_over_batches_of_zero_weights(loss: str, alpha: float) -> None:
    y = np.floor(DIABETES[:60] / 50.0)
    if loss == "squared_error":
        y = np.stack([y, -y], axis=1)
    weight = np.repeat([0.0, 1.0], 30)
    estimator = MLPRegressor(
        loss,
        4,
        solver="sgd",
        alpha=alpha,
        batch_size=10,
        shuffle=False,
        max_iter=3,
        momentum=0.0,
        random_state=0,
    )
    whole = clone(estimator).fit(X_DIABETES[:60], y, sample_weight=weight)
    assert np.all(np.isfinite(whole.loss_curve_))
    if alpha == 0.0:
        part = clone(estimator).fit(X_DIABETES[30:60], y[30:])
        np.testing.assert_allclose(whole.predict(X_DIABETES), part.predict(X_DIABETES), rtol=1e-12)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_held_out_rows_that_weigh_nothing_are_refused(kind: Any) -> None:
    estimator = kind(hidden_layer_sizes=4, max_iter=2, early_stopping=True, random_state=0)
    weight = np.zeros(150)
    weight[0] = 1.0  # a row to train on
    with pytest.raises(ValueError, match="weights of the validation rows sum to zero"):
        estimator.fit(X_IRIS, IRIS, sample_weight=weight)


def test_labels_unseen_in_an_earlier_fit_are_refused() -> None:
    estimator = MLPClassifier((4,), max_iter=1)
    estimator.partial_fit(X_IRIS[:100], IRIS[:100], classes=[0, 1])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        estimator.partial_fit(X_IRIS, IRIS)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        estimator.partial_fit(X_IRIS[:100], IRIS[:100], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X_IRIS, IRIS)
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(X_DIABETES, DIABETES + 0.5)


def test_divergence_is_an_error_that_says_what_to_lower() -> None:
    estimator = MLPRegressor(hidden_layer_sizes=8, solver="sgd", learning_rate_init=1e6)
    with np.errstate(all="ignore"), pytest.raises(ValueError) as caught:
        estimator.fit(X_DIABETES, DIABETES)
    message = str(caught.value)
    assert "Solver produced non-finite parameter weights" in message  # what scikit-learn says
    assert "lower learning_rate_init" in message
    assert not hasattr(estimator, "coefs_")


@since_scikit_learn_1_9
def test_max_iter_before_convergence_warns_in_scikit_learns_words() -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached") as caught:
        MLPClassifier((4,), max_iter=2, random_state=0).fit(X_IRIS, IRIS)
    assert caught[0].filename == __file__


def test_the_example_of_devices_runs(run_python: Any) -> None:
    done = run_python(
        "import sys; from examples.scikit_learn_devices import main; sys.exit(main())"
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"numpy +numpy.ndarray +\d", done.stdout)
    assert re.search(r"auto +numpy.ndarray +\d", done.stdout)
