"""Ranks that share the work of a step: as one rank, to the bit where the arithmetic is reproducible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, fit, select_backend, train
from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import DivergedError, RanksError, UsageError
from anyarray_mlp.network.before import Periodic, Scale
from anyarray_mlp.network.passes import loss_and_grad
from anyarray_mlp.ranks import agreement
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.ranks.threads import on_threads
from anyarray_mlp.training import Fit, to_leaves
from tests.beds import require_library

RNG = np.random.default_rng(17)
X = RNG.standard_normal((27, 5))
LABELS = RNG.integers(0, 3, 27)
WEIGHT = RNG.uniform(0.5, 2.0, 27)
NETWORK = MLP((5, 6, 3), activation="tanh")
GIVEN: dict[str, Any] = {"epochs": 2, "batch_size": 8, "alpha": 0.01}


def exact(name: str = "numpy", dtype: str = "float32") -> Backend:
    return select_backend(name, dtype=dtype, reproducible=True)


def results(size: int, make: Callable[[Communicator], Fit], order: Any = None) -> Fit:
    """What all of several ranks come to, which is the same."""
    first, *others = on_threads(size, make, order)
    for other in others:
        np.testing.assert_array_equal(first.parameters, other.parameters)
        assert [e.record()["loss"] for e in first.history] == [e.loss for e in other.history]
    return first


def bits(result: Fit) -> Any:
    """All that has to be the same: parameters, losses and figures of validation."""
    told = [(e.epoch, e.step, e.loss, e.validation_loss, e.scores) for e in result.history]
    return result.parameters.tobytes(), told, result.stopped, result.kept_epoch


#: How many threads: one for JAX, whose programs wait for one another within a process.
RANKS = {"torch": 2, "jax": 1, "array_api_strict": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted": {"sample_weight": WEIGHT},
    "dropout": {"mlp": MLP((5, 6, 3), dropout=0.4)},
    "float64": {"backend": exact(dtype="float64")},
    "validated": {"validation": (X[:7], LABELS[:7]), "metrics": ["accuracy"]},
    "stopped": {"validation": (X[:7], LABELS[:7]), "early_stopping": True, "patience": 1},
    "clipped": {"clip_norm": 0.1, "optimizer": "momentum", "label_smoothing": 0.1},
    "bytes": {"x": (X > 0).astype(np.uint8), "input_scale": 0.5},
    "factors": {"mlp": MLP((5, 6, 3), before=[Scale()], parametric=True)},
    "members": {"mlp": MLP((5, 4, 3), members=2, dropout=0.2)},
    "no bias": {"mlp": MLP((5, 6, 3), bias=False)},
}


def trained(given: dict[str, Any], communicator: Communicator | None = None) -> Fit:
    options = {"mlp": NETWORK, "x": X, "targets": LABELS, "backend": exact(), **GIVEN, **given}
    return fit(**options, communicator=communicator)


@pytest.mark.parametrize("name", VARIANTS)
def test_ranks_have_the_bits_of_one(name: str) -> None:
    alone = bits(trained(VARIANTS[name]))
    # 27 rows in batches of 8: three of 8 and one of 3, of which four ranks leave one without a row.
    for size, order in ((2, [1, 0]), (4, [2, 0, 3, 1])):
        assert bits(results(size, lambda c: trained(VARIANTS[name], c), order)) == alone


def test_more_ranks_than_rows_in_a_batch() -> None:
    given = {"x": X[:4], "targets": LABELS[:4], "batch_size": 3, "validation": (X[:2], LABELS[:2])}
    assert bits(results(5, lambda c: trained(given, c))) == bits(trained(given))


@pytest.mark.parametrize("name", ["torch", "jax", "array_api_strict"])
def test_the_bits_are_those_of_every_library(name: str) -> None:
    pytest.importorskip(name)
    network = MLP((5, 3), output="identity")
    given = {
        "mlp": network,
        "x": X[:8],
        "targets": X[:8, :3],
        "epochs": 1,
    }  # one shape for JAX to compile
    there = results(RANKS[name], lambda c: trained({**given, "backend": exact(name)}, c))
    np.testing.assert_array_equal(there.parameters, trained(given).parameters)


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_plain_arithmetic_comes_to_the_same_gradient(name: str) -> None:
    pytest.importorskip(name)
    backend = select_backend(name, dtype="float64")
    leaves = to_leaves(NETWORK, backend, NETWORK.initialize(3))
    keys = None

    def gradient(xp: Any, x: Any, labels: Any, weight: Any, shard: Shard | None) -> Any:
        return loss_and_grad(NETWORK, xp, leaves, [(x, labels, weight)], 0.1, keys, shard)

    def of(arrays: Any, communicator: Communicator | None, shard: Shard | None) -> Any:
        ranked = backend if communicator is None else backend.on_ranks(communicator)
        arrays = [backend.asarray(a[shard.span] if shard else a) for a in arrays]
        loss, grad = gradient(ranked.xp, *arrays, shard)
        return float(loss), NETWORK.layout.to_vector([*map(backend.to_host, grad)])

    arrays = X, LABELS, WEIGHT
    loss, whole = of(arrays, None, None)
    for size in (RANKS[name],) if name == "jax" else (1, 2, 40):
        found = on_threads(size, lambda c: of(arrays, c, Shard.of_rank(c.rank, c.size, len(X))))
        for its_loss, its in found:
            assert its_loss == pytest.approx(loss, rel=1e-14)
            np.testing.assert_allclose(its, whole, rtol=1e-11, atol=1e-15)


def test_plain_training_is_close() -> None:
    """Recorded steps: the collectives are among what is replayed."""
    given = {"backend": select_backend("numpy", dtype="float64"), "epochs": 30}
    alone = trained(given)
    for size in (2, 3):
        found = results(size, lambda c: trained(given, c))
        np.testing.assert_allclose(found.parameters, alone.parameters, rtol=1e-9, atol=1e-12)


def test_shares_are_neighbours_that_cover_a_batch() -> None:
    for n in (1, 3, 8, 100):
        for ranks in (1, 2, 3, 7):
            shards = [Shard.of_rank(rank, ranks, n) for rank in range(ranks)]
            rows = [row for s in shards if s.counts for row in range(n)[s.span]]
            assert rows == list(range(n))
            assert all(s.rows >= 1 and s.of == n for s in shards)
            sizes = [s.rows if s.counts else 0 for s in shards]
            assert max(sizes) - min(sizes) <= 1
    # A rank without rows takes one that is another's.
    assert [Shard.of_rank(rank, 3, 2) for rank in range(3)] == [
        Shard(0, 1, 2, counts=False),
        Shard(0, 1, 2),
        Shard(1, 1, 2),
    ]


# --- what ranks must have alike ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "what"),
    [
        ({"x": X + 1e-9}, "data"),
        ({"sample_weight": WEIGHT}, "data"),
        ({"epochs": 3}, "settings"),
        ({"learning_rate_init": 0.5}, "settings"),
        ({"mlp": MLP((5, 6, 3), activation="relu")}, "settings"),
        ({"backend": exact(dtype="float64")}, "dtype"),
        ({"backend": select_backend("numpy", dtype="float32")}, "versions"),
        ({"initial": np.zeros(NETWORK.layout.size)}, "parameters to start from"),
    ],
)
def test_a_rank_with_something_else_is_refused(others: dict[str, Any], what: str) -> None:
    with pytest.raises(RanksError, match=rf"Rank 1 has other .*{what}.* than rank 0: give all"):
        on_threads(3, lambda c: trained(others if c.rank == 1 else {}, c))


def test_the_version_of_the_arithmetic_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(communicator: Communicator) -> Fit:
        backend = exact()
        backend.arithmetic = f"reproducible {communicator.rank}"
        return trained({"backend": backend}, communicator)

    with pytest.raises(RanksError, match="Rank 1 has other versions than rank 0"):
        on_threads(2, make)


def test_parameters_that_differ_are_found() -> None:
    with pytest.raises(RanksError, match="different parameters"):
        on_threads(3, lambda c: agreement.check_in_step(c, np.array([1.0, c.rank == 2])))
    on_threads(3, lambda c: agreement.check_in_step(c, np.array([1.0, 2.0])))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"optimizer": "lbfgs"}, "lbfgs"),
        ({"x": [(X, LABELS)], "targets": None, "batch_size": None}, "batches of your own"),
        ({"mlp": MLP((5, 6, 3), before=[Periodic()])}, "Periodic"),
    ],
)
def test_what_ranks_cannot_share_is_refused(given: dict[str, Any], what: str) -> None:
    if given.get("optimizer") == "lbfgs":
        given = {**given, "batch_size": None}
    with pytest.raises(UsageError, match=f"Several ranks cannot share {what}"):
        on_threads(1, lambda c: trained(given, c))


def test_periodic_layers_under_plain_arithmetic_are_shared() -> None:
    given = {
        "mlp": MLP((5, 6, 3), before=[Periodic(frequencies=2)]),
        "backend": select_backend("numpy", dtype="float64"),
    }
    found = results(3, lambda c: trained(given, c))
    np.testing.assert_allclose(found.parameters, trained(given).parameters, rtol=1e-9, atol=1e-12)


# --- the end of a run ----------------------------------------------------------------------------


def test_a_callback_of_one_rank_ends_all() -> None:
    def make(communicator: Communicator) -> Fit:
        ends = communicator.rank == 2
        stop = lambda epoch: ends and epoch.epoch == 3  # noqa: E731
        return trained({"callbacks": stop, "epochs": 9}, communicator)

    found = on_threads(3, make)
    assert {(r.stopped, len(r.history)) for r in found} == {("callback", 3)}


def test_a_stop_asked_of_one_rank_ends_all() -> None:
    def make(communicator: Communicator) -> int:
        asked = communicator.rank == 1
        epochs = train(
            NETWORK, X, LABELS, epochs=5, communicator=communicator, stop_requested=lambda: asked
        )
        return len([*epochs])

    assert on_threads(2, make) == [1, 1]


def test_a_rank_that_raises_ends_all() -> None:
    def make(communicator: Communicator) -> Fit:
        def fail(epoch: Any) -> None:
            if communicator.rank == 1:
                raise KeyError("mine")

        return trained({"callbacks": fail}, communicator)

    with pytest.raises(KeyError, match="mine"):
        on_threads(3, make)


def test_the_others_say_that_a_rank_has_gone() -> None:
    def make(communicator: Communicator) -> str:
        if communicator.rank == 1:
            communicator.abort(1)
            return "gone"
        with pytest.raises(RanksError, match="has lost another rank") as error:
            communicator.barrier()
        return str(error.type.exit_code)

    assert on_threads(3, make) == ["76", "gone", "76"]


def test_all_ranks_diverge_together() -> None:
    given = {"learning_rate_init": 1e20, "optimizer": "sgd", "batch_size": 4}
    with pytest.raises(DivergedError) as alone:
        trained(given)

    def make(communicator: Communicator) -> Any:
        with pytest.raises(DivergedError) as error:
            trained(given, communicator)
        return str(error.value), error.value.parameters.tobytes()  # type: ignore[attr-defined]

    assert set(on_threads(3, make)) == {(str(alone.value), alone.value.parameters.tobytes())}


def test_training_goes_on_with_another_number_of_ranks() -> None:
    given = {"mlp": MLP((5, 6, 3), dropout=0.3), "optimizer": "adam"}
    whole = trained({**given, "epochs": 4})
    states: list[Any] = []

    def first(communicator: Communicator) -> Fit:
        keep = [lambda epoch: states.append(epoch.snapshot())] if communicator.rank == 0 else []
        return trained({**given, "epochs": 2, "callbacks": keep}, communicator)

    results(3, first)
    last = {**given, "epochs": 2, "initial": states[-1]}
    rest = results(2, lambda c: trained(last, c))
    assert rest.parameters.tobytes() == whole.parameters.tobytes()
    assert [e.loss for e in rest.history] == [e.loss for e in whole.history[2:]]


def test_the_diagnosis_is_that_of_rank_0() -> None:
    given = {"diagnose": True, "x": X * [1e4, 1.0, 1.0, 1.0, 1.0], "epochs": 8}
    found = on_threads(2, lambda c: trained(given, c))
    alone = trained(given).diagnosis
    assert found[1].diagnosis is None
    assert found[0].diagnosis.summary() == alone.summary()  # type: ignore[union-attr]
    assert alone is not None
    assert alone.alarms


def test_parts_are_joined_as_they_are() -> None:
    whole = np.array([[1e300, -0.0], [np.nan, np.inf], [5e-324, 3.0]])

    def make(communicator: Communicator) -> Any:
        rows = slice(0, 2) if communicator.rank == 0 else slice(2, 3)
        return agreement.joined(communicator, whole[rows], rows.start, 3)

    for found in on_threads(2, make):
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", ["numpy", "torch"])
@pytest.mark.parametrize("reproducible", [False, True])
def test_recording_a_step_calls_no_other_rank(name: str, reproducible: bool) -> None:
    """Ranks with other shards may not record, or not in the same step: each step has the same calls on all of them."""
    require_library(name)
    calls: list[int] = []

    class Counting(Communicator):
        engine = "threads"

        def sum(self, array: Any) -> Any:
            calls.append(array.size)
            return array

        max = sum

        def barrier(self) -> None:
            """Nobody is waited for."""

        def broadcast(self, value: Any = None) -> Any:
            return value

    backend = select_backend(name, reproducible=reproducible)

    def calls_of(epochs: int) -> int:
        calls.clear()
        given = {**GIVEN, "epochs": epochs, "batch_size": 9}
        fit(NETWORK, X, LABELS, backend=backend, communicator=Counting(0, 1, 0), **given)
        return len(calls)

    # 42 epochs are enough for a step to be recorded; 9 divides the rows, so that all batches are alike.
    each = calls_of(2) - calls_of(1)
    assert calls_of(42) == calls_of(1) + 41 * each
