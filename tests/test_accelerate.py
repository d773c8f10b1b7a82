"""scikit-learn's MLPs in unchanged code: what trains them, what they are afterwards, what is said."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import load_diabetes, load_iris
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor

from anyarray_mlp import accelerate
from anyarray_mlp.accelerate import methods
from anyarray_mlp.errors import BackendUnavailableError, UsageError

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X, Y = load_iris(return_X_y=True)
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)
ROOT = Path(__file__).parent.parent


@pytest.fixture
def accelerated() -> Iterator[None]:
    """scikit-learn's MLPs trained by this package, until the test is over."""
    accelerate.install()
    yield
    accelerate.uninstall()


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the estimators that this package trains from now on."""
    names: list[str] = []
    train = methods.train

    def noted(ours: Any, *rest: Any) -> None:
        names.append(type(ours).__name__)
        train(ours, *rest)

    monkeypatch.setattr(methods, "train", noted)
    return names


def both(run: Any) -> tuple[Any, Any]:
    """What a function returns with scikit-learn's own methods, and with those of this package."""
    own = run()
    accelerate.install()
    try:
        return own, run()
    finally:
        accelerate.uninstall()


def same_state(one: Any, other: Any, rtol: float) -> None:
    """Two estimators have the same attributes with the same values."""
    assert type(one) is type(other)
    assert set(vars(one)) == set(vars(other))
    for name, value in vars(one).items():
        if name in ("coefs_", "intercepts_"):
            for a, b in zip(value, vars(other)[name], strict=True):
                assert a.dtype == b.dtype
                assert np.allclose(a, b, rtol=rtol, atol=rtol)
        elif name.endswith(("loss_", "loss_curve_", "score_", "scores_")) and value is not None:
            assert np.allclose(value, vars(other)[name], rtol=rtol)
        elif name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
            assert value == vars(other)[name]


CASES: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"solver": "sgd", "momentum": 0.0},
    "nesterov": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling"},
    "early": {"early_stopping": True},
    "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_fit_leaves_what_scikit_learns_leaves(options: Any, trained_here: list[str]) -> None:
    options = {"hidden_layer_sizes": (6, 5), "max_iter": 8, "random_state": 3, **options}
    for kind, x, y in ((MLPClassifier, X, Y), (MLPRegressor, X_DIABETES, DIABETES / 100)):
        own, ours = both(lambda kind=kind, x=x, y=y: kind(**options).fit(x, y))
        same_state(own, ours, 1e-9)
        assert np.allclose(own.predict(x), ours.predict(x), rtol=1e-8)
    assert trained_here == ["MLPClassifier", "MLPRegressor"]


@pytest.mark.parametrize("options", [CASES["adam"], CASES["nesterov"], CASES["momentum"]])
def test_training_in_parts_goes_on_as_scikit_learns_does(options: Any) -> None:
    """Through a pickle between any two calls, and from one's calls to the other's."""

    def run(kind: Any, x: Any, y: Any, first: dict[str, Any]) -> Any:
        estimator = kind(
            hidden_layer_sizes=5, random_state=0, warm_start=True, max_iter=3, **options
        )
        estimator.partial_fit(x, y, **first)
        for _ in range(3):
            estimator = pickle.loads(pickle.dumps(estimator)).partial_fit(x, y)
        return estimator.fit(x, y)

    for kind, x, y, first in (
        (MLPClassifier, X, Y, {"classes": [0, 1, 2]}),
        (MLPRegressor, X_DIABETES, DIABETES / 100, {}),
    ):
        own, ours = both(lambda kind=kind, x=x, y=y, first=first: run(kind, x, y, first))
        same_state(own, ours, 1e-9)
        going_on = copy.deepcopy(own)
        same_state(own.partial_fit(x, y), ours.partial_fit(x, y), 1e-9)
        continued = both(lambda kept=going_on, x=x, y=y: copy.deepcopy(kept).partial_fit(x, y))
        same_state(*continued, 1e-9)


def test_a_generator_is_drawn_from_as_scikit_learn_does() -> None:
    def run() -> Any:
        generator = np.random.RandomState(5)
        MLPClassifier(3, max_iter=2, random_state=generator).fit(X, Y)
        return generator.random_sample()

    own, ours = both(run)
    assert own == ours


def test_predictions_use_the_present_weights(accelerated: None) -> None:
    estimator = MLPRegressor(hidden_layer_sizes=4, random_state=0, max_iter=5).fit(
        X_DIABETES, DIABETES
    )
    before = estimator.predict(X_DIABETES)
    estimator.intercepts_[-1][:] += 2.0
    assert np.allclose(estimator.predict(X_DIABETES) - before, 2.0)


