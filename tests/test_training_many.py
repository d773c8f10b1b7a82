"""`fit_many`: every network comes out as `fit` alone makes it, whatever the others of its stack do."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, EarlyStopping, Fit, Recipe, adam, fit, fit_many, select_backend, train
from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import DataError, DivergedError, UsageError
from anyarray_mlp.network.schedules import ReduceOnPlateau
from anyarray_mlp.training import many
from anyarray_mlp.training import stacked as stacked_runs
from anyarray_mlp.training.batches import alike
from tests.beds import require_library

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
LABELS = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int) + (X[:, 3] > 0.5)
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)
WEIGHTS = RNG.uniform(0.5, 2.0, 60)
MLP_3 = MLP((4, 7, 3), "tanh", dropout=0.2)
NUMPY = select_backend(dtype="float64")
folds = np.arange(60) % 7
#: Training rows of each of five networks, 51 or 52, and those that it is measured on.
ROWS = [np.flatnonzero(folds != fold) for fold in range(5)]
HELD_OUT = [np.flatnonzero(folds == fold) for fold in range(5)]
STOPPING: dict[str, Any] = {"early_stopping": True, "patience": 2, "monitor": "accuracy"}
RECIPES = [
    Recipe(epochs=4, batch_size=10, learning_rate_init=rate, alpha=alpha, seed=seed, metrics="accuracy", **stopping)
    for rate, alpha, seed, stopping in [
        (0.01, 0.0, 3, {}), (0.3, 0.1, 1, STOPPING), (0.1, 0.0, 4, {}), (0.3, 0.1, 1, {}), (0.02, 1.0, 5, STOPPING),
    ]
]  # fmt: skip


def alone(place: int, backend: Backend = NUMPY, **options: Any) -> Fit:
    """What `fit` makes of one of the five."""
    rows, held_out = ROWS[place], HELD_OUT[place]
    return fit(
        MLP_3, X[rows], LABELS[rows], RECIPES[place], backend=backend, sample_weight=WEIGHTS[rows],
        validation=(X[held_out], LABELS[held_out]), **options,
    )  # fmt: skip


def together(backend: Backend = NUMPY, **options: Any) -> list[Fit]:
    return fit_many(
        MLP_3, X, LABELS, RECIPES, backend=backend, sample_weight=WEIGHTS, rows=ROWS, validation=HELD_OUT, **options
    )  # fmt: skip


def assert_same(found: Fit, expected: Fit, exactly: bool = False) -> None:
    """Two results are the same, to the bit or to rounding."""
    assert found.stopped == expected.stopped
    assert len(found.history) == len(expected.history)
    if exactly:
        assert found.hash == expected.hash
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-7, atol=1e-9)
    assert found.parameters.dtype == expected.parameters.dtype
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert (ours.epoch, ours.step, ours.complete) == (
            theirs.epoch,
            theirs.step,
            theirs.complete,
        )
        assert ours.scores == theirs.scores
        assert ours.learning_rate == theirs.learning_rate
        np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-7)
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-7)
        assert (ours.validation_loss is None) == (theirs.validation_loss is None)
        if ours.validation_loss is not None:
            assert ours.validation_loss == pytest.approx(theirs.validation_loss, rel=1e-7)
    assert found.origin == expected.origin


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many networks each stack had, as it began and as it went on."""
    sizes: list[int] = []
    whole = stacked_runs.Stepper

    class Noting(whole):  # type: ignore[misc, valid-type]
        def __init__(self, members: Any, *rest: Any, **options: Any) -> None:
            sizes.append(len(members))
            super().__init__(members, *rest, **options)

        def go_on(self, places: list[int]) -> None:
            sizes.append(len(places))
            super().go_on(places)

    monkeypatch.setattr(stacked_runs, "Stepper", Noting)
    return sizes


@pytest.mark.on("numpy", "numpy-readonly", "strict", "cupy-like", "jax-device2", "torch")
def test_every_network_is_as_alone_on_every_backend(backend, stacked):
    results = together(backend)
    assert stacked[0] == 5
    for place, result in enumerate(results):
        expected = alone(place)
        found = [
            result.parameters,
            *(e.step_losses for e in result.history),
            result.validation_curve,
        ]
        wanted = [
            expected.parameters,
            *(e.step_losses for e in expected.history),
            expected.validation_curve,
        ]
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
        assert result.stopped == expected.stopped


