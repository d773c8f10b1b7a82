"""What every public function makes of options it does not know, and of values that cannot be.

The sweep goes through the signatures, so that a parameter added to a function is covered by itself.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import anyarray_mlp
from anyarray_mlp import (
    MLP,
    BestEpoch,
    EarlyStopping,
    MLPClassifier,
    MLPRegressor,
    Optimizer,
    Recipe,
    TrainedModel,
    adam,
    backprop,
    data,
    diagnosis,
    fit,
    fit_many,
    load_model,
    metrics,
    parity,
    predict,
    save_model,
    select_backend,
    train,
    train_table,
    training,
)
from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.checking.options import UnknownOptionError
from anyarray_mlp.checking.values import is_true, shown
from anyarray_mlp.errors import AnyArrayMLPError, DataError, UsageError
from anyarray_mlp.estimators.constraints import check_parameters
from anyarray_mlp.network import (
    before,
    by_parameter,
    exchange,
    functional,
    initializers,
    losses,
    optimizers,
    registry,
    schedules,
)
from anyarray_mlp.parity import finite_differences
from anyarray_mlp.pipeline.shape import Shape
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.training import predicting

X = np.random.default_rng(0).normal(size=(12, 2))
LABELS = (X[:, 0] > 0).astype(int)
ONE_HOT = np.eye(2)[LABELS]
NETWORK = MLP((2, 3, 2))
START = NETWORK.initialize()
FACTORS = [1.0] * len(NETWORK.layout.shapes)
OUTPUTS = predict(NETWORK, START, X).astype(float)


class HandWritten:
    """A network with a right backprop."""

    def __init__(self) -> None:
        self.W1, self.W2 = np.full((2, 3), 0.1), np.full((3, 2), 0.2)

    def forward(self, x: Any) -> Any:
        self.h = np.tanh(x @ self.W1)
        return self.h @ self.W2

    def gradients(self, x: Any, y: Any) -> Any:
        d = (self.forward(x) - y) / len(x)
        return [x.T @ ((d @ self.W2.T) * (1 - self.h**2)), self.h.T @ d]


def train_through(*args: Any, **options: Any) -> Any:
    return list(train(*args, **options))


def checked(kind: type) -> Callable[..., Any]:
    """An estimator's parameters as `fit` checks them, without the fit."""

    def make(**parameters: Any) -> None:
        check_parameters(kind(**parameters))

    make.__signature__ = inspect.signature(kind)  # type: ignore[attr-defined]
    make.__name__ = kind.__name__
    return make


train_through.__signature__ = inspect.signature(train)  # type: ignore[attr-defined]