def test_a_subclass_that_computes_for_itself_keeps_its_own_code(
    accelerated: None, trained_here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    class Still(MLPClassifier):
        def _backprop(self, *arguments: Any) -> Any:
            loss, coefs, intercepts = super()._backprop(*arguments)
            return loss, [0 * c for c in coefs], [0 * b for b in intercepts]

    for _ in range(2):
        estimator = Still(4, random_state=0, max_iter=3).fit(X, Y)
    assert np.ptp(estimator.loss_curve_) < 1e-12
    assert trained_here == []
    said = (
        "anyarray_mlp.accelerate: Still runs with scikit-learn's own code: it overrides _backprop\n"
    )
    assert capsys.readouterr().err == said


def test_what_this_package_refuses_scikit_learn_does(
    accelerated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that overflows, and a second early stopping over other rows."""
    wild = MLPRegressor(hidden_layer_sizes=3, solver="lbfgs", random_state=0, max_iter=3)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="Input X contains infinity"):
        wild.fit(X_DIABETES * np.inf, DIABETES)
    assert capsys.readouterr().err == ""
    estimator = MLPClassifier(3, early_stopping=True, warm_start=True, max_iter=2, random_state=0)
    estimator.fit(X, Y).fit(X, Y)
    assert "it continues with early stopping" in capsys.readouterr().err
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        MLPClassifier(3, early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])


def test_a_refused_fit_draws_again_from_the_same_state(
    accelerated: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(ours: Any, *rest: Any) -> None:
        ours.random_state.random_sample(7)
        raise UsageError("not today")

    monkeypatch.setattr(methods, "train", refused)
    estimator = MLPClassifier(3, max_iter=2, random_state=np.random.RandomState(1)).fit(X, Y)
    assert "scikit-learn's own code: UsageError: not today" in capsys.readouterr().err
    accelerate.uninstall()
    own = MLPClassifier(3, max_iter=2, random_state=np.random.RandomState(1)).fit(X, Y)
    assert np.array_equal(estimator.coefs_[0], own.coefs_[0])


def test_a_warning_that_is_an_error_leaves_the_estimator_fitted(accelerated: None) -> None:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    estimator = MLPClassifier(3, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="Maximum iterations"):
            estimator.fit(X, Y)
    assert estimator.n_iter_ == 2


def test_other_networks_are_named(accelerated: None, capsys: pytest.CaptureFixture[str]) -> None:
    BernoulliRBM(2, n_iter=1, random_state=0).fit(X > 1)
    assert "BernoulliRBM runs with scikit-learn's own code" in capsys.readouterr().err


def test_uninstalling_gives_every_method_back() -> None:
    own = {key: getattr(*key) for key in [(methods.BASE, "_fit"), (BernoulliRBM, "fit")]}
    accelerate.install()
    accelerate.install(dtype="float32")
    assert MLPClassifier(2, max_iter=1).fit(X, Y).coefs_[0].dtype == np.float32
    accelerate.uninstall()
    accelerate.uninstall()
    assert {key: getattr(*key) for key in own} == own


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"device": "gpu0"}, UsageError, "gpu0"),
        ({"backend": "tensorflow"}, UsageError, "backend must be a str among"),
        ({"dtype": "int8"}, UsageError, "dtype must be a str among"),
        ({"device": "cuda:99"}, BackendUnavailableError, "--device cpu|cuda"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_runs(
    options: Any, kind: Any, message: str
) -> None:
    with pytest.raises(kind, match=message):
        accelerate.install(**options)
    assert methods.INSTALLED == []


def fitted_in_worker(estimator: Any) -> tuple[Any, bool]:
    """An estimator fitted in another process, and whether this package trained it there."""
    return estimator.fit(X, Y), bool(methods.INSTALLED)


@pytest.mark.slow
def test_estimators_that_are_sent_to_other_processes_are_accelerated(accelerated: None) -> None:
    estimator = MLPClassifier(3, max_iter=2, random_state=0)
    jobs = Parallel(n_jobs=2)(delayed(fitted_in_worker)(estimator) for _ in range(2))
    assert [there for _, there in jobs] == [True, True]
    expected = estimator.fit(X, Y).coefs_[0]
    assert all(np.array_equal(fitted.coefs_[0], expected) for fitted, _ in jobs)


def run_module(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`python -m anyarray_mlp.accelerate ARGUMENTS` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "anyarray_mlp.accelerate", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_script_runs_unchanged_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("ANSWER = 42\n")
    (tmp_path / "script.py").write_text(
        "import pickle, sys\n"
        "from beside import ANSWER\n"
        "from sklearn.neural_network import MLPClassifier\n"
        "estimator = MLPClassifier(2, max_iter=1).fit([[0.0], [1.0]], [0, 1])\n"
        "assert __name__ == '__main__'\n"
        "pickle.dump(estimator, open(sys.argv[2], 'wb'))\n"
        "print(ANSWER, sys.argv[1:], MLPClassifier._fit.__module__, estimator)\n"
        "sys.exit(7)\n"
    )
    done = run_module("-W", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    options = ("--backend", "numpy", "script.py", "--device", "fitted.pkl")
    done = run_module(*options, folder=tmp_path)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("42 ['--device', 'fitted.pkl'] ")
    assert "MLPClassifier(hidden_layer_sizes=2, max_iter=1)" in done.stdout
    assert type(pickle.loads((tmp_path / "fitted.pkl").read_bytes())) is MLPClassifier
    assert b"anyarray" not in (tmp_path / "fitted.pkl").read_bytes()
    done = run_module("nothing.py", folder=tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "error: nothing.py: no such file: give the script to run.\n",
    )
