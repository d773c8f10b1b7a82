"""Training on rows on disk: the bits of the same rows in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, Recipe, fit, train
from anyarray_mlp.backends import Backend
from anyarray_mlp.checking import free_memory
from anyarray_mlp.data import StoredRows, order_on_disk
from anyarray_mlp.errors import UsageError
from anyarray_mlp.training import fit_many, stored_feed
from anyarray_mlp.training.ahead import ahead
from anyarray_mlp.training.given import inputs_of

N = 203
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N, 6))
LABELS = RNG.integers(0, 3, N)
NUMBERS = RNG.normal(size=(N, 3))


def on_disk(folder: Path, x: Any, name: str = "x") -> StoredRows:
    np.save(folder / f"{name}.npy", x)
    return StoredRows.of(np.load(folder / f"{name}.npy", mmap_mode="r"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Piles of some ten rows, and portions of a few steps."""
    monkeypatch.setattr(order_on_disk, "PILE_BYTES", 700)
    monkeypatch.setattr(order_on_disk, "DEAL_BYTES", 900)
    monkeypatch.setattr(stored_feed, "GATHER_BYTES", 3000)


@pytest.mark.usefixtures("small")
@pytest.mark.on("numpy", "numpy-readonly", "torch", "jax")
def test_every_library_has_the_bits_of_rows_in_memory(backend: Backend, tmp_path: Path) -> None:
    mlp, x = MLP((6, 4, 3)), X[:50].astype(backend.dtype)
    given: dict[str, Any] = {"epochs": 2, "batch_size": 16, "seed": 4, "backend": backend}
    memory = fit(mlp, x, LABELS[:50], **given)
    disk = fit(mlp, on_disk(tmp_path, x), LABELS[:50], **given)
    np.testing.assert_array_equal(disk.parameters, memory.parameters)


