"""Batches as the user gives them: the steps of the array form, to the bit, and what only arrays can have."""

from __future__ import annotations

import itertools
import signal
import threading

import numpy as np
import pandas
import pytest

from anyarray_mlp.backends import select_backend
from anyarray_mlp.backends.replay import replaying
from anyarray_mlp.data import Shuffler
from anyarray_mlp.diagnosis import fit
from anyarray_mlp.errors import DataError, DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import adam
from anyarray_mlp.network.schedules import constant, cosine
from anyarray_mlp.training import Recipe, train

NUMPY = select_backend("numpy", dtype="float64")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((70, 4))
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
WEIGHT = RNG.uniform(0.5, 1.5, 70)
NETWORK = MLP((4, 9, 2), "tanh", dropout=0.2)
OPTIONS = {"epochs": 3, "alpha": 1e-3, "clip_norm": 1.0, "learning_rate": "cosine", "warm_up": 1}


def cut(size, *arrays):
    """Arrays in batches of `size` rows."""
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


class Batches:
    """An iterable that begins anew each time, and knows its length."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)

    def __len__(self):
        return len(self.batches)


def by_a_generator(batches):
    def generator():
        yield from batches

    return generator


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("size", [8, 64])  # many steps, which are replayed, and few, which are not
def test_batches_train_to_the_bits_of_arrays_on_numpy(optimizer, size):
    options = {**OPTIONS, "optimizer": optimizer, "backend": NUMPY, "seed": 3}
    arrays = fit(
        NETWORK, X, LABELS, sample_weight=WEIGHT, shuffle=False, batch_size=size, **options
    )
    batches = fit(NETWORK, Batches(cut(size, X, LABELS, WEIGHT)), **options)
    assert batches.hash == arrays.hash
    assert [e.step for e in batches.history] == [e.step for e in arrays.history]
    assert [e.learning_rate for e in batches.history] == [e.learning_rate for e in arrays.history]


@pytest.mark.needs("values", "writable")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_batches_train_like_arrays_on_every_backend(backend, tolerance):
    options = {**OPTIONS, "backend": backend, "validation": (X, LABELS), "metrics": "accuracy"}
    arrays = fit(NETWORK, X, LABELS, shuffle=False, batch_size=32, **options)
    batches = fit(NETWORK, cut(32, X, LABELS), **options)
    np.testing.assert_allclose(batches.loss_curve, arrays.loss_curve, rtol=tolerance)
    np.testing.assert_allclose(batches.parameters, arrays.parameters, atol=tolerance)
    assert [e.scores for e in batches.history] == [e.scores for e in arrays.history]
    own = [(backend.asarray(x), backend.asarray(y)) for x, y in cut(32, X, LABELS)]
    assert np.array_equal(fit(NETWORK, own, **options).parameters, batches.parameters)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax", "array-api-strict"])
def test_batches_are_reproducible_everywhere(name):
    pytest.importorskip({"array-api-strict": "array_api_strict"}.get(name, name))
    # One layer without functions: XLA takes a minute for the reproducible arithmetic of more.
    mlp = MLP((4, 1), output="identity")
    x, targets, numpy = X[:64, :], X[:64, :1], select_backend("numpy", reproducible=True)
    expected = fit(mlp, x, targets, shuffle=False, backend=numpy, epochs=2, optimizer="sgd")
    backend = select_backend(name, reproducible=True)
    found = fit(mlp, cut(32, x, targets), backend=backend, epochs=2, optimizer="sgd")
    assert found.hash == expected.hash


def test_shuffled_batches_are_those_of_shuffled_arrays():
    shuffler = Shuffler(5)

    def in_order():
        order = shuffler.permutation(70)
        return cut(16, X[order], LABELS[order])

    options = {"epochs": 3, "seed": 5, "backend": NUMPY}
    expected = fit(NETWORK, X, LABELS, batch_size=16, **options)
    assert fit(NETWORK, in_order, **options).hash == expected.hash


def test_every_form_of_batches_gives_the_same():
    batches = cut(16, X, LABELS)
    expected = fit(NETWORK, batches, backend=NUMPY, epochs=2)
    frames = [(pandas.DataFrame(x), pandas.Series(y)) for x, y in batches]
    lists = [[x.tolist(), y.tolist()] for x, y in batches]
    for given in (
        tuple(batches),
        Batches(batches),
        by_a_generator(batches),
        lambda: iter(batches),
        frames,
        lists,
        [(x, y, None) for x, y in batches],
    ):
        assert fit(NETWORK, given, backend=NUMPY, epochs=2).hash == expected.hash
        assert fit(NETWORK, given, None, Recipe(epochs=2), backend=NUMPY).hash == expected.hash
    for given in (
        iter(batches),
        by_a_generator(batches)(),
        zip(*zip(*batches, strict=True), strict=True),
    ):
        once = fit(NETWORK, given, backend=NUMPY, epochs=1)
        assert once.loss_curve == expected.loss_curve[:1]


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_a_data_loader_gives_batches_to_every_backend(name):
    torch = pytest.importorskip("torch")
    pytest.importorskip(name)
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.tensor(X), torch.tensor(LABELS))  # float64 among float32 parameters
    loader = DataLoader(data, batch_size=16)
    backend = select_backend(name)
    options = {**OPTIONS, "backend": backend}
    expected = fit(NETWORK, cut(16, X, LABELS), **options)
    assert fit(NETWORK, loader, **options).hash == expected.hash
    with pytest.raises(UsageError, match="such as the DataLoader of a data set"):
        fit(NETWORK, data, **options)
    torch.manual_seed(0)
    shuffled = fit(
        NETWORK, DataLoader(data, batch_size=16, shuffle=True), backend=backend, epochs=2
    )
    torch.manual_seed(0)
    drawn = [(x, y) for _ in range(2) for x, y in DataLoader(data, batch_size=16, shuffle=True)]
    steps = iter(drawn)
    by_hand = fit(NETWORK, lambda: [next(steps) for _ in range(5)], backend=backend, epochs=2)
    assert shuffled.hash == by_hand.hash  # nothing else was drawn from the loader's generator
    wanting = [(torch.tensor(x, requires_grad=True), y) for x, y in cut(16, X, LABELS)]
    assert fit(NETWORK, wanting, **options).hash == expected.hash


def test_batches_of_unequal_size_weigh_by_their_rows():
    sizes = [1, 30, 7, 2, 30]
    stops = list(itertools.accumulate(sizes))
    batches = [(X[b - a : b], LABELS[b - a : b]) for a, b in zip(sizes, stops, strict=True)]
    mlp = MLP((4, 9, 2), "tanh")
    still = {"backend": NUMPY, "optimizer": "sgd", "learning_rate_init": 1e-300, "epochs": 2}
    uneven = fit(mlp, batches, **still)
    whole = fit(mlp, [(X, LABELS)], **still)
    assert uneven.loss_curve == pytest.approx(whole.loss_curve, rel=1e-12)
    assert uneven.history[-1].step == 10


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_memory_that_is_used_again_is_no_matter(name):
    pytest.importorskip(name)
    backend = select_backend(name)
    x, y = np.empty((10, 4)), np.empty(10, np.int64)

    def refilled():
        for i in range(0, 70, 10):
            x[...], y[...] = X[i : i + 10], LABELS[i : i + 10]
            yield x, y

    expected = fit(NETWORK, cut(10, X, LABELS), backend=backend, epochs=2)
    assert fit(NETWORK, refilled, backend=backend, epochs=2).hash == expected.hash


def test_bytes_and_sparse_rows_may_come_in_batches():
    scipy = pytest.importorskip("scipy.sparse")
    pixels = RNG.integers(0, 256, (40, 4), dtype=np.uint8)
    options = {"epochs": 2, "backend": NUMPY, "input_scale": 1 / 255}
    expected = fit(NETWORK, pixels, LABELS[:40], shuffle=False, batch_size=16, **options)
    found = fit(NETWORK, cut(16, pixels, LABELS[:40]), **options)
    assert found.hash == expected.hash
    rows = [(scipy.csr_array(x.astype(float)), y) for x, y in cut(16, pixels, LABELS[:40])]
    np.testing.assert_allclose(fit(NETWORK, rows, **options).parameters, expected.parameters)


def test_training_on_batches_goes_on_as_if_it_had_never_stopped():
    batches = cut(16, X, LABELS)
    options = {"backend": NUMPY, "optimizer": adam(), "learning_rate": constant(0.01), "seed": 4}
    whole = list(train(NETWORK, batches, epochs=4, **options))
    first = list(train(NETWORK, batches, epochs=2, **options))
    state = first[-1].snapshot()
    assert state.order == {}
    rest = list(train(NETWORK, batches, epochs=2, initial=state, **options))
    assert [e.loss for e in rest] == [e.loss for e in whole[2:]]
    assert np.array_equal(rest[-1].snapshot().parameters, whole[-1].snapshot().parameters)


def test_early_stopping_and_callbacks_see_the_epochs_of_batches():
    seen = []
    result = fit(
        NETWORK, cut(16, X, LABELS), epochs=200, early_stopping=True, patience=2, learning_rate_init=0.1,
        validation=(X, 1 - LABELS), callbacks=seen.append,
    )  # fmt: skip
    assert result.stopped == "early"
    assert tuple(seen) == result.history


def test_a_signal_ends_training_between_two_batches():
    def batches():
        yield X, LABELS
        signal.raise_signal(signal.SIGINT)
        yield X, LABELS
        yield X, LABELS

    assert threading.current_thread() is threading.main_thread()
    result = fit(NETWORK, batches, epochs=5)
    assert result.stopped == "interrupted"
    assert [(e.step, e.complete) for e in result.history] == [(1, False)]


def test_divergence_names_the_step_of_a_batch():
    with pytest.raises(DivergedError, match=r"The loss became .* at step 3"):
        fit(
            MLP((4, 1), output="identity"), [(X, X[:, :1] * s) for s in (1.0, 1.0, 1e200)],
            backend=NUMPY, epochs=2,
        )  # fmt: skip


@pytest.mark.parametrize("rate", ["constant", "plateau", cosine(0.01, total=9)])
def test_without_a_length_rates_that_need_none_work(rate):
    batches = by_a_generator(cut(16, X, LABELS))
    result = fit(NETWORK, batches, epochs=2, learning_rate=rate)
    assert [e.step for e in result.history] == [5, 10]


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        (by_a_generator([(X, LABELS)])(), {"epochs": 2},
         "A generator can be read only once, and there are 2 epochs: pass the function that makes it"),
        (zip(X, LABELS, strict=True), {}, "A zip can be read only once, and there are 100 epochs"),
        ([(X, LABELS)], {"batch_size": 8}, "batch_size=8 is for arrays"),
        ([(X, LABELS)], {"optimizer": "lbfgs"}, "lbfgs takes each step on all rows"),
        ([(X, LABELS)], {"diagnose": True}, "diagnosis .*rows from all over the data, which batches do not give"),
        ([(X, LABELS)], {"sample_weight": WEIGHT}, "in batches give the weights as the third item"),
        ([(X, LABELS)], {"validation": [(X, LABELS)]}, "validation must be a pair"),
        ([(X, LABELS)], {"validation": by_a_generator([])}, r"validation must be a pair \(x, targets\)"),
        ([(X, LABELS)], {"early_stopping": True}, "Early stopping watches validation_loss"),
        (by_a_generator([(X, LABELS)]), {"learning_rate": "cosine"}, "cosine needs to know how many batches"),
        (by_a_generator([(X, LABELS)]), {"warm_up": 1}, "warm_up needs to know how many batches"),
        (by_a_generator([(X, LABELS)]), {"steps_per_epoch": 3}, "itertools.islice"),
        (X, {}, "targets are missing: without them x must be a list of batches"),
        (pandas.DataFrame(X), {}, "targets are missing"),
        ("abc", {}, "Without targets x must be a list of batches .*, got 'abc'"),
        ({"x": X}, {}, "Without targets x must be a list of batches"),
        (7, {}, "Without targets x must be a list of batches .*, got 7"),
        (Batches, {}, "Without targets x must be a list of batches"),
        (lambda: 7, {}, "The function of batches must give an iterable of them, got 7"),
    ],
)  # fmt: skip
def test_what_goes_with_arrays_alone_is_refused(given, options, words):
    with pytest.raises(UsageError, match=words):
        fit(NETWORK, given, **options)


def test_a_recipe_and_an_order_do_not_pass_for_targets_and_batches():
    with pytest.raises(UsageError, match=r"targets is a Recipe: with batches, .* write recipe="):
        fit(NETWORK, [(X, LABELS)], Recipe(epochs=1))
    with pytest.raises(UsageError, match="shuffles is for arrays"):
        train(NETWORK, [(X, LABELS)], epochs=1, shuffles=Shuffler(0))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (X, r"a batch must be \(x, targets\) or \(x, targets, sample_weight\), got an array of shape"),
        ({"x": X, "y": LABELS}, "a batch must be"),
        ((X,), "a batch must be"),
        ((X, LABELS, WEIGHT, WEIGHT), "a batch must be"),
        ((X[:, :2], LABELS), r"x must have shape \(n, 4\)"),
        ((X[0], LABELS[0]), r"must be an array|x must have shape"),
        ((X, LABELS[:9]), "x has 70 rows and targets has 9"),
        ((X, LABELS + 1), "Labels must lie from 0 to 1"),
        ((X * np.nan, LABELS), "x holds nan in row 0, column 0"),
        ((X[:0], LABELS[:0]), "x has no rows: leave empty batches out"),
        ((X, ["no"] * 70), "targets must hold numbers"),
        ((X, LABELS, WEIGHT), "some batches have sample weights and others have none"),
        ((X, LABELS, WEIGHT[:3]), r"sample_weight must have shape \(70,\)"),
        ((None, LABELS), "x must be an array, a table or a list"),
        ((X, None), "targets must be an array, a table or a list"),
        ((X, None, WEIGHT), "targets must be an array, a table or a list"),
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_trained_on_is_named(second, words):
    with pytest.raises(DataError, match=rf"^Batch 1 \(from 0\) of epoch 1: .*({words})"):
        fit(NETWORK, [(X, LABELS), second], epochs=2)


def test_an_epoch_without_batches_is_refused():
    with pytest.raises(DataError, match=r"There is no batch in epoch 1: .* gives nothing"):
        fit(NETWORK, [])
    once = iter([(X, LABELS)])
    with pytest.raises(
        DataError, match=r"no batch in epoch 2: .*, as if it could be read only once"
    ):
        fit(NETWORK, lambda: once, epochs=2)


def test_what_the_users_function_raises_comes_through():
    def batches():
        yield X, LABELS
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fit(NETWORK, batches, epochs=1)


def test_many_sizes_are_recorded_for_some_of_them(monkeypatch):
    monkeypatch.setattr(replaying, "MOST_PLANS", 3)
    replays = []
    make = replaying.Replay.__init__

    def kept(self, *arguments):
        make(self, *arguments)
        replays.append(self)

    batches = [(X[:n], LABELS[:n]) for n in range(1, 9)] * 6
    expected = fit(NETWORK, batches, backend=NUMPY, epochs=2)
    monkeypatch.setattr(replaying.Replay, "__init__", kept)
    found = fit(NETWORK, batches, backend=NUMPY, epochs=2)
    (replay,) = replays
    assert replay.recordings == 3
    assert found.hash == expected.hash
