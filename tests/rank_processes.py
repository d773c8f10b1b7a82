"""Ranks that are processes: those of mpiexec, and of torch.distributed as torchrun starts them."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def of_mpich(name: str) -> Path | None:
    """A file that the mpich wheel has brought."""
    try:
        files = importlib.metadata.files("mpich") or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())).resolve() for f in files if f.name == name), None)


def environment(**variables: str) -> dict[str, str]:
    """One thread a rank, and mpich where another environment's packages are used."""
    found = dict(os.environ) | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | variables
    libmpi = of_mpich("libmpi.so.12")
    return found if libmpi is None else {"MPI4PY_LIBMPI": str(libmpi)} | found


def under_mpiexec(ranks: int, *flags: str, module: str = "anyarray_mlp") -> list[str]:
    """The command line that starts ranks of a module."""
    program = [sys.executable, "-m", "mpi4py", "-m", module, *flags]
    return [str(of_mpich("mpiexec")), "-n", str(ranks), *program]


@cache
def ports() -> Iterator[int]:
    """Ports below those that the system gives to connections, others in each process of the tests."""
    first = 20_000 + os.getpid() % 1_000 * 10
    return iter(range(first, first + 10_000))


def free_port() -> str:
    """A port that nobody listens at."""
    for port in ports():
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return str(port)
    raise OSError("no port is free")


def gloo(ranks: int, folder: Path, *flags: str) -> list[subprocess.Popen[str]]:
    """Processes as torchrun would start them."""
    port = free_port()
    fixed = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "anyarray_mlp", *flags],
            cwd=folder,
            env=environment(RANK=str(rank), **fixed),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