BATCH: dict[str, Any] = {"mlp": NETWORK, "x": X, "targets": LABELS}
SCORED: dict[str, Any] = {"outputs": OUTPUTS, "targets": ONE_HOT}
FLOAT64 = select_backend(dtype="float64")
#: Public functions and classes, each with arguments that are right.
RIGHT: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (MLP, {"sizes": (2, 3, 2)}),
    (MLP, {"sizes": (2, 3, 2), "before": [before.Scale()], "parametric": True}),
    (before.Periodic, {}),
    (before.Scale, {}),
    (NETWORK.initialize, {}),
    (fit, {**BATCH, "recipe": Recipe(epochs=1)}),
    (training.fit, {**BATCH, "recipe": Recipe(epochs=1)}),
    (fit_many, {**BATCH, "recipe": Recipe(epochs=1), "seeds": [0, 1]}),
    (Recipe, {}),
    (Recipe, {"optimizer": "momentum", "early_stopping": True}),
    (Recipe, {"optimizer": "lbfgs"}),
    (
        train_through,
        {**BATCH, "recipe": Recipe(epochs=1)},
    ),
    (training.minimize, {**BATCH, "recipe": Recipe(epochs=1), "report": lambda epoch: None}),
    (predict, {"mlp": NETWORK, "parameters": START, "x": X}),
    (predicting.Predictor, {"mlp": NETWORK, "parameters": START, "backend": FLOAT64}),
    (select_backend, {}),
    (BestEpoch, {}),
    (EarlyStopping, {}),
    *((maker, {}) for maker in optimizers.OPTIMIZERS.values()),
    (
        Optimizer,
        {
            "name": "own",
            "n_moments": 0,
            "n_scalars": 1,
            "kernel": lambda *a: a,
            "scalars": lambda t, rate: (rate,),
        },
    ),
    (by_parameter.frozen, {"optimizer": optimizers.adam(), "mlp": NETWORK, "layers": [0]}),
    (by_parameter.with_factors, {"optimizer": optimizers.adam(), "mlp": NETWORK, "rates": FACTORS}),
    (exchange.to_pytorch_state, {"mlp": NETWORK, "parameters": START}),
    (exchange.to_keras_weights, {"mlp": NETWORK, "parameters": START}),
    (exchange.to_sklearn, {"mlp": NETWORK, "parameters": START}),
    *(
        (function, {"mlp": NETWORK, name: to(NETWORK, START)})
        for function, name, to in (
            (exchange.from_pytorch_state, "state", exchange.to_pytorch_state),
            (exchange.from_keras_weights, "weights", exchange.to_keras_weights),
        )
    ),
    (exchange.from_sklearn, {"estimator": exchange.to_sklearn(NETWORK, START)}),
    (schedules.constant, {"rate": 0.1}),
    (schedules.step_decay, {"rate": 0.1, "every": 3}),
    (schedules.exponential, {"rate": 0.1, "every": 3}),
    (schedules.cosine, {"rate": 0.1, "total": 9}),
    (schedules.flat_cos, {"rate": 0.1, "total": 9}),
    (schedules.coslog4, {"rate": 0.1, "total": 9}),
    (schedules.inverse_scaling, {"rate": 0.1}),
    (schedules.WarmUp, {"schedule": lambda step: 0.1, "steps": 3}),
    (schedules.ReduceOnPlateau, {"rate": 0.1}),
    (schedules.make_schedule, {"name": "step", "rate": 0.1, "steps_per_epoch": 3, "epochs": 4}),
    (initializers.uniform, {}),
    (initializers.normal, {}),
    *((score, SCORED) for metric in metrics.METRICS.values() for score in metric.scores.values()),
    (finite_differences.gradcheck, {**BATCH, "xp": FLOAT64.xp, "per_parameter": 1}),
    (data.Shuffler, {"seed": 0}),
    (data.split_indices, {"n": 9, "fraction": 0.3, "seed": 0}),
    (data.class_weights, {"labels": LABELS, "weights": "balanced"}),
    (data.load, {"source": "iris"}),
    (data.load_features, {"source": "iris"}),
    (diagnosis.RunMonitor, BATCH),
    (diagnosis.Details, {}),
    (train_table, {"data": "iris", "recipe": Recipe(epochs=1)}),
    (Table, {}),
    (Shape, {}),
    (Placement, {}),
    (backprop.Adapter, {}),
    (
        backprop.check_backprop,
        {"network": HandWritten(), "gradients": "gradients", "x": X, "y": ONE_HOT},
    ),
    (backprop.check_file, {"path": "absent.py"}),
    (diagnosis.load_diagnosis, {"run": "absent"}),
    (checked(MLPClassifier), {}),
    (checked(MLPRegressor), {}),
    (load_model, {"path": "absent"}),
    (TrainedModel.load, {"path": "absent"}),
]
#: Of the package's names, those that are swept as methods or have nothing to refuse.
ELSEWHERE = {
    "save_model": "test_saved_models",
    "TrainedModel": "test_saved_models",
    "backend_statuses": "takes nothing",
    "train": "train_through",
    "MLPClassifier": "checked",
    "MLPRegressor": "checked",
    "TablePreprocessor": "checked",
    "TabularMLPClassifier": "checked",
    "TabularMLPRegressor": "checked",
    "AnyArrayMLPError": "an error",
    "CollapsedFitWarning": "a warning",
    "DiagnosedFitWarning": "a warning",
    "Backend": "made by select_backend",
    "Epoch": "made by train",
    "Fit": "made by fit",
}


class Odd:
    """Nothing that anybody asked for."""


