"""Training: the same curve on every backend, stopping, resuming, diverging, L-BFGS."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends import select_backend
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DataError, DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import adam, sgd
from anyarray_mlp.network.schedules import ReduceOnPlateau, constant
from anyarray_mlp.training import EarlyStopping, Recipe, fit, predict, train
from anyarray_mlp.training.feeds import Order, RowFeed
from anyarray_mlp.training.job import Rows, checked_job
from anyarray_mlp.training.signals import ENDINGS, ending_on, interruption
from anyarray_mlp.training.steps import dropout_keys

NUMPY = select_backend("numpy", dtype="float64")


def moons(n=120, seed=0):
    """Two interleaved half circles: x (n, 2), labels (n,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    angle = generator.uniform(0, np.pi, n)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(labels, -1, 1)[:, None]
    x += labels[:, None] * np.array([1.0, 0.5]) + generator.normal(0, 0.05, (n, 2))
    return x, labels


X, Y = moons()
NETWORK = MLP((2, 16, 8, 2), ("tanh", "relu"), dropout=(0.1, 0.0))


@pytest.mark.needs("values", "writable")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 2e-4)])
def test_a_seed_gives_the_same_loss_curve_on_every_backend(backend, tolerance):
    options = {
        "epochs": 4, "batch_size": 16, "seed": 2, "alpha": 1e-3, "clip_norm": 1.0,
        "learning_rate_init": 0.01, "learning_rate": "cosine",
        "sample_weight": np.linspace(0.5, 1.5, len(X)), "validation": moons(40, 1), "metrics": ["accuracy"],
    }  # fmt: skip
    expected = fit(NETWORK, X, Y, backend=NUMPY, **options)
    result = fit(NETWORK, X, Y, backend=backend, **options)
    np.testing.assert_allclose(result.loss_curve, expected.loss_curve, rtol=tolerance)
    np.testing.assert_allclose(result.validation_curve, expected.validation_curve, rtol=tolerance)
    np.testing.assert_allclose(result.parameters, expected.parameters, rtol=0, atol=50 * tolerance)
    assert [e.scores for e in result.history] == [e.scores for e in expected.history]


@pytest.mark.parametrize(
    "optimizer", ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "lbfgs"]
)
def test_every_optimizer_learns_moons(optimizer):
    mlp = MLP((2, 16, 2), "tanh")
    rate = {"sgd": 0.5, "momentum": 0.1, "nesterov": 0.1}.get(optimizer, 0.02)
    options = {} if optimizer == "lbfgs" else {"learning_rate_init": rate, "batch_size": 8}
    result = fit(mlp, X, Y, backend=NUMPY, optimizer=optimizer, epochs=100, **options)
    x, y = moons(200, 5)
    accuracy = (predict(mlp, result.parameters, x, backend=NUMPY).argmax(axis=1) == y).mean()
    assert accuracy >= 0.98
    assert result.loss_curve[-1] < 0.1 * result.loss_curve[0] + 0.02


def test_train_and_predict_take_a_backend_by_name():
    options = {"optimizer": adam(), "learning_rate": constant(0.01), "epochs": 1}
    (named,) = train(NETWORK, X, Y, backend="numpy", **options)
    (selected,) = train(NETWORK, X, Y, backend=select_backend("numpy"), **options)
    assert named.loss == selected.loss
    parameters = NETWORK.initialize(0)
    outputs = predict(NETWORK, parameters, X)
    assert np.array_equal(outputs, predict(NETWORK, parameters, X, backend="numpy"))


def test_an_epoch_uses_every_sample_once():
    order = np.random.default_rng(0).permutation(25)

    class Given:
        def permutation(self, n):
            return order

        def state(self):
            return {}

    job = checked_job(NETWORK, Recipe(), NUMPY)
    feed = RowFeed(job, Rows(X[:25], Y[:25], None), 4, [Order(25, Given())])
    parts = [portion.indices for portion in feed.portions()]
    assert [part.shape for part in parts] == [(6, 4), (1, 1)]
    np.testing.assert_array_equal(np.concatenate([part.ravel() for part in parts]), order)