@pytest.mark.usefixtures("x64_as_before")
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("numpy", "float32"),
        ("numpy", "float64"),
        ("array_api_strict", "float32"),
        ("torch", "float32"),
    ],
)
def test_reproducible_networks_have_the_bits_that_they_have_alone(name, dtype):
    require_library(name)
    backend = select_backend(name, dtype=dtype, reproducible=True)
    numpy = select_backend(dtype=dtype, reproducible=True)
    results = together(backend)
    for place, result in enumerate(results):
        assert result.hash == alone(place, numpy).hash


@pytest.mark.usefixtures("x64_as_before")
def test_compiled_networks_have_the_bits_that_they_have_alone():
    require_library("jax")
    mlp = MLP((4, 3, 2), "relu", "identity", dropout=0.3)
    recipes = [Recipe(epochs=2, batch_size=30, optimizer="momentum", alpha=a) for a in (0.1, 0.7)]
    backend = select_backend("jax", reproducible=True)
    found = fit_many(mlp, X, Y, recipes, seeds=[0, 1], backend=backend)
    for seed, result in enumerate(found):
        numpy = select_backend(reproducible=True)
        assert result.hash == fit(mlp, X, Y, recipes[seed], backend=numpy, seed=seed).hash


def test_a_network_that_stops_early_leaves_the_others_as_they_are(stacked):
    """The second and the fifth stop before the others; a stack of three goes on as it was, one of two is smaller."""
    results = together(epochs=30)
    ends = [len(result.history) for result in results]
    assert [result.stopped for result in results] == [
        "finished",
        "early",
        "finished",
        "finished",
        "early",
    ]
    assert (ends[0], ends[2], ends[3]) == (30, 30, 30)
    assert stacked == [5, 0]
    for place, result in enumerate(results):
        assert_same(result, alone(place, epochs=30), exactly=True)


def test_a_stack_that_half_have_left_is_made_anew_for_the_others(stacked):
    epochs = (9, 2, 4, 1, 7)
    recipes = [Recipe(epochs=each, batch_size=10, optimizer="momentum") for each in epochs]
    results = fit_many(
        MLP_3, X, LABELS, recipes, seeds=range(5), backend=NUMPY, validation=(X, LABELS)
    )
    assert stacked == [5, 2, 1, 0]
    for seed, result in enumerate(results):
        expected = fit(
            MLP_3, X, LABELS, recipes[seed], seed=seed, backend=NUMPY, validation=(X, LABELS)
        )
        assert_same(result, expected)
    assert fit_many(MLP_3, X, LABELS, seeds=[1, 2], epochs=0)[1].history == ()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_network_that_diverges_does_not_end_the_others(early_stopping):
    recipes = [
        Recipe(epochs=5, optimizer="sgd", learning_rate_init=rate, early_stopping=early_stopping)
        for rate in (1e-3, 1e200, 1e-2)
    ]
    mlp = MLP((4, 5, 2), "relu", "identity")
    options: dict[str, Any] = {"backend": NUMPY, "validation": (X, Y)}
    with pytest.warns(RuntimeWarning, match=r"1 of 3 networks diverged, at the places \[1\]"):
        results = fit_many(mlp, X, Y, recipes, **options)
    assert [result.stopped for result in results] == ["finished", "diverged", "finished"]
    with pytest.raises(DivergedError) as error:
        fit(mlp, X, Y, recipes[1], **options)
    np.testing.assert_array_equal(results[1].parameters, error.value.parameters)
    assert np.all(np.isfinite(results[1].parameters))
    for place in (0, 2):
        assert_same(results[place], fit(mlp, X, Y, recipes[place], **options))


def test_what_is_alike_is_trained_at_once_and_what_is_not_comes_out_the_same(stacked):
    other = MLP((4, 5, 3), "relu")
    mlps = [MLP_3, other, MLP_3, other, MLP_3, MLP_3, MLP_3]
    recipes = [
        Recipe(epochs=2), Recipe(epochs=3), Recipe(epochs=2, learning_rate="cosine"), Recipe(epochs=2),
        Recipe(epochs=2, optimizer="sgd"), Recipe(epochs=2, batch_size=100), Recipe(epochs=2, clip_norm=0.1),
    ]  # fmt: skip
    results = fit_many(mlps, X, LABELS, recipes, seeds=range(7), backend=NUMPY)
    assert [size for size in stacked if size] == [2, 2, 1, 1, 1, 1]
    for place, result in enumerate(results):
        expected = fit(mlps[place], X, LABELS, recipes[place], seed=place, backend=NUMPY)
        assert_same(result, expected)


