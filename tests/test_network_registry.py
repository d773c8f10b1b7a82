"""Functions of one's own: registered once, they are everywhere that the package's own are."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from anyarray_mlp import (
    MLP,
    MLPClassifier,
    MLPRegressor,
    TrainedModel,
    fit,
    gradcheck,
    load_model,
    predict,
    save_model,
    select_backend,
)
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.diagnosis.data_summary import baseline_loss
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.network import registry
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.losses import LOSSES, loss_function, softmax_cross_entropy, squared_error
from anyarray_mlp.network.registry import (
    BUILT_IN,
    OWN,
    check_pair,
    find_loss,
    is_known,
    loss_names,
    pairs,
    register_activation,
    register_loss,
)
from anyarray_mlp.parity.cases import all_cases
from anyarray_mlp.parity.comparison import compare


def swoosh(xp: Any, z: Any) -> Any:
    """z / (1 + |z|), softsign."""
    below = xp.abs(z) + 1.0
    return z / below, lambda da: da / (below * below)


def log_cosh(xp: Any, y: Any, targets: Any) -> Any:
    """sum_k log cosh(y - t)."""
    d = xp.abs(y - targets)
    losses = d + xp.softplus(d * -2.0) - float(np.log(2.0))
    return xp.sum(losses, axis=1), lambda g: xp.tanh(y - targets) * g


def focal(xp: Any, p: Any, targets: Any) -> Any:
    """-sum_k t (1 - p) log p."""
    away = 1.0 - p
    return -xp.sum(
        targets * away * xp.log(p), axis=1
    ), lambda g: targets * (xp.log(p) - away / p) * g


@pytest.fixture(autouse=True)
def own() -> Iterator[tuple[str, str, str]]:
    """The three, registered; afterwards the tables are as they were."""
    before = [dict(table) for table in (ACTIVATIONS, LOSSES, OWN)]
    try:
        yield (
            register_activation("swoosh", swoosh),
            register_loss("log_cosh", log_cosh),
            register_loss("focal", focal, output="softmax"),
        )
    finally:
        for table, kept in zip((ACTIVATIONS, LOSSES, OWN), before, strict=True):
            table.clear()
            table.update(kept)


def data(n: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 4))
    return x, np.sin(x[:, :1]) + x[:, 1:2] ** 2


def trained(mlp: MLP, library: str, **options: Any) -> Any:
    x, t = data()
    backend = select_backend(library, dtype="float64", **options)
    return fit(mlp, x, t, backend=backend, epochs=8, batch_size=10, seed=1)


@pytest.mark.usefixtures("x64_as_before")
@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict"])
def test_they_train_on_every_backend_as_on_numpy(library):
    pytest.importorskip(library)
    mlp = MLP((4, 8, 1), "swoosh", "identity", "log_cosh")
    expected, found = trained(mlp, "numpy"), trained(mlp, library)
    np.testing.assert_allclose(found.loss_curve, expected.loss_curve, rtol=1e-9)
    assert expected.loss_curve[-1] < 0.9 * expected.loss_curve[0]
    assert (
        trained(mlp, library, reproducible=True).hash
        == trained(mlp, "numpy", reproducible=True).hash
    )


def test_gradcheck_and_parity_take_them(cli):
    x, t = data(8)
    xp = select_backend(dtype="float64").xp
    assert gradcheck(MLP((4, 5, 1), "swoosh", "identity", "log_cosh"), x, t, xp=xp).ok
    rows = np.full((8, 3), 1 / 3)
    assert gradcheck(MLP((4, 5, 3), "swoosh", "softmax", "focal"), x, rows, xp=xp).ok
    code, out, _ = cli("gradcheck", "--activation", "swoosh", "--loss", "log_cosh")
    assert (code, "4 of 4 networks" in out) == (0, True)
    cases = [
        c
        for c in all_cases()
        if "swoosh" in c.mlp.activation or c.mlp.loss in ("log_cosh", "focal")
    ]
    assert [case.name for case in cases] == [
        "activation swoosh", "activation swoosh, far and near", "identity + log_cosh", "logistic + log_cosh",
        "softmax + log_cosh", "softmax + focal", "exp + log_cosh",
    ]  # fmt: skip
    assert compare(["numpy"], cases=cases, dtypes=["float32"]).ok
    # Where one departs, it is named.
    wrong = NumpyBackend("cpu", "float32")
    wrong.xp = PlainNamespace(np, overrides={"abs": lambda a: np.abs(a) * np.float32(1.5)})
    report = compare([wrong], cases=cases[:1])
    assert "in the forward pass, layer 0, swoosh: " in report.departures[0].message


def two_heads(xp: Any, y: Any, targets: Any) -> Any:
    """Cross-entropy of three classes, and the squared error of one value beside them."""
    one, one_vjp = softmax_cross_entropy(xp, y[:, :3], targets[:, :3])
    two, two_vjp = squared_error(xp, y[:, 3:] + y[:, 3][:, None] * 0.0, targets[:, 3:])
    return one + two, lambda g: xp.concat([one_vjp(g), two_vjp(g)], axis=1)


def test_a_loss_may_see_two_heads():
    with pytest.raises(UsageError, match=r"function\(xp, y, targets\) failed with IndexError"):
        register_loss("two_heads", two_heads)
    mlp = MLP((4, 5, 4), output="identity", loss=register_loss("two_heads", two_heads, columns=4))
    x, t = data(8)
    rows = np.append(np.eye(3)[[0, 1, 2, 2, 1, 0, 0, 1]], t, axis=1)
    assert gradcheck(mlp, x, rows, xp=select_backend(dtype="float64").xp).ok


def test_a_wrong_derivative_is_found_by_gradcheck():
    register_activation("wrong", lambda xp, z: (xp.tanh(z), lambda da: da))
    x, t = data(8)
    found = gradcheck(
        MLP((4, 5, 1), "wrong", "identity"), x, t, xp=select_backend(dtype="float64").xp
    )
    assert not found.ok


def test_a_network_keeps_the_name_and_the_function(own):
    mlp = MLP((4, 5, 3), own[0], "softmax", own[2])
    assert mlp == MLP((4, 5, 3), "swoosh", "softmax", "focal")
    assert mlp.to_config()["activation"] == ["swoosh"]
    assert type(mlp.to_config()["loss"]) is str
    assert MLP.from_config(json.loads(json.dumps(mlp.to_config()))) == mlp
    for again in (pickle.loads(pickle.dumps(mlp)), copy.deepcopy(mlp)):
        assert again == mlp
        assert again.activation[0].function is swoosh


def test_a_name_registered_again_leaves_networks_as_they_were():
    first = MLP((4, 5, 1), "swoosh", "identity")
    before = trained(first, "numpy").parameters
    register_activation("swoosh", ACTIVATIONS["tanh"])
    second = MLP((4, 5, 1), "swoosh", "identity")
    assert first != second
    np.testing.assert_array_equal(trained(first, "numpy").parameters, before)
    np.testing.assert_array_equal(
        trained(second, "numpy").parameters,
        trained(MLP((4, 5, 1), "tanh", "identity"), "numpy").parameters,
    )
    copied = pickle.loads(pickle.dumps(first))
    assert copied == first
    assert MLP((4, 5, 1), "swoosh", "identity") == second  # a pickle replaces nothing


def test_a_file_holds_the_name_and_asks_for_the_function(tmp_path, own):
    x, t = data()
    estimator = MLPRegressor("log_cosh", (8,), own[0], max_iter=2, random_state=0, tol=0).fit
    with pytest.warns(ConvergenceWarning):
        fitted = estimator(x, t[:, 0])
    save_model(fitted, tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(x), fitted.predict(x))
    model = TrainedModel.load(tmp_path / "m.safetensors")
    assert (model.mlp.activation, model.mlp.loss) == (("swoosh",), "log_cosh")
    for table, kind, name in ((LOSSES, "loss", "log_cosh"), (ACTIVATIONS, "activation", "swoosh")):
        del table[name]
        del OWN[kind, name]
        for load in (load_model, TrainedModel.load):
            with pytest.raises(
                ModelFileError,
                match=rf"m.safetensors cannot be used: config.{kind}\S* is '{name}' and must be one of .*; if it is a "
                rf"function of your own, register it before loading: register_{kind}\('{name}', function\)$",
            ):
                load(tmp_path / "m.safetensors")


def test_a_misspelt_name_in_a_file_is_a_broken_file():
    config = MLP((4, 5, 3)).to_config()
    for change in ({"activation": ["rellu"]}, {"activation": ["no name"]}, {"loss": "huber:-1"}):
        with pytest.raises(ModelFileError, match=r"fetch the file again or train the model again$"):
            MLP.from_config({**config, **change})


def test_estimators_take_them_and_other_processes_get_them(own):
    x, t = data(40)
    labels = (t[:, 0] > 0.5).astype(int) + (t[:, 0] > 1.5)
    classifier = MLPClassifier((6,), own[0], loss=own[2], max_iter=3, random_state=0)
    assert clone(classifier).activation.function is swoosh
    search = GridSearchCV(
        classifier, {"alpha": [0.0, 1.0], "activation": [own[0], "relu"]}, cv=2, n_jobs=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(x, labels)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    fitted = search.best_estimator_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(x), fitted.predict(x))
    with pytest.raises(UsageError, match="The 'loss' parameter of MLPRegressor must be"):
        MLPRegressor("cross_entropy").fit(x, t[:, 0])
    with pytest.raises(
        UsageError,
        match=r"loss='focal' cannot be used with output='identity'.*Use output='softmax'",
    ):
        MLPRegressor("focal").fit(x, t[:, 0])


def test_a_pickle_registers_what_a_fresh_process_does_not_know(run_python):
    mlp = MLP((4, 5, 1), "swoosh", "identity", "log_cosh")
    content = pickle.dumps(mlp)
    done = run_python(
        f"import pickle, sys; sys.path.insert(0, 'tests'); mlp = pickle.loads({content!r}); "
        "from anyarray_mlp import MLP; "
        "assert MLP((4, 5, 1), 'swoosh', 'identity', 'log_cosh') == mlp; print(mlp.activation, mlp.loss)"
    )
    assert done.stdout == "('swoosh',) log_cosh\n", done.stderr


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: register_activation("relu", swoosh), "'relu' is the activation 'relu', which comes with the package"),
        (lambda: register_activation("Sigmoid", swoosh), "'Sigmoid' is the activation 'logistic'"),
        (lambda: register_loss("auto", log_cosh), "'auto' is the loss 'auto'"),
        (lambda: register_activation("two words", swoosh), "letters, digits and underscores.*got 'two words'"),
        (lambda: register_activation(3, swoosh), "letters, digits and underscores.*got 3"),
        (lambda: register_activation("new", 3), "function must be a function"),
        (lambda: register_activation("new", np.tanh), "activation 'new': function.xp, z. failed with UFuncTypeError"),
        (lambda: register_activation("new", lambda xp, z: xp.tanh(z)), r"must return \(value, vjp\), got"),
        (lambda: register_activation("new", lambda xp, z: (3.0, swoosh)), "gave for the value 3.0, no array"),
        (
            lambda: register_activation("new", lambda xp, z: (z[:1], lambda da: da)),
            r"gave for the value float32 \(1, 3\) and must be float32 \(2, 3\)",
        ),
        (
            lambda: register_activation("new", lambda xp, z: (z, lambda da: da.astype(float))),
            r"gave a vjp whose gradient is float64 \(2, 3\) and must be float32",
        ),
        (lambda: register_activation("new", lambda xp, z: (z, lambda: z)), "its vjp failed with TypeError"),
        (
            lambda: register_loss("new", lambda xp, y, t: (xp.sum(y - t), lambda g: y * g)),
            r"for the losses float32 \(\) and must be float32 \(2,\)",
        ),
        (
            lambda: register_loss("new", lambda xp, y, t: (xp.sum(y - t, axis=1), lambda g: g)),
            r"a vjp whose gradient is float32 \(2, 1\) and must be float32 \(2, 3\)",
        ),
        (lambda: register_loss("new", log_cosh, output="soft"), "output must be one of"),
        (lambda: register_loss("new", log_cosh, columns=0), "columns must be"),
        (lambda: MLP((2, 3, 1), swoosh, "identity"), r"activation must be .*register_activation\(name, function\)"),
        (lambda: MLP((2, 3, 1), output="identity", loss=log_cosh), r"register_loss\(name, function\)"),
        (lambda: MLP((2, 3, 1), register_loss("a", log_cosh), "identity"), "'a' was registered as the loss"),
    ],
)  # fmt: skip
def test_what_is_no_function_of_its_kind_is_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()
    assert "new" not in {*ACTIVATIONS, *LOSSES}


def test_names_and_pairs():
    assert loss_names() == (*BUILT_IN["loss"][:-1], "log_cosh", "focal")
    assert [pair for pair in pairs() if pair[1] == "focal"] == [("softmax", "focal")]
    check_pair("softmax", "focal")
    assert is_known("activation", "swoosh")
    assert not is_known("loss", "swoosh")
    assert not is_known("activation", 3)
    assert registry.default_loss("identity") == "squared_error"


# --- losses with a number -----------------------------------------------------------------------------


def test_a_loss_is_named_with_its_number():
    spelt = {
        "huber:2": "huber:2.0", "Huber: 2.5": "huber:2.5", "smooth_l1:3e-1": "huber:0.3", "huber:1": "huber",
        "quantile:0.9": "quantile:0.9", "pinball:.1": "quantile:0.1", "quantile:0.5": "quantile",
    }  # fmt: skip
    for given, kept in spelt.items():
        assert find_loss(given) == kept
        mlp = MLP((2, 1), output="identity", loss=given)
        assert MLP.from_config(json.loads(json.dumps(mlp.to_config()))) == mlp
        assert mlp.loss == kept


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("huber:0", "delta must be a number above 0, as in huber:2.0"),
        ("huber:", "delta must be a number above 0"),
        ("huber:inf", "delta must be"),
        ("huber:1e999", "delta must be"),
        ("huber:1_0", "delta must be"),
        ("quantile:1", "level must be a number above 0 and below 1, as in quantile:0.9"),
        ("quantile:-.", "level must be"),
        ("mse:2", "a number goes with huber:DELTA and quantile:LEVEL only"),
        ("nonsense:2", "a number goes with"),
    ],
)
def test_numbers_that_a_loss_cannot_have_are_refused(loss, message):
    with pytest.raises(UsageError, match=message):
        MLP((2, 1), output="identity", loss=loss)
    assert not is_known("loss", loss)


def test_the_quantile_is_what_is_learned(cli):
    rng = np.random.default_rng(0)
    t = rng.exponential(size=(400, 1))
    mlp = MLP((1, 1), output="identity", loss="quantile:0.8")
    result = fit(
        mlp, np.zeros((400, 1)), t, epochs=150, batch_size=40, learning_rate_init=0.02, seed=0
    )
    outputs = predict(mlp, result.parameters, np.zeros((1, 1)))
    assert np.mean(t <= outputs[0, 0]) == pytest.approx(0.8, abs=0.03)
    code, _, err = cli(
        "train", "abs_sine", "--loss", "quantile:0.9", "--epochs", "2", "--out", "r", "--quiet"
    )
    assert code == 0, err
    assert TrainedModel.load("r").mlp.loss == "quantile:0.9"
    code, _, err = cli("train", "abs_sine", "--loss", "quantile:9", "--out", "q")
    assert (code, "level must be a number above 0 and below 1" in err) == (2, True)


@pytest.mark.parametrize(("loss", "constant"), [("quantile:0.9", 0.9), ("huber:0.01", 0.5)])
def test_the_best_constant_of_a_loss_counts_its_number(loss, constant):
    t = np.random.default_rng(0).exponential(size=(101, 1))
    mlp = MLP((1, 1), output="identity", loss=loss)
    best = np.full_like(t, np.quantile(t, constant))
    losses = loss_function(mlp.loss)(PlainNamespace(np), best, t)[0]
    assert baseline_loss(mlp, t) == pytest.approx(losses.mean(), rel=1e-12)