def test_the_loss_of_an_epoch_averages_over_samples():
    mlp = MLP((2, 4, 2), "tanh")
    frozen = fit(mlp, X, Y, backend=NUMPY, optimizer="sgd", learning_rate_init=1e-300, epochs=1,
                 batch_size=50)  # fmt: skip
    loss, _ = mlp.loss_and_grad(PlainNamespace(np), (frozen.parameters,), X, Y)
    assert frozen.loss_curve[0] == pytest.approx(loss, rel=1e-12)


def test_dropout_keys_differ_by_seed_layer_and_step():
    keys = [dropout_keys(seed, layer, 0, 1000) for seed in (0, 1) for layer in (0, 1)]
    assert len(np.unique(np.concatenate(keys))) == 4000
    np.testing.assert_array_equal(dropout_keys(3, 1, 500, 10), dropout_keys(3, 1, 0, 510)[500:])


def test_training_goes_on_as_if_it_had_never_stopped():
    options = {
        "backend": NUMPY,
        "optimizer": adam(),
        "learning_rate": constant(0.01),
        "batch_size": 16,
        "seed": 4,
    }
    whole = list(train(NETWORK, X, Y, epochs=6, shuffles=Shuffler(4), **options))
    shuffles = Shuffler(4)
    first = list(train(NETWORK, X, Y, epochs=3, shuffles=shuffles, **options))
    state = first[-1].snapshot()
    again = Shuffler(99)
    again.restore(state.order)
    second = list(train(NETWORK, X, Y, epochs=3, shuffles=again, initial=state, **options))
    assert [e.loss for e in first + second] == [e.loss for e in whole]
    np.testing.assert_array_equal(second[-1].snapshot().parameters, whole[-1].snapshot().parameters)
    assert (second[-1].epoch, second[-1].step) == (whole[-1].epoch, whole[-1].step)


def test_a_snapshot_that_comes_too_late_is_refused():
    epochs = train(
        NETWORK, X, Y, backend=NUMPY, optimizer=sgd(), learning_rate=constant(0.1), epochs=2
    )
    first = next(epochs)
    next(epochs)
    with pytest.raises(UsageError, match="take it before the next epoch runs"):
        first.snapshot()


@pytest.mark.parametrize("monitor", ["loss", "validation_loss", "accuracy"])
def test_early_stopping_keeps_the_best(monitor):
    stopping = EarlyStopping(monitor, patience=3)
    mlp = MLP((2, 16, 2))
    # At this rate the figures jump about, so the best epoch is not the last.
    result = fit(mlp, X, Y, backend=NUMPY, learning_rate_init=0.3, epochs=200,
                 early_stopping=stopping, validation=moons(60, 3), metrics=["accuracy"])  # fmt: skip
    assert result.stopped == "early"
    figures = [epoch.record()[monitor] for epoch in result.history]
    best = max(figures) if monitor == "accuracy" else min(figures)
    assert figures[stopping.best_epoch - 1] == best
    assert len(figures) < 200
    np.testing.assert_array_equal(result.parameters, stopping.best_parameters)


def test_early_stopping_on_what_is_not_measured_is_refused():
    with pytest.raises(UsageError, match="validation_loss, which is not measured"):
        fit(NETWORK, X, Y, backend=NUMPY, epochs=2, early_stopping=EarlyStopping())
    with pytest.raises(UsageError, match=r"monitor must be one of loss, .*, got 'precision'"):
        EarlyStopping("precision")