class Counted(MLP):
    """Of a class of one's own, which may know nothing of stacks."""


def test_what_is_in_no_stack_is_trained_alone(stacked):
    mlps = [MLP((4, 3)), Counted((4, 7, 3), "tanh"), MLP_3]
    recipes = [Recipe(epochs=3, optimizer="lbfgs"), Recipe(epochs=2), Recipe(epochs=2)]
    results = fit_many(
        mlps, X, LABELS, recipes, rows=[ROWS[0], ROWS[1], ROWS[0]], validation=HELD_OUT[:3]
    )
    assert [size for size in stacked if size] == [1]
    for place, rows in enumerate((ROWS[0], ROWS[1], ROWS[0])):
        held_out = X[HELD_OUT[place]], LABELS[HELD_OUT[place]]
        expected = fit(mlps[place], X[rows], LABELS[rows], recipes[place], validation=held_out)
        assert_same(results[place], expected)


def test_a_class_of_ones_own_that_diverges_is_told_as_well():
    options: dict[str, Any] = {"optimizer": "sgd", "learning_rate_init": 1e30, "epochs": 3}
    mlp = Counted((4, 5, 2), "relu", "identity")
    with pytest.warns(RuntimeWarning, match="2 of 2 networks diverged"):
        results = fit_many(mlp, X, Y, seeds=[0, 1], **options)
    assert [result.stopped for result in results] == ["diverged", "diverged"]


def test_large_networks_are_in_small_groups_and_groups_are_of_about_one_size():
    def groups(mlp: MLP, count: int) -> list[int]:
        shared = stacked_runs.Shared(None, None, select_backend(), None)  # type: ignore[arg-type]
        each = [
            stacked_runs.Candidate(n, mlp, Recipe(), None, None, None, shared) for n in range(count)
        ]
        return [len(group) for group in many.groups_of(each, 60, shared.backend)]

    assert groups(MLP((64, 100, 10)), 9) == [5, 4]
    assert groups(MLP((4, 4, 3)), 8) == [8]
    assert groups(MLP((20, 256, 256, 256, 1), output="identity"), 3) == [1, 1, 1]


def test_neighbours_are_told_by_where_they_differ():
    assert alike("aabccc") == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert alike("a") == [slice(0, 1)]


# --- data in every form ----------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_sparse_rows_bytes_and_a_librarys_own_arrays(library):
    sparse = pytest.importorskip("scipy.sparse")
    require_library(library)
    backend = select_backend(library)
    options: dict[str, Any] = {"epochs": 2, "batch_size": 8, "backend": backend}
    pixels = RNG.integers(0, 256, (60, 4)).astype(np.uint8)
    mask = folds != 2
    for x, scale in (
        (sparse.csr_matrix(np.maximum(X, 0.0)), None),
        (pixels, 1 / 255),
        (backend.asarray(X), None),
    ):
        found = fit_many(
            MLP_3, x, LABELS, seeds=[0, 1], rows=[mask, ROWS[3]], validation=[None, HELD_OUT[3]],
            input_scale=scale, **options,
        )  # fmt: skip
        for seed, rows in enumerate((np.flatnonzero(mask), ROWS[3])):
            held_out = (x[HELD_OUT[3]], LABELS[HELD_OUT[3]]) if seed else None
            expected = fit(
                MLP_3, x[rows], LABELS[rows], seed=seed, validation=held_out, input_scale=scale, **options
            )  # fmt: skip
            np.testing.assert_allclose(
                found[seed].parameters, expected.parameters, rtol=1e-3, atol=1e-5
            )
            np.testing.assert_allclose(
                found[seed].validation_curve, expected.validation_curve, rtol=1e-4
            )


