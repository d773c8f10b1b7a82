"""The speed benchmark runs: every part's code, on rounds of a few steps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import (
    callers,
    evaluation_cost,
    inference_speed,
    many_networks,
    over_time,
    peers,
    report,
    scaling,
    table_speed,
)
from benchmarks.__main__ import main
from benchmarks.harness import Timing, interleave, ratio
from benchmarks.workloads import CPU, Workload

SMALL = Workload("5-6-3, batch 4, tanh", (5, 6, 3), 4, "tanh", 40)
IN_THIS_PROCESS = [
    "products alone",
    "PyTorch products alone",
    "anyarray-mlp numpy",
    "anyarray-mlp torch",
    "anyarray-mlp jax",
    "NumPy by hand",
    "JAX step by hand",
    "JAX scan by hand",
    "PyTorch",
    "scikit-learn",
]


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
def test_contenders_do_the_same_work(activation: str) -> None:
    """The mean loss of the first and the second round is one and the same, but for scikit-learn's own start."""
    workload = Workload("", SMALL.sizes, SMALL.batch, activation, SMALL.steps)
    losses = {}
    for name in IN_THIS_PROCESS:
        module = {"torch": "torch", "jax": "jax", "JAX": "jax", "PyTorch": "torch"}
        for word, library in module.items():
            if word in name:
                pytest.importorskip(library)
        one_round = peers.CPU[name](workload)
        losses[name] = (one_round(), one_round())
    for floor in ("products alone", "PyTorch products alone"):
        assert all(math.isnan(loss) for loss in losses.pop(floor))
    assert all(math.isfinite(loss) for loss in losses.pop("scikit-learn"))
    expected = losses["NumPy by hand"]
    for found in losses.values():
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["products alone", "anyarray-mlp numpy", "anyarray-mlp estimator"])
def test_predictions_are_timed(name: str) -> None:
    assert math.isfinite(inference_speed.contender(name, SMALL, 3, 2)()) or name == "products alone"


def test_evaluations_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluation_cost.SETS, "few", (30, (5, 100, 10), 4))
    timings = evaluation_cost.measure("few", "numpy", rounds=2, scale=0.5)
    assert list(timings) == list(evaluation_cost.CONTENDERS)
    assert all(timing.per == len(timing.seconds) == 2 for timing in timings.values())


def test_many_networks_do_what_they_do_alone() -> None:
    alone, stack, by_steps = (
        many_networks.steps_of("numpy", SMALL, *how)() for how in ((1, 2), (2, 2), (1, 2, False))
    )
    assert by_steps == pytest.approx(alone, rel=1e-5)
    assert math.isfinite(stack)
    one, many = (many_networks.fits_of("numpy", SMALL, 3, 1, way)() for way in (False, True))
    assert many == pytest.approx(one, rel=1e-5)


def test_a_grid_by_folds_finds_as_good_a_network_as_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many_networks, "RATES", (3e-3, 1e-2))
    monkeypatch.setattr(many_networks, "ALPHAS", (1e-4,))
    theirs = many_networks.grid_by_scikit_learn(3)()
    ours = many_networks.grid_at_once("numpy", 3)()
    assert ours == pytest.approx(theirs, abs=0.05)
    assert ours > 0.9


def test_callers_train_one_round() -> None:
    for name in ("bare loop", "fit", "command line"):
        assert math.isfinite(callers.contender(name, SMALL)())


def test_the_command_writes_a_table_and_a_picture(tmp_path: Path) -> None:
    names = "NumPy by hand,anyarray-mlp numpy"
    arguments = [
        "training",
        "--rounds",
        "2",
        "--scale",
        "0.01",
        "--workloads",
        "0",
        "--threads",
        "1",
    ]
    assert main([*arguments, "--contenders", names, "--out", str(tmp_path)]) == 0
    table = (tmp_path / "speed-training.md").read_text()
    assert "| NumPy by hand |" in table
    assert "threads: 1" in table
    assert (tmp_path / "speed-training.png").stat().st_size > 10_000


def fails() -> None:
    raise RuntimeError("of the contender's own")


def counts() -> object:
    return lambda: 1.0


@pytest.mark.parametrize("at_once", [False, True])
def test_a_contender_that_fails_is_named_and_the_others_go_on(at_once: bool) -> None:
    timings = interleave({"bad": (fails, ()), "good": (counts, ())}, 2, at_once)
    assert timings["bad"].problem == "RuntimeError: of the contender's own"
    assert len(timings["good"].seconds) == 2
    assert math.isnan(ratio(timings, "bad", "good"))


def test_ratios_are_taken_within_rounds() -> None:
    timings = {"a": Timing([1.0, 20.0, 3.0]), "b": Timing([2.0, 40.0, 3.0])}
    assert ratio(timings, "a", "b") == 0.5


def test_goals_say_met_or_missed() -> None:
    lines = report.goal_table([("g", "w", 1.2, 1.15, True), ("h", "w", 3.1, 3.0, False)])
    assert lines[2].endswith("| missed by 4% |")
    assert lines[3].endswith("| met |")


def test_scaling_fits_an_exponent() -> None:
    assert scaling.net(width=64, rows=0).sizes == (64, 64, 64, 10)
    assert CPU[0].batches().shape == (CPU[0].steps, CPU[0].batch)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_table_is_timed_from_its_file_to_the_first_step(tmp_path: Path) -> None:
    """Contenders say what they took; a page says which goals are met."""
    path = tmp_path / "t.csv"
    table_speed.tall(60)(path)
    runs = {
        name: [table_speed.measured(table_speed.CONTENDERS[name], path)]
        for name in ("read_table", "file to first step")
    }
    assert all(run["cpu"] > 0 and run["decoded"] > 0 for (run,) in runs.values())
    file = table_speed.File("40 x 2", table_speed.wide(40, 2), 40, bound=1e9)
    assert "| seconds from file to first step | 40 x 2 | <= 1e+09 |" in table_speed.page(
        {file: runs}, 1
    )


def test_a_ratio_above_those_before_it_is_told_and_rows_are_kept(tmp_path: Path) -> None:
    table = tmp_path / "over_time.csv"
    first, *others = over_time.RATIOS
    assert over_time.earlier(table) == {}
    for value in (1.0, 1.2, 1.1):
        over_time.add(table, {first: value})
    over_time.add(table, {first: 1.0, others[0]: 2.0})  # a new ratio is a new column
    before = over_time.earlier(table)
    assert before[first] == [1.0, 1.2, 1.1, 1.0]
    assert before[others[0]] == [2.0]
    assert before[others[1]] == []
    assert over_time.slower({first: 1.3, others[0]: 2.4, others[1]: 9.0}, before) == []
    assert over_time.slower({first: 1.32, others[0]: 2.4}, before) == [
        f"{first}: 1.32, before 1.05"
    ]