def test_the_rate_falls_on_a_plateau():
    schedule = ReduceOnPlateau(0.1, patience=2, tol=10.0)
    result = fit(NETWORK, X, Y, backend=NUMPY, learning_rate=schedule, epochs=7)
    assert [e.learning_rate for e in result.history] == pytest.approx(
        [0.1, 0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    )


def test_a_record_goes_out_when_the_schedule_knows_of_the_epoch():
    schedule, seen = ReduceOnPlateau(0.1, patience=2, tol=10.0), []
    fit(NETWORK, X, Y, backend=NUMPY, learning_rate=schedule, epochs=4, callbacks=[
        lambda epoch: seen.append(schedule.state()["waited"])
    ])  # fmt: skip
    assert seen == [0, 1, 0, 1]


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_a_loss_that_is_not_finite_stops_at_once(optimizer):
    mlp = MLP((2, 8, 1), "relu", "identity")
    x, targets = X * 1e200, Y[:, None] * 1e200
    with pytest.raises(DivergedError, match="standardise the inputs") as caught:
        fit(mlp, x, targets, backend=NUMPY, optimizer=optimizer, learning_rate_init=1.0, epochs=5)
    assert caught.value.exit_code == 3
    assert np.all(np.isfinite(caught.value.parameters))


def test_divergence_names_the_step_and_gives_the_parameters_of_the_epoch_before():
    mlp = MLP((2, 1), output="identity")
    options = {
        "backend": NUMPY, "optimizer": "sgd", "learning_rate_init": 1e30, "batch_size": 40,
        "initial": mlp.initialize(0), "shuffle": False,
    }  # fmt: skip
    targets = Y[:, None] * 1.0
    after_two = fit(mlp, X, targets, epochs=2, **options)
    with pytest.raises(DivergedError, match=r"became inf at step 7, in epoch 3: lower") as caught:
        fit(mlp, X, targets, epochs=3, **options)
    np.testing.assert_array_equal(caught.value.parameters, after_two.parameters)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_and_keeps_what_was_learned(number):
    before = signal.getsignal(number)
    with ending_on(ENDINGS):
        result = fit(NETWORK, X, Y, backend=NUMPY, epochs=10_000,
                     callbacks=[lambda epoch: epoch.epoch == 3 and signal.raise_signal(number) and None])  # fmt: skip
    assert result.stopped == "interrupted"
    assert result.signal == number
    assert len(result.history) == 3
    assert signal.getsignal(number) is before
    reference = fit(NETWORK, X, Y, backend=NUMPY, epochs=3)
    np.testing.assert_array_equal(result.parameters, reference.parameters)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending_on(ENDINGS), interruption() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert asked.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_script_that_is_asked_to_end_is_not_left_with_a_network_cut_short():
    """`timeout` and `kill` end the process: a fit that caught the signal let the script run on."""

    class Ended(Exception):
        pass

    def end(*_):
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(Ended):
            fit(NETWORK, X, Y, backend=NUMPY, epochs=10_000,
                callbacks=[lambda epoch: signal.raise_signal(signal.SIGTERM)])  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupted_twice():
    with interruption() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.is_set()
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_aborts():
    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()


#: Another signal at each line that runs while the first is handled; whatever comes of it, nothing may wait for ever.
SIGNALS_WITHIN_A_SIGNAL = """
import signal, sys
from anyarray_mlp.training.signals import interruption

def again(frame, event, argument):
    global turn
    if event == "line" and depth(frame) < 60:
        turn += 1
        if turn == at:
            signal.raise_signal(signal.SIGINT)
    return again

def depth(frame):
    return 0 if frame is None else 1 + depth(frame.f_back)

at = 0
while True:
    at, turn = at + 1, 0
    try:
        with interruption() as asked:
            sys.settrace(again)
            signal.raise_signal(signal.SIGINT)
            sys.settrace(None)
            assert asked.is_set()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    if turn < at:
        break
print(at)
"""


def test_a_signal_while_another_is_handled_never_hangs():
    command = [sys.executable, "-c", SIGNALS_WITHIN_A_SIGNAL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) > 4


def test_training_in_another_thread_leaves_signals_alone():
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(NETWORK, X, Y, epochs=2)))
    thread.start()
    thread.join()
    assert results[0].stopped == "finished"


