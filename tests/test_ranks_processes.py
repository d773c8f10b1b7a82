"""Ranks that are processes, of mpiexec and of torch.distributed, as people start them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from anyarray_mlp.cli import run
from anyarray_mlp.errors import BackendUnavailableError, RanksError, UsageError
from anyarray_mlp.ranks import selection
from anyarray_mlp.ranks.selection import select_communicator, started_by, told_rank
from tests.beds import EXPECTED
from tests.rank_processes import environment, gloo, of_mpich, under_mpiexec

#: Seconds after which a test gives up.
PATIENCE = 240
TRAIN = ("train", "iris", "--reproducible", "--no-diagnose", "--batch-size", "50", "--json")
VARIANT = ("--epochs", "3", "--dropout", "0.2", "--early-stopping", "--class-weight", "balanced")


MPIEXEC = of_mpich("mpiexec")
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None and "mpi" not in EXPECTED, reason="mpich is not installed"
)


def finished(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )


def alone(folder: Path, capsys: Any, *flags: str) -> str:
    """The hash of one process."""
    assert run([*TRAIN, *flags, "--out", str(folder / "alone")]) == 0
    return str(json.loads(capsys.readouterr().out)["hash"])


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "library"), [(2, "numpy"), (3, "numpy"), (2, "jax")])
def test_processes_of_mpi_have_the_hash_of_one(
    ranks: int, library: str, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip(library)
    flags = VARIANT if library == "numpy" else ("--epochs", "1", "--hidden", "3")
    wanted = alone(tmp_path, capsys, *flags)
    flags = (*flags, "--backend", library, "--out", "shared")
    done = finished(under_mpiexec(ranks, *TRAIN, *flags), tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hash"] == wanted  # which one rank prints
    assert f"{ranks} ranks by mpi" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "shared"]


@pytest.mark.slow
def test_processes_of_gloo_have_the_hash_of_one(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("torch")
    wanted = alone(tmp_path, capsys, *VARIANT)
    processes = gloo(2, tmp_path, *TRAIN, *VARIANT, "--backend", "torch", "--out", "shared")
    told = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert json.loads(told[0][0])["hash"] == wanted
    assert told[1] == ("", "")


@needs_mpi
@pytest.mark.slow
def test_a_command_line_is_refused_once(tmp_path: Path) -> None:
    done = finished(under_mpiexec(2, "train", "iris", "--epochs", "-1"), tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    # Found by rank 0 alone, which opens the run's folder.
    resume = ["train", "--resume", "--out", "absent"]
    code = run([*resume[:-1], str(tmp_path / "absent")])
    done = finished(under_mpiexec(2, *resume), tmp_path)
    assert done.returncode == code > 2
    assert done.stderr.count("error: ") == 1


def wait_for_epochs(folder: Path, count: int) -> None:
    """Wait until a run has come so far."""
    until = time.monotonic() + PATIENCE
    metrics = [folder / "metrics.jsonl", *folder.glob("*/metrics.jsonl")]
    while not any(m.exists() and len(m.read_text().splitlines()) >= count for m in metrics):
        assert time.monotonic() < until
        metrics = [folder / "metrics.jsonl", *folder.glob("*/metrics.jsonl")]
        time.sleep(0.05)


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_all_and_nothing_is_lost(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("torch")
    long = ("--epochs", "100000", "--learning-rate", "constant")
    processes = gloo(3, tmp_path, *TRAIN, *long, "--out", "run")
    wait_for_epochs(tmp_path / "run", 2)
    processes[1].send_signal(signal.SIGKILL)
    told = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    assert [process.returncode for process in processes] == [76, -signal.SIGKILL, 76], told
    assert "".join(told).count("error: ") == 1
    *_, last = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    done = json.loads(last)["epoch"]
    epochs = ("--epochs", str(done + 2))
    wanted = alone(tmp_path, capsys, *epochs)
    assert run(["train", "--resume", "--json", "--out", str(tmp_path / "run"), *epochs]) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == wanted


# --- which engine --------------------------------------------------------------------------------


def test_what_has_started_the_processes_is_found() -> None:
    assert started_by({}) == ("", 1, "mpi")
    assert started_by({"PMI_SIZE": "4", "PMI_RANK": "3"}) == ("mpiexec", 4, "mpi")
    assert started_by({"OMPI_COMM_WORLD_SIZE": "2"}) == ("mpiexec", 2, "mpi")
    assert started_by({"SLURM_STEP_NUM_TASKS": "8"}) == ("srun", 8, "mpi")
    assert (
        started_by({"SLURM_NTASKS": "8"})[1] == 1
    )  # of a batch script, which srun has not started
    assert started_by({"WORLD_SIZE": "2", "RANK": "0"}) == ("torchrun", 2, "torch")
    assert started_by({"WORLD_SIZE": "1"})[1] == 1
    assert told_rank({"PMI_SIZE": "4", "PMI_RANK": "3"}) == 3
    assert told_rank({"RANK": "3"}) == 0
    assert told_rank({}) == 0


def test_alone_there_is_no_communicator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    assert select_communicator() is None
    assert select_communicator(None) is None
    monkeypatch.setenv("PMI_SIZE", "4")
    assert select_communicator("none") is None
    with pytest.raises(UsageError, match=r"communicator must be one of auto, mpi, torch, none"):
        select_communicator("nccl")


def test_an_engine_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "anyarray_mlp.ranks.mpi", raising=False)
    with pytest.raises(
        BackendUnavailableError, match=r"mpiexec has started 4 .*anyarray-mlp\[mpi\]"
    ):
        select_communicator()


def test_ranks_that_an_engine_does_not_see_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Single:
        engine, size = "mpi", 1

    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    monkeypatch.setattr(selection, "made", lambda *_: Single())
    with pytest.raises(RanksError, match="srun has started 4 processes, and mpi sees one"):
        select_communicator()