@pytest.mark.usefixtures("small")
@pytest.mark.on("numpy")
@pytest.mark.parametrize(
    ("options", "targets", "weight"),
    [
        ({}, LABELS, None),
        ({"shuffle": False}, LABELS, None),
        ({"early_stopping": True, "patience": 1, "clip_norm": 0.3}, NUMBERS, None),
        ({"label_smoothing": 0.1, "alpha": 1e-2}, LABELS, RNG.uniform(0.5, 2, N)),
        ({"batch_size": 500}, LABELS, None),
    ],
)
def test_rows_on_disk_train_to_the_bits_of_rows_in_memory(
    backend: Backend, options: Any, targets: Any, weight: Any, tmp_path: Path
) -> None:
    output = "softmax" if targets is LABELS else "identity"
    mlp = MLP((6, 5, 3), "relu", output, dropout=0.1)
    dtype = np.dtype(backend.dtype)
    x, held = X.astype(dtype), X[:50].astype(dtype) * 2
    recipe = Recipe(**({"epochs": 3, "batch_size": 16, "seed": 4} | options))
    given: dict[str, Any] = {"backend": backend, "sample_weight": weight}
    orders: list[Any] = []
    given["callbacks"] = [lambda epoch: orders.append(epoch.snapshot().order)]
    memory = fit(mlp, x, targets, recipe, validation=(held, targets[:50]), **given)
    rows, validation = on_disk(tmp_path, x), on_disk(tmp_path, held, "held")
    disk = fit(mlp, rows, targets, recipe, validation=(validation, targets[:50]), **given)
    np.testing.assert_array_equal(disk.parameters, memory.parameters)
    for ours, truth in zip(disk.history, memory.history, strict=True):
        assert (ours.loss, ours.validation_loss, ours.step) == (
            truth.loss,
            truth.validation_loss,
            truth.step,
        )
    assert orders[: len(orders) // 2] == orders[len(orders) // 2 :]


@pytest.mark.usefixtures("small")
def test_a_run_goes_on_from_a_state_on_disk_or_in_memory(tmp_path: Path) -> None:
    mlp, x = MLP((6, 4, 3)), X.astype(np.float32)
    rows = on_disk(tmp_path, x)
    whole = fit(mlp, x, LABELS, epochs=4, batch_size=20, seed=2)
    for first, then in ((rows, x), (x, rows), (rows, rows)):
        state = fit(mlp, first, LABELS, epochs=2, batch_size=20, seed=2).history[-1].snapshot()
        result = fit(mlp, then, LABELS, epochs=2, batch_size=20, seed=2, initial=state)
        np.testing.assert_array_equal(result.parameters, whole.parameters)


def test_bytes_on_disk_are_scaled_in_the_step(tmp_path: Path) -> None:
    mlp, x = MLP((6, 4, 3)), (X * 20 + 100).astype(np.uint8)
    given: dict[str, Any] = {"epochs": 2, "seed": 1, "input_scale": 1 / 255}
    memory = fit(mlp, x, LABELS, **given)
    disk = fit(mlp, on_disk(tmp_path, x), LABELS, **given)
    np.testing.assert_array_equal(disk.parameters, memory.parameters)


@pytest.mark.usefixtures("small")
def test_a_diagnosis_looks_at_rows_on_disk(tmp_path: Path) -> None:
    mlp, x = MLP((6, 4, 3)), X.astype(np.float32)
    x[:, 2] = 5.0
    memory = fit(mlp, x, LABELS, epochs=3, seed=1, diagnose=True).diagnosis
    disk = fit(mlp, on_disk(tmp_path, x), LABELS, epochs=3, seed=1, diagnose=True).diagnosis
    assert memory is not None
    assert disk is not None
    assert memory.findings
    assert [str(each) for each in disk.findings] == [str(each) for each in memory.findings]


def test_a_stop_ends_the_thread_that_reads(tmp_path: Path) -> None:
    rows = on_disk(tmp_path, X)
    for _ in train(MLP((6, 4, 3)), rows, LABELS, epochs=5, batch_size=4):
        break
    assert not [each for each in threading.enumerate() if "anyarray-mlp" in each.name]


def test_what_needs_all_rows_in_memory_is_refused(tmp_path: Path) -> None:
    rows, mlp = on_disk(tmp_path, X), MLP((6, 4, 3))
    with pytest.raises(UsageError, match="lbfgs takes each step on all rows in memory"):
        fit(mlp, rows, LABELS, optimizer="lbfgs")
    with pytest.raises(UsageError, match="Several networks are trained on rows in memory"):
        fit_many([mlp, mlp], rows, LABELS, epochs=1)

    class Mine:
        def permutation(self, n: int) -> Any:
            return np.arange(n)

        def state(self) -> dict[str, Any]:
            return {}

    with pytest.raises(UsageError, match="leave shuffles out"):
        list(train(mlp, rows, LABELS, shuffles=Mine(), epochs=1))


def test_a_memory_map_stays_on_disk_if_it_is_large_beside_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert inputs_of(mapped) is mapped
    monkeypatch.setattr(free_memory, "free_memory", lambda: 2 * X.nbytes - 2)
    assert isinstance(inputs_of(mapped), StoredRows)
    assert inputs_of(X) is X


def test_free_memory_is_the_least_of_the_machines_and_the_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_memory, "MACHINE", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "GROUP", tmp_path)
    assert free_memory.free_memory() is None
    assert not free_memory.is_large(1 << 60)
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   3000 kB\n")
    assert free_memory.free_memory() == 3000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5000\n")
    (tmp_path / "memory.stat").write_text("anon 4000\ninactive_file 900\n")
    assert free_memory.free_memory() == 3000 * 1024
    (tmp_path / "memory.max").write_text("8000\n")
    assert free_memory.free_memory() == 8000 - 5000 + 900
    assert free_memory.is_large(1951)
    assert not free_memory.is_large(1950)


def test_items_made_ahead_are_the_same_in_order() -> None:
    assert list(ahead(range(50))) == list(range(50))
    assert list(ahead([])) == []


def test_what_goes_wrong_ahead_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(ValueError, match="broken"):
        next(made)