def test_early_stopping_begins_afresh_with_each_fit():
    stopping = EarlyStopping("loss", patience=3)
    fit(MLP((2, 16, 2)), X, Y, backend=NUMPY, epochs=5, early_stopping=stopping)
    small = MLP((2, 3, 2))
    result = fit(small, X, Y, backend=NUMPY, epochs=5, early_stopping=stopping)
    assert result.parameters.shape == (small.layout.size,)
    assert result.stopped == "finished"
    again = fit(small, X, Y, backend=NUMPY, epochs=5, early_stopping=EarlyStopping("loss"))
    np.testing.assert_array_equal(result.parameters, again.parameters)


def test_parameters_that_overflow_in_the_last_step_are_not_handed_out():
    float32 = select_backend()
    options = {"batch_size": len(X), "optimizer": "sgd", "learning_rate_init": 3e38}
    mlp = MLP((2, 8, 2))
    with pytest.raises(DivergedError, match="no longer finite after step 1, in epoch 1") as caught:
        fit(mlp, 1000 * X, Y, backend=float32, epochs=1, **options)
    np.testing.assert_array_equal(caught.value.parameters, mlp.initialize(0).astype(np.float32))


def test_a_stop_after_the_last_step_of_an_epoch_leaves_it_complete():
    options = {
        "backend": NUMPY,
        "optimizer": adam(),
        "learning_rate": constant(0.01),
        "epochs": 3,
        "batch_size": 50,
    }
    (epoch,) = train(MLP((2, 4, 2)), X[:100], Y[:100], stop_requested=lambda: True, **options)
    assert (epoch.epoch, epoch.step, epoch.complete) == (1, 2, True)
    (epoch,) = train(MLP((2, 4, 2)), X, Y, stop_requested=lambda: True, **options)
    assert (epoch.epoch, epoch.step, epoch.complete) == (0, 2, False)


def test_sparse_validation_rows_and_sparse_lbfgs_are_made_dense():
    sparse = pytest.importorskip("scipy.sparse")
    held_out = moons(40, 1)
    options = {"backend": NUMPY, "epochs": 3}
    for optimizer in ("adam", "lbfgs"):
        expected = fit(MLP((2, 4, 2)), X, Y, optimizer=optimizer, validation=held_out, **options)
        rows = sparse.csr_matrix(held_out[0]), held_out[1]
        result = fit(
            MLP((2, 4, 2)), sparse.csr_matrix(X), Y, optimizer=optimizer, validation=rows, **options
        )
        assert result.validation_curve == expected.validation_curve


@pytest.mark.parametrize("options", [{"max_evaluations": 5}, {"epochs": 2}])
def test_lbfgs_that_runs_out_has_finished(options):
    result = fit(MLP((2, 16, 2)), X, Y, backend=NUMPY, optimizer="lbfgs", **options)
    assert result.stopped == "finished"
    stopped = fit(
        MLP((2, 16, 2)),
        X,
        Y,
        backend=NUMPY,
        optimizer="lbfgs",
        callbacks=[lambda epoch: True],
        **options,
    )
    assert (stopped.stopped, len(stopped.history)) == ("callback", 1)


def test_lbfgs_counts_on_from_a_state():
    first = fit(MLP((2, 16, 2)), X, Y, backend=NUMPY, optimizer="lbfgs", epochs=3)
    state = first.history[-1].snapshot()
    second = fit(MLP((2, 16, 2)), X, Y, backend=NUMPY, optimizer="lbfgs", epochs=2, initial=state)
    assert [(e.epoch, e.step) for e in second.history] == [(4, 4), (5, 5)]
    assert second.loss_curve[0] < first.loss_curve[-1]