def test_a_table_gives_its_columns_and_every_result_can_be_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    from anyarray_mlp import TrainedModel

    frame = pandas.DataFrame(X, columns=list("abcd"))
    target = pandas.Series(LABELS, name="kind")
    results = fit_many(MLP_3, frame, target, seeds=[5, 6], epochs=2)
    expected = fit(MLP_3, frame, target, seed=6, epochs=2)
    assert results[1].origin == expected.origin
    results[1].save(tmp_path / "model.safetensors")
    labels = TrainedModel.load(tmp_path / "model.safetensors").predict(frame)
    assert labels.shape == (60,)


def test_one_target_a_row_and_pairs_for_each_network():
    mlp, pairs = MLP((4, 5, 1), output="identity"), [(X[:9], Y[:9, 0]), (X[9:30], Y[9:30, 0])]
    results = fit_many(mlp, X, Y[:, 0], seeds=[1, 2], validation=pairs, epochs=2, backend=NUMPY)
    for seed, result in enumerate(results, 1):
        expected = fit(
            mlp, X, Y[:, 0], seed=seed, validation=pairs[seed - 1], epochs=2, backend=NUMPY
        )
        assert_same(result, expected)


def test_training_goes_on_from_states_of_different_steps():
    states = []
    for seed, epochs in ((0, 2), (1, 3)):
        *_, last = train(MLP_3, X, LABELS, seed=seed, epochs=epochs, backend=NUMPY)
        states.append(last.snapshot())
    assert states[0].step != states[1].step
    results = fit_many(MLP_3, X, LABELS, seeds=[0, 1], initial=states, epochs=2, backend=NUMPY)
    for seed, result in enumerate(results):
        expected = fit(MLP_3, X, LABELS, seed=seed, initial=states[seed], epochs=2, backend=NUMPY)
        assert_same(result, expected)
    vectors = [MLP_3.initialize(7), MLP_3.initialize(8).astype(np.float32)]
    results = fit_many(MLP_3, X, LABELS, initial=vectors, epochs=1, backend=NUMPY)
    for vector, result in zip(vectors, results, strict=True):
        assert_same(result, fit(MLP_3, X, LABELS, initial=vector, epochs=1, backend=NUMPY))


def test_what_remembers_is_each_networks_own():
    """A schedule and an early stopping that several are given watch every network for itself."""
    plateau = ReduceOnPlateau(0.5, patience=1, tol=0.05)
    stopping = EarlyStopping("loss", patience=3, tol=1e-2)
    recipe = Recipe(optimizer=adam(), learning_rate=plateau, early_stopping=stopping, epochs=12)
    results = fit_many(MLP_3, X, LABELS, recipe, seeds=range(3), backend=NUMPY)
    assert (plateau.rate, stopping.best_parameters) == (0.5, None)
    for seed, result in enumerate(results):
        fresh = Recipe(
            optimizer=adam(), learning_rate=ReduceOnPlateau(0.5, patience=1, tol=0.05),
            early_stopping=EarlyStopping("loss", patience=3, tol=1e-2), epochs=12, seed=seed,
        )  # fmt: skip
        assert_same(result, fit(MLP_3, X, LABELS, fresh, backend=NUMPY))
    assert len({result.history[-1].learning_rate for result in results}) > 1


def test_rows_as_they_lie_and_rows_that_come_twice():
    rows = np.array([3, 3, 50, 7, 9, 9, 0])
    recipe = Recipe(epochs=2, batch_size=3, shuffle=False)
    results = fit_many(MLP_3, X, LABELS, recipe, rows=[rows, rows + 1], backend=NUMPY)
    for place, result in enumerate(results):
        expected = fit(MLP_3, X[rows + place], LABELS[rows + place], recipe, backend=NUMPY)
        assert_same(result, expected)


def test_an_epoch_is_asked_for_its_state_in_time():
    results = fit_many(MLP_3, X, LABELS, seeds=[0, 1], epochs=2)
    with pytest.raises(UsageError, match="when training of this network had ended"):
        results[0].history[-1].snapshot()
    with pytest.raises(UsageError, match="take it before the next epoch runs"):
        results[1].history[0].on_device()


# --- an interruption -------------------------------------------------------------------------------------