#: Values that no parameter is likely to take: most are refused, and some are right somewhere.
ABSURD: list[Any] = [
    *(
        None,
        True,
        "a",
        "",
        "a\0b",
        "y" * 300,
        "x" * 25_000,
        b"ab",
        -1,
        0,
        1,
        1.5,
        1j,
        10**400,
        10**12,
    ),
    *(
        math.nan,
        math.inf,
        -math.inf,
        [],
        {},
        (),
        set(),
        [1, "a"],
        [[1, 2], [3]],
        {"a": 1},
        range(3),
    ),
    *(Odd(), Odd, np.float32(0.5), np.array(0.1), np.zeros((3, 4, 5)), np.zeros(0)),
    *(np.array(["a", "b"]), np.array([1, None], dtype=object), np.full((12, 2), np.nan)),
    *(np.datetime64("2020-01-01"), np.full(len(START), np.inf)),
]
#: What a message calls a parameter where it does not take its name.
CALLED = {
    "initial": "Initial parameters",
    "name": "backend|learning_rate",
    "steps_per_epoch": "every",
    "epochs": "every",
    "warm_up_epochs": "steps",
    "weights": "class weight",
    "network": "weight matrices|forward",
    "x": "forward pass",
    "y": "forward pass",
}


def parameters_of(function: Callable[..., Any]) -> Iterator[str]:
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield name