def test_a_callback_can_end_training():
    result = fit(
        NETWORK, X, Y, backend=NUMPY, epochs=50, callbacks=[lambda epoch: epoch.epoch == 2]
    )
    assert (result.stopped, len(result.history)) == ("callback", 2)


def test_lbfgs_converges_and_refuses_dropout():
    mlp = MLP((2, 3), output="identity")
    targets = X @ np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]) + 0.25
    result = fit(mlp, X, targets, backend=NUMPY, optimizer="lbfgs", epochs=200, gradient_tol=1e-9)
    assert result.stopped == "converged"
    np.testing.assert_allclose(
        result.parameters, [1, 2, 3, 0, -1, 0.5, 0.25, 0.25, 0.25], atol=1e-5
    )
    with pytest.raises(UsageError, match="dropout"):
        fit(NETWORK, X, Y, backend=NUMPY, optimizer="lbfgs")


def test_bytes_are_trained_on_as_they_are_and_scaled_in_the_step():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 9), dtype=np.uint8)
    labels = (pixels.mean(axis=1) > 127).astype(np.int64)
    mlp = MLP((9, 8, 2), "tanh")
    options = {"backend": NUMPY, "epochs": 5, "seed": 1}
    by_byte = fit(mlp, pixels, labels, input_scale=1 / 255, **options)
    by_float = fit(mlp, pixels * (1 / 255), labels, **options)
    np.testing.assert_allclose(by_byte.loss_curve, by_float.loss_curve, rtol=1e-12)
    np.testing.assert_allclose(
        predict(mlp, by_byte.parameters, pixels, backend=NUMPY, input_scale=1 / 255),
        predict(mlp, by_byte.parameters, pixels * (1 / 255), backend=NUMPY),
        rtol=1e-12,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adagrad"}, "optimizer must be one of sgd, .*lbfgs, got 'adagrad'"),
        ({"learning_rate": "linear"}, "learning_rate must be one of constant"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"initial": np.zeros(3)}, r"must have shape \(202,\)"),
        ({"metrics": ["speed"], "validation": (X, Y)}, "metrics must be one of"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        fit(NETWORK, X, Y, backend=NUMPY, epochs=1, **options)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -5}, "alpha must be at least 0 and finite, got -5"),
        ({"alpha": float("nan")}, "alpha must be at least 0 and finite, got nan"),
        ({"validation": (X, Y + 5)}, "The validation set: Labels must lie from 0 to 1"),
        ({"validation": (X * np.nan, Y)}, "The validation set: x holds nan in row 0"),
        ({"validation": (X[:, :1], Y)}, r"The validation set: x must have shape \(n, 2\)"),
        ({"validation": (X[:0], Y[:0])}, "The validation set has no rows"),
        ({"sample_weight": np.ones(100)}, r"sample_weight must have shape \(120,\)"),
        ({"sample_weight": np.full(120, np.inf)}, "sample_weight holds inf in row 0"),
        ({"initial": np.zeros(3)}, r"\(22,\)"),
    ],
)  # fmt: skip
def test_settings_and_data_that_cannot_be_trained_with_are_refused(optimizer, options, message):
    with pytest.raises((DataError, UsageError), match=message):
        fit(MLP((2, 4, 2)), X, Y, backend=NUMPY, optimizer=optimizer, epochs=1, **options)


@pytest.mark.parametrize("clip_norm", [0, -1.0, float("nan")])
def test_a_gradient_cannot_be_clipped_to_nothing(clip_norm):
    with pytest.raises(UsageError, match="clip_norm must be positive"):
        fit(MLP((2, 4, 2)), X, Y, backend=NUMPY, epochs=1, clip_norm=clip_norm)


def test_a_gradient_too_long_to_be_measured_is_told():
    float32 = select_backend()
    mlp = MLP((2, 8, 2), output="identity")
    with pytest.raises(DivergedError, match="standardise the inputs"):
        fit(mlp, X * 1e11, np.stack([Y, Y], 1) * 1e11, backend=float32, epochs=5, clip_norm=1.0)


