"""Fixtures over the test bed (`tests/beds.py`).

`backend` runs a test once on every bed, in float64 unless the test parametrises `dtype`; `xp` and `device` are its
arithmetic and its device. `@pytest.mark.needs("values")` skips the beds that lack a capability. A bed whose library is
absent skips, saying so, or fails where ANYARRAY_MLP_EXPECT lists the library.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Several virtual devices on the CPU; read when JAX is first imported.
os.environ["XLA_FLAGS"] = " ".join(
    filter(None, [os.environ.get("XLA_FLAGS"), "--xla_force_host_platform_device_count=4"])
)

# scikit-learn's array API dispatch; read when SciPy is first imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from anyarray_mlp.backends import BACKENDS, Backend
from anyarray_mlp.backends.selection import with_cuda
from anyarray_mlp.network import functional
from anyarray_mlp.network.losses import LOSSES
from tests.beds import BEDS, EXPECTED, NEEDS, PROGRAMS

# What a test draws, it draws alike in every run, and on a busy machine it may take its time. To look for more:
# python -m pytest --hypothesis-profile=random
PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, **PATIENT)
settings.register_profile("random", derandomize=False, **PATIENT)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The process's own generators start alike in every test, in whichever order the tests run."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    """Activations and losses that a test registers are gone after it: parity has a case for each that there is."""
    kept = dict(functional.ACTIVATIONS), dict(LOSSES)
    yield
    for table, before in zip((functional.ACTIVATIONS, LOSSES), kept, strict=True):
        if table != before:
            table.clear()
            table.update(before)


# A job in the background is started with SIGINT ignored, one under nohup with SIGHUP, which their children inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    known = {*BACKENDS, *(f"{name}-cuda" for name in with_cuda()), *PROGRAMS}
    if not known >= EXPECTED:
        raise pytest.UsageError(
            f"ANYARRAY_MLP_EXPECT names {', '.join(sorted(EXPECTED - known))}; known are {', '.join(sorted(known))}."
        )
    config.addinivalue_line(
        "markers", "needs(*capabilities): run on the beds that have these only (see tests/beds.py)"
    )
    config.addinivalue_line("markers", "on(*beds): run on these beds only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bed_name" not in metafunc.fixturenames:
        return
    needed: set[str] = set()
    for mark in metafunc.definition.iter_markers("needs"):
        needed.update(mark.args)
    named = {name for mark in metafunc.definition.iter_markers("on") for name in mark.args}
    unknown = (named - set(BEDS)) | (needed - NEEDS)
    assert not unknown, f"{metafunc.definition.nodeid} asks for unknown {sorted(unknown)}"
    names = [
        name
        for name, bed in BEDS.items()
        if needed <= bed.capabilities and (not named or name in named)
    ]
    marks = {name: [pytest.mark.gpu] for name in names if BEDS[name].device == "cuda"}
    metafunc.parametrize(
        "bed_name", [pytest.param(name, marks=marks.get(name, [])) for name in names]
    )


@pytest.fixture
def dtype() -> str:
    """float64; parametrise `dtype` to test others."""
    return "float64"


@pytest.fixture
def backend(bed_name: str, dtype: str) -> Iterator[Backend]:
    """A backend of every bed in turn."""
    bed = BEDS[bed_name]
    bed.require()
    if bed.library != "jax":
        yield bed.make(dtype)
        return
    import jax

    # JAX keeps float64 behind a switch of the process: a float32 test must not inherit it.
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", dtype == "float64")
    try:
        yield bed.make(dtype)
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.fixture
def xp(backend: Backend) -> Any:
    """The arithmetic of `backend`."""
    return backend.xp


@pytest.fixture
def device(backend: Backend) -> str:
    """The device of `backend`."""
    return backend.device


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(here: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`cli("train", ...)` in an empty folder; returns (exit code, stdout, stderr)."""
    from anyarray_mlp.cli import run

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def run_python() -> Any:
    """`run_python(code, **environment)`: code in a fresh interpreter, run from the repository's root."""
    import subprocess

    root = Path(__file__).parent.parent

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def x64_as_before() -> Iterator[None]:
    """JAX as it was: a test may switch float64 on for the process."""
    if importlib.util.find_spec("jax") is None:
        yield
        return
    import jax

    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)