def name_of(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def sweep(function: Callable[..., Any], right: dict[str, Any]) -> None:
    """Every parameter of a function with every absurd value: a success, or the package's own error in a line."""
    for name in parameters_of(function):
        for value in ABSURD:
            what = f"{name_of(function)}({name}={shown(value)})"
            try:
                function(**{**right, name: value})
            except AnyArrayMLPError as error:
                text = str(error)
                assert "\n" not in text, what
                assert len(text) < 700, f"{what}: {len(text)} characters"
                if type(error) is UsageError:
                    assert re.search(f"{name}|{CALLED.get(name, name)}", text), f"{what}: {text}"
            except Exception as error:
                raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


@pytest.mark.parametrize(("function", "right"), RIGHT, ids=lambda part: name_of(part)[:30])
def test_absurd_values_are_refused_in_one_line(
    function: Callable[..., Any],
    right: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="ignore"):
        sweep(function, right)


def test_functions_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # Some of the names are right, and stay in no table.
    for module in (functional, losses, registry):
        for table in ("ACTIVATIONS", "LOSSES", "OWN"):
            if hasattr(module, table):
                monkeypatch.setattr(module, table, dict(getattr(registry, table)))
    sweep(registry.register_activation, {"name": "own", "function": functional.tanh})
    sweep(registry.register_loss, {"name": "own", "function": losses.squared_error})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_saved_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimator = MLPClassifier(3, max_iter=2, learning_rate_init=0.1, tol=0.5, n_iter_no_change=1)
    estimator.fit(X, LABELS)
    save_model(estimator, "model")
    model = TrainedModel.load("model")
    sweep(save_model, {"estimator": estimator, "path": "model"})
    sweep(model.save, {"path": "model"})
    sweep(model.predict, {"features": X})
    sweep(model.scores, {"dataset": data.load("iris")})
    parts = ("mlp", "parameters", "preprocessor", "targets")
    sweep(TrainedModel, {part: getattr(model, part) for part in parts})


def test_every_public_name_is_swept() -> None:
    swept = {name_of(function) for function, _ in RIGHT}
    assert set(anyarray_mlp.__all__) - swept - ELSEWHERE.keys() == set()


# --- options that there are not ---


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda **o: fit(NETWORK, X, LABELS, **o), "fit"),
        (lambda **o: train(NETWORK, X, LABELS, epochs=1, **o), "train"),
        (lambda **o: training.fit(NETWORK, X, LABELS, **o), "fit"),
        (lambda **o: Recipe(**o), "Recipe"),
        (lambda **o: diagnosis.RunMonitor(NETWORK, X, LABELS, **o), "RunMonitor"),
        (lambda **o: training.minimize(NETWORK, X, LABELS, epochs=1, initial=START, report=len, **o), "minimize"),
        (lambda **o: finite_differences.gradcheck(NETWORK, X, LABELS, xp=FLOAT64.xp, **o), "gradcheck"),
        (lambda **o: MLPClassifier(**o), "MLPClassifier"),
        (lambda **o: MLPRegressor(**o), "MLPRegressor"),
        (lambda **o: MLPClassifier().set_params(**o), "MLPClassifier"),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_refused_in_the_name_of_what_was_called(call, named):
    with pytest.raises(
        UnknownOptionError, match=rf"\b{named} has no option 'alhpa' \(did you mean 'alpha'\?\)"
    ):
        call(alhpa=1.0)
    with pytest.raises(TypeError):  # as Python has it
        call(no_such_thing_at_all=1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit(NETWORK, X, LABELS, alhpa=1, verbose=1, lr=1), "'alpha'.*callbacks=.*'learning_rate_init'"),
        (lambda: diagnosis.RunMonitor(NETWORK, X, LABELS, batchsize=7), "RunMonitor.*'batch_size'"),
        (lambda: fit(NETWORK, X=X, y=LABELS), "'X' .*'x'.*'y' .*'targets'"),
        (lambda: fit(NETWORK, X, y=LABELS), "fit has no option 'y' .*'targets'"),
        (lambda: fit(NETWORK), "fit: missing a required .*'x'; it takes mlp, x, targets, recipe, and by name"),
        (lambda: fit(NETWORK, X, LABELS, None, 128), "fit: too many positional .*; it takes mlp, x, targets, recipe"),
        (lambda: fit(NETWORK, X, LABELS, optimizer="lbfgs", clip_norm=1), "clip_norm is .* by steps, and lbfgs"),
        (lambda: fit(NETWORK, X, LABELS, gradient_tol=1e-3), "gradient_tol is an option of lbfgs alone"),
        (lambda: fit(NETWORK, X, LABELS, stop_requested=len), "fit has no option 'stop_requested'"),
        (lambda: fit(NETWORK, X, LABELS, nothing_like_it=1), "'nothing_like_it': it takes diagnose, backend"),
        (lambda: MLP((2, 2), lr=0.1), "MLP has no option 'lr' \\(it is an option of fit"),
        (lambda: select_backend(gpu=True), "select_backend has no option 'gpu' \\(did you mean 'device'"),
        (lambda: adam(0.1, lr=0.1), "adam has no option 'lr' .*learning_rate_init of fit"),
        (lambda: optimizers.sgd(0.1), "sgd: too many positional arguments; it takes nothing"),
        (lambda: EarlyStopping(min_delta=1), "EarlyStopping .*'tol'"),
        (lambda: MLPClassifier().fit(X, LABELS, epochs=3), "MLPClassifier.fit .*go to the constructor"),
        (lambda: MLPClassifier().fit(X, LABELS, validation_data=0), "MLPClassifier.fit .*'X_val'"),
        (lambda: TrainedModel.load(file="model"), "TrainedModel.load has no option 'file' \\(did you mean 'path'"),
        (lambda: save_model(None, fname="model"), "save_model .*'path'"),
        (lambda: backprop.check_backprop(HandWritten(), X, ONE_HOT, gradient=1), "check_backprop.*'gradients'"),
        (lambda: backprop.Adapter(weight=["W1"]), "Adapter .*'weights'"),
        (lambda: data.split_indices(9, test_size=0.3, random_state=0), "split_indices .*'fraction'.*'seed'"),
        (lambda: data.load("iris", label="y"), "load has no option 'label' \\(did you mean 'target'"),
        (lambda: parity.compare(["numpy"], dtype="float32"), "compare .*'dtypes'"),
    ],
)  # fmt: skip
def test_the_answer_says_what_was_likely_meant(call, words):
    with pytest.raises(UnknownOptionError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


#: What people pass to `fit` of Keras, skorch, Lightning, XGBoost, LightGBM and fastai, and what it is here.
ELSEWHERE_CALLED = {
    "'epochs'": "nb_epoch n_epochs num_epochs max_epochs max_iter num_boost_round cyc_len",
    "'learning_rate_init'": "lr eta max_lr lr_max",
    "'batch_size'": "bs batchsize mini_batch_size train_batch_size",
    "'alpha'": "weight_decay wd l2 optimizer__weight_decay",
    "'validation'": "validation_data val_data eval_set evals valid_sets",
    "split_indices": "validation_split train_split",
    "'seed'": "random_state random_seed",
    "'sample_weight'": "sample_weights",
    "class_weights": "class_weight",
    "callbacks=": "verbose verbosity verbose_eval enable_progress_bar progress_bar_refresh_rate log_every_n_steps",
    "'patience'": "early_stopping_rounds",
    "'tol'": "min_delta",
    "'optimizer'": "solver opt_func",
    "optimizer=": "betas",
    "'momentum'": "optimizer__momentum",
    "select_backend": "device gpus accelerator devices precision dtype deterministic",
    "MLP\\(": "criterion loss_func activation hidden_layer_sizes dropout module__num_classes",
    "'clip_norm'": "gradient_clip_val clipnorm",
    "'metrics'": "eval_metric metric",
    "'shuffle'": "iterator_train__shuffle",
    "initial=": "initial_epoch start_epoch warm_start ckpt_path",
    "leave it out": "steps_per_epoch validation_steps validation_freq val_check_interval num_sanity_val_steps",
    "threads": "workers n_jobs nthread num_threads use_multiprocessing",
    # What there is nothing like: the options are listed.
    "it takes diagnose, backend": "max_queue_size default_root_dir sync_batchnorm feval maximize valid_names",
}


@pytest.mark.parametrize("meant", ELSEWHERE_CALLED)
def test_words_of_other_libraries(meant):
    for word in ELSEWHERE_CALLED[meant].split():
        with pytest.raises(UnknownOptionError, match=f"fit has no option '{word}'.*{meant}"):
            fit(NETWORK, X, LABELS, **{word: 1})


def test_options_of_the_other_training_may_be_given_their_default():
    fit(NETWORK, X, LABELS, epochs=1, optimizer="lbfgs", clip_norm=None)
    diagnosis.RunMonitor(NETWORK, X, LABELS, optimizer="lbfgs", clip_norm=None)


# --- callbacks ---

TRAINERS = [
    lambda callback: len(fit(NETWORK, X, LABELS, epochs=3, callbacks=callback).history),
    lambda callback: len(fit(NETWORK, X, LABELS, epochs=3, optimizer="lbfgs", callbacks=callback).history),
    lambda callback: MLPClassifier(3, max_iter=3, on_epoch=callback).fit(X, LABELS).n_iter_,
    lambda callback: MLPClassifier(3, max_iter=3, solver="lbfgs", on_epoch=callback).fit(X, LABELS).n_iter_,
    lambda callback: len(fit(NETWORK, X, LABELS, epochs=3, callbacks=callback, diagnose=True).history),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_only_true_ends_training(trainer, tmp_path):
    with open(tmp_path / "log", "w") as file:
        assert trainer(lambda epoch: file.write(f"{epoch.loss}\n")) == 3
    seen: list[Any] = []
    for answer in (
        None,
        False,
        np.False_,
        0,
        1,
        7,
        0.5,
        "stop",
        [0],
        np.float64(1),
        np.array([1.0]),
    ):
        assert trainer([lambda epoch, answer=answer: answer, seen.append]) == 3
    assert trainer(lambda epoch: epoch.epoch == 2 or None) == 2
    assert trainer([seen.append, lambda epoch: np.float64(epoch.loss) > 0]) == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(
    "error", [ValueError("theirs"), StopIteration("theirs"), KeyError("theirs"), SystemExit(3)]
)
def test_an_exception_of_a_callback_passes_unchanged(trainer, error):  # fmt: skip
    def fail(epoch):
        raise error

    with pytest.raises(type(error)) as caught:
        trainer(fail)
    assert caught.value is error


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (object(), "callbacks must be a function of an epoch"),
        ([print, 3], r"callbacks\[1\] must be a function of an epoch"),
        (
            [EarlyStopping],
            r"callbacks\[0\] must be an object, not the class itself \(write EarlyStopping",
        ),
        ("print", "callbacks must be a function of an epoch"),
    ],
)
def test_what_cannot_be_called_is_refused_before_training(callbacks, message):
    seen: list[Any] = []
    given = [seen.append, *callbacks] if isinstance(callbacks, list) else callbacks
    message = (
        message.replace("[1", "[2").replace("[0", "[1") if isinstance(callbacks, list) else message
    )
    with pytest.raises(UsageError, match=message):
        fit(NETWORK, X, LABELS, epochs=1, callbacks=given)
    assert seen == []