def test_a_state_of_another_network_is_refused():
    state = fit(MLP((2, 8, 2)), X, Y, backend=NUMPY, epochs=1).history[-1].snapshot()
    for options in ({"optimizer": "adam"}, {"optimizer": "sgd"}):
        sizes = (2, 4, 2) if options["optimizer"] == "adam" else (2, 8, 2)
        with pytest.raises(UsageError, match="same network and optimizer"):
            fit(MLP(sizes), X, Y, backend=NUMPY, epochs=1, initial=state, **options)


def test_arrays_that_no_backend_can_take_are_refused():
    torch = pytest.importorskip("torch")
    for x, message in (
        (torch.asarray(X), "numpy backend cannot take a torch.Tensor"),
        ({"a": X}, "x must be an array, a table or a list of rows, got {'a'"),
    ):
        with pytest.raises(DataError, match=message):
            fit(MLP((2, 4, 2)), x, Y, backend=NUMPY, epochs=1)
    with pytest.raises(DataError, match="x has 120 rows and targets has 50"):
        fit(MLP((2, 4, 2)), torch.asarray(X), torch.asarray(Y[:50]), backend="torch", epochs=1)


def test_a_backend_may_be_named():
    expected = fit(MLP((2, 4, 2)), X, Y, backend=select_backend("numpy"), epochs=2)
    assert fit(MLP((2, 4, 2)), X, Y, backend="numpy", epochs=2).loss_curve == expected.loss_curve


def test_a_number_is_no_schedule():
    with pytest.raises(UsageError, match="a rate is given as learning_rate_init"):
        fit(MLP((2, 4, 2)), X, Y, learning_rate=0.01)


def test_a_named_schedule_spans_the_epochs_done_and_to_come():
    options = {"backend": NUMPY, "learning_rate": "cosine"}
    first = fit(MLP((2, 4, 2)), X, Y, epochs=10, **options)
    second = fit(MLP((2, 4, 2)), X, Y, epochs=10, initial=first.history[-1].snapshot(), **options)
    rates = [epoch.learning_rate for epoch in second.history]
    assert rates[0] == pytest.approx(0.0005, rel=0.2)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-6


def test_a_step_of_a_named_optimizer_is_compiled_once():
    assert Recipe().step_optimizer() is Recipe(epochs=3).step_optimizer()


def test_what_does_not_fit_the_network_is_not_predicted_with():
    mlp = MLP((2, 4, 2))
    with pytest.raises(UsageError, match=r"have shape \(22,\), got \(40,\)"):
        predict(mlp, np.zeros(40), X, backend=NUMPY)
    for x in (X[None], X[:, :1]):
        with pytest.raises(DataError, match=r"x must have shape \(n, 2\)"):
            predict(mlp, mlp.initialize(0), x, backend=NUMPY)


def test_a_fit_can_be_pickled_with_its_figures():
    result = fit(MLP((2, 4, 2)), X, Y, backend=NUMPY, epochs=2)
    copied = pickle.loads(pickle.dumps(result))
    assert copied.loss_curve == result.loss_curve
    np.testing.assert_array_equal(copied.parameters, result.parameters)
    with pytest.raises(UsageError, match="take its snapshot where it was trained"):
        copied.history[-1].snapshot()


def test_whole_numbers_may_be_sample_weights():
    weight = np.arange(len(X)) % 3
    curves = [
        fit(MLP((2, 4, 2)), X, Y, backend=NUMPY, epochs=2, sample_weight=w).loss_curve
        for w in (weight, weight.astype(float))
    ]
    assert curves[0] == curves[1]


def test_nothing_to_train_on_is_refused():
    with pytest.raises(UsageError, match="x has no rows"):
        fit(NETWORK, X[:0], Y[:0], backend=NUMPY, epochs=1)
