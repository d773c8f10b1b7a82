"""`select_communicator`: an engine by name, or the one that whatever has started this process belongs to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.errors import BackendUnavailableError, RanksError
from anyarray_mlp.ranks.communicator import Communicator

#: The engines by name: module, class, the package that they need, and what installs it.
ENGINES = {
    "mpi": ("mpi", "MpiCommunicator", "mpi4py", "pip install 'anyarray-mlp[mpi]'"),
    "torch": ("torch_engine", "TorchCommunicator", "torch", "pip install 'anyarray-mlp[torch]'"),
}
NAMES = ("auto", *ENGINES, "none")

#: What starts several processes, the variables in which it says how many and which this is, and the engine to take.
STARTERS = (
    ("torchrun", "WORLD_SIZE", "RANK", "torch"),
    ("mpiexec", "PMI_SIZE", "PMI_RANK", "mpi"),
    ("mpiexec", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpi"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "mpi"),
)


@with_known_options
def select_communicator(name: str | Communicator | None = "auto") -> Communicator | None:
    """This process' end of the line to the other ranks; None if it trains alone.

    Parameters
    ----------
    name : "mpi" (mpi4py), "torch" (torch.distributed), "none", or "auto", which takes the one that suits what has
        started this process: mpiexec, srun or torchrun; without these there are no other ranks. A `Communicator` is
        given back as it is.

    Raises `BackendUnavailableError` where the engine is not installed, and `RanksError` where it does not find the
    other ranks.
    """
    if name is None or isinstance(name, Communicator):
        return name
    name = find_name("communicator", name, NAMES)
    starter, size, engine = started_by(os.environ)
    if name == "none" or (name == "auto" and size == 1):
        return None
    found = made(engine if name == "auto" else name, starter, size)
    if size > 1 and found.size == 1:
        raise RanksError(
            f"{starter} has started {size} processes, and {found.engine} sees one of them alone: start them with the "
            "mpiexec of the MPI that mpi4py uses (of srun: --mpi=pmi2 or --mpi=pmix), or with communicator none."
        )
    return found


def started_by(environment: Mapping[str, str]) -> tuple[str, int, str]:
    """What has started this process, how many there are, and the engine to take; ("", 1, "mpi") if it is alone."""
    for starter, variable, _, engine in STARTERS:
        size = environment.get(variable, "")
        if size.isdigit() and int(size) > 1:
            return starter, int(size), engine
    return "", 1, "mpi"


def told_rank(environment: Mapping[str, str]) -> int:
    """Which of several processes this is, as what has started it says; 0 if it is alone."""
    for _, size, rank, _ in STARTERS:
        if environment.get(size, "1") != "1" and environment.get(rank, "").isdigit():
            return int(environment[rank])
    return 0


def made(engine: str, starter: str, size: int) -> Communicator:
    """The communicator of an engine."""
    module, kind, package, install = ENGINES[engine]
    try:
        found: Any = getattr(import_module(f"anyarray_mlp.ranks.{module}"), kind)()
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        why = f"{starter} has started {size} processes, which need" if starter else "It needs"
        raise BackendUnavailableError(
            f"{why} {package}, which is not installed: {install}, or let each train alone, with communicator none."
        ) from None
    except RuntimeError as error:
        if "MPI library" not in str(error):
            raise
        raise BackendUnavailableError(
            f"mpi4py finds no MPI: {install}, which brings one, or MPI4PY_LIBMPI=PATH of its libmpi."
        ) from None
    communicator: Communicator = found
    return communicator