def test_early_stopping_is_no_number():
    with pytest.raises(UsageError, match="early_stopping must be an EarlyStopping"):
        fit(NETWORK, X, LABELS, epochs=1, early_stopping=3)


# --- what functions of the user's give back ---


@pytest.mark.parametrize(
    "rate", ["fast", None, math.nan, -0.1, math.inf, True, 2**70, np.array([0.1, 0.2])]
)
def test_a_schedule_gives_rates(rate):
    with pytest.raises(UsageError, match="learning rate of step 0 must be a number"):
        fit(NETWORK, X, LABELS, epochs=1, learning_rate=lambda step: rate)


@pytest.mark.parametrize("drawn", [None, 0.5, np.zeros((3, 2)), np.full((2, 3), np.nan), "auto"])
def test_an_initializer_gives_weights(drawn):
    with pytest.raises(UsageError, match="initializer must give"):
        fit(NETWORK, X, LABELS, epochs=1, initializer=lambda generator, fan_in, fan_out: drawn)


def test_shuffles_give_an_order():
    class Shuffles:
        def permutation(self, n):
            return np.arange(1, n + 1)

        def state(self):
            return {}

    with pytest.raises(UsageError, match="shuffles must give an order of 12 rows"):
        train_through(
            NETWORK,
            X,
            LABELS,
            epochs=1,
            shuffles=Shuffles(),
        )