def test_ctrl_c_ends_all_and_what_was_not_begun_is_as_it_would_have_started(monkeypatch):
    monkeypatch.setattr(many, "MOST_ON_CPU", 2)

    def interrupting(step: int) -> float:
        if step == 3 and first:
            first.pop()
            signal.raise_signal(signal.SIGINT)
        return 0.1

    first = [True]
    recipe = Recipe(learning_rate=interrupting, epochs=5, batch_size=20)
    before = signal.getsignal(signal.SIGINT)
    mlps = [MLP_3, MLP_3, MLP_3, Counted((4, 7, 3), "tanh")]
    results = fit_many(mlps, X, LABELS, recipe, seeds=range(4), backend=NUMPY)
    assert [result.stopped for result in results] == ["interrupted"] * 4
    assert [result.signal for result in results] == [signal.SIGINT] * 4
    assert [len(result.history) for result in results] == [2, 2, 0, 0]
    assert signal.getsignal(signal.SIGINT) is before
    for seed, result in enumerate(results):
        start = mlps[seed].initialize(seed)
        assert np.array_equal(result.parameters, start) == (seed > 1)
    expected = fit(
        MLP_3, X, LABELS, learning_rate=lambda step: 0.1, epochs=2, batch_size=20, backend=NUMPY
    )
    np.testing.assert_allclose(results[0].parameters, expected.parameters, rtol=1e-9)


def test_ctrl_c_within_a_network_in_no_stack_ends_the_others():
    def interrupting(step: int) -> float:
        if step == 0:
            signal.raise_signal(signal.SIGINT)
        return 0.1

    recipes = [Recipe(learning_rate=interrupting, epochs=3), Recipe(epochs=3)]
    mlps = [Counted((4, 7, 3), "tanh"), MLP_3]
    results = fit_many(mlps, X, LABELS, recipes)
    assert [(len(r.history), r.stopped, r.signal) for r in results] == [
        (1, "interrupted", signal.SIGINT),
        (0, "interrupted", signal.SIGINT),
    ]


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "does not know how many networks: give a list of seeds"),
        ({"seeds": [0, 1], "rows": [ROWS[0]]}, UsageError, "equally long, got seeds 2, rows 1"),
        ({"seeds": 3}, UsageError, "seeds must be a list of one for each network, got 3"),
        ({"seeds": []}, UsageError, "seeds must name at least one network"),
        ({"seeds": [0, -1]}, UsageError, "seeds must be a whole number of at least 0, got -1"),
        ({"seeds": [0], "rows": [[0, 60]]}, UsageError, "integers from 0 to 59, .*got 60"),
        ({"seeds": [0], "rows": [[-1, 5]]}, UsageError, "integers from 0 to 59, .*got -1"),
        ({"seeds": [0], "rows": [[0.5]]}, UsageError, "rows must be places of rows"),
        ({"seeds": [0], "rows": [[]]}, DataError, "rows holds no row for one of the networks"),
        ({"rows": [np.zeros(60, bool)]}, DataError, "rows holds no row"),
        ({"rows": [np.zeros(59, bool)]}, UsageError, r"or a mask \(60,\)"),
        ({"validation": [[70]]}, UsageError, "validation must be places of rows"),
        ({"validation": [(X,)]}, UsageError, "validation must be a pair"),
        ({"seeds": [0], "validation": (X[:, :2], LABELS)}, DataError, "The validation set: x must"),
        ({"seeds": [0], "epoch": 3}, UsageError, "epochs"),
        (
            {"seeds": [0], "initial": [np.zeros(3)]},
            UsageError,
            "Initial parameters must have shape",
        ),
        ({"seeds": [0], "sample_weight": np.ones(3)}, DataError, "sample_weight"),
        ({"seeds": [0], "backend": "nump"}, UsageError, "numpy"),
    ],
)
def test_what_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        fit_many(MLP_3, X, LABELS, **options)


def test_data_that_do_not_suit_a_network_are_refused():
    with pytest.raises(DataError, match=r"shape \(n, 5\) for a network"):
        fit_many([MLP_3, MLP((5, 3))], X, LABELS)
    with pytest.raises(DataError, match="targets holds nan"):
        fit_many(MLP((4, 2), output="identity"), X, np.full((60, 2), np.nan), seeds=[0])
    with pytest.raises(UsageError, match="mlp must be an MLP"):
        fit_many([MLP_3, "net"], X, LABELS)
    with pytest.raises(UsageError, match="recipe must be a Recipe"):
        fit_many(MLP_3, X, LABELS, [{"epochs": 3}])
    with pytest.raises(UsageError, match="targets are missing"):
        fit_many(MLP_3, [(X, LABELS)], None, seeds=[0])