@pytest.mark.parametrize("score", [None, "high", [1.0]])
def test_a_scorer_gives_a_number(score):
    estimator = MLPClassifier(
        3, early_stopping=True, validation_fraction=0.5, scoring=lambda estimator, x, y: score
    )
    with pytest.raises(UsageError, match="scoring must return a number"):
        estimator.fit(X, LABELS)


def test_an_exception_of_a_scorer_passes_unchanged():
    error = ValueError("theirs")

    def fail(estimator, x, y):
        raise error

    estimator = MLPClassifier(3, early_stopping=True, validation_fraction=0.5, scoring=fail)
    with pytest.raises(ValueError, match="theirs") as caught:
        estimator.fit(X, LABELS)
    assert caught.value is error


# --- how it is said ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MLP((2, 3, 2), activation=np.tanh), "activation must be one of identity, .*got <ufunc 'tanh'>"),
        (lambda: MLP((2, 3, 2), output=["softmax", "identity"]), r"output must be one of .*got \['softmax', 'iden"),
        (lambda: fit(NETWORK, X, LABELS, metrics=["a"]), "metrics must be one of accuracy, .*, got 'a'"),
        (lambda: fit(NETWORK, X, LABELS, task="a"), "task must be one of classification, .*got 'a'"),
        (lambda: EarlyStopping("a"), "monitor must be one of loss, .*, got 'a'"),
        (lambda: fit(NETWORK, X, LABELS, validation=(X,)), "validation must be a pair"),
        (lambda: fit(NETWORK, X, LABELS, backend="x" * 25_000), r"backend must be one of .*, got 'x+\.\.\.'\.$"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_parameter_and_its_values(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_one_metric_may_come_alone():
    validation = (X, LABELS)
    result = fit(NETWORK, X, LABELS, epochs=1, metrics="accuracy", validation=validation)
    assert [*result.history[-1].scores] == ["accuracy"]


def test_values_are_shown_short_and_on_one_line():
    assert shown("x" * 25_000) == "'" + "x" * 55 + "...'"
    assert shown([1] * 1000).endswith("...")
    assert shown(np.zeros((3, 2))) == "an array of shape (3, 2) and dtype float64"
    assert shown(np.float64(0.5)) == "0.5"

    class Lines:
        def __repr__(self) -> str:
            return "two\nlines"

    assert shown(Lines()) == "two lines"


def test_what_says_yes():
    assert is_true(True)
    assert is_true(np.True_)
    assert not any(map(is_true, (1, "yes", [0], np.array([True]), np.array(1), None, 0.5)))


def test_metrics_refuse_what_they_cannot_score():
    with pytest.raises(DataError, match=r"targets must have shape \(12,\) or \(12, 2\)"):
        metrics.accuracy(OUTPUTS, LABELS[:5])
    assert math.isnan(metrics.accuracy(np.full((12, 2), np.nan), LABELS))
