"""Every way in which a machine can have no usable GPU, and the sentence that each gets.

A fake driver library (`fake_cuda.c`) plays the driver's states; stand-ins for the libraries play theirs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from anyarray_mlp.backends import backend_statuses, cuda, select_backend
from anyarray_mlp.backends.cuda import Driver, driver_problem
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from tests.beds import require_library

#: cuInit's answer, the driver's CUDA version, and what the sentence must say.
STATES: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "no device": (100, 99000, ("no GPU is visible", "CUDA_VISIBLE_DEVICES")),
    "initialisation": (3, 99000, ("(3)", "could not initialise", "'spawn'")),
    "stub library": (34, 99000, ("(34)", "stub", "LD_LIBRARY_PATH")),
    "system not ready": (802, 99000, ("(802)", "not ready", "try again in a minute")),
    "driver mismatch": (803, 99000, ("(803)", "differ in version", "reboot")),
    "no forward compatibility": (804, 99000, ("(804)", "forward compatibility", "driver itself")),
    "unknown": (999, 99000, ("(999)", "unknown error", "dmesg")),
    "unheard of": (712, 99000, ("(712)", "error 712", "nvidia-smi")),
}


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fake libcuda.so.1."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler (cc) to build the fake CUDA driver")
    folder = tmp_path_factory.mktemp("fake_cuda")
    source = Path(__file__).with_name("fake_cuda.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", source], check=True
    )
    return folder


def environment(folder: Path, status: int, version: int, count: int = 0) -> dict[str, str]:
    return {
        "LD_LIBRARY_PATH": str(folder),
        "FAKE_CUDA_INIT": str(status),
        "FAKE_CUDA_VERSION": str(version),
        "FAKE_CUDA_COUNT": str(count),
    }


SELECT = """
import sys
from anyarray_mlp.backends import select_backend
from anyarray_mlp.errors import BackendUnavailableError
try:
    select_backend({name!r}, "cuda")
except BackendUnavailableError as error:
    print(error)
"""


# --- the driver, asked directly ---


@pytest.mark.parametrize("state", STATES)
def test_driver_states_without_a_library(state: str, fake_driver: Path, run_python: Any) -> None:
    """`--device cuda` asks the driver before it loads any library."""
    status, version, says = STATES[state]
    code = (
        SELECT.format(name=None)
        + "print([m for m in ('torch', 'jax', 'cupy') if m in sys.modules])"
    )
    done = run_python(code, **environment(fake_driver, status, version))
    sentence, loaded = done.stdout.splitlines()
    assert done.stderr == ""
    assert loaded == "[]"
    assert all(part in sentence for part in says), sentence
    assert "--device cpu" in sentence


def test_a_driver_without_devices(fake_driver: Path, run_python: Any) -> None:
    done = run_python(SELECT.format(name=None), **environment(fake_driver, 0, 99000, 0))
    assert "no GPU is visible" in done.stdout


@pytest.mark.skipif(cuda.driver().version > 0, reason="there is an NVIDIA driver here")
def test_no_driver() -> None:
    assert cuda.driver() == Driver(35, 0)
    with pytest.raises(BackendUnavailableError, match="No NVIDIA driver was found: install one"):
        select_backend(device="cuda")
    assert select_backend(device="auto").device == "cpu"


def test_a_driver_that_works_has_no_problem(fake_driver: Path, run_python: Any) -> None:
    code = "from anyarray_mlp.backends.cuda import driver; print(driver(), driver().problem)"
    done = run_python(code, **environment(fake_driver, 0, 13020, 2))
    assert done.stdout.strip() == "Driver(status=0, version=13020) None"


def test_the_command_line_ends_with_69(fake_driver: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "anyarray_mlp", "train", "digits", "--device", "cuda"],
        env={**os.environ, **environment(fake_driver, 803, 13000)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 69
    assert done.stdout == ""
    assert done.stderr == (
        "error: CUDA does not work here (803); the driver and its kernel module differ in version: reboot, or "
        "reload the kernel module, or use --device cpu.\n"
    )


# --- CuPy's own view, where CuPy is installed ---


@pytest.mark.parametrize("state", STATES)
def test_driver_states_through_cupy(state: str, fake_driver: Path, run_python: Any) -> None:
    require_library("cupy")
    status, version, says = STATES[state]
    done = run_python(SELECT.format(name="cupy"), **environment(fake_driver, status, version))
    assert all(part in done.stdout for part in says), done.stdout + done.stderr
    assert done.stdout.count("\n") == 1


def test_a_driver_too_old_for_cupy(fake_driver: Path, run_python: Any) -> None:
    require_library("cupy")
    code = SELECT.format(name="cupy")
    done = run_python(code, **environment(fake_driver, 0, 12000, 1))
    assert "The NVIDIA driver supports CUDA 12.0 and this CuPy needs 1" in done.stdout
    assert "update the driver, or install a CuPy for the older CUDA" in done.stdout
    done = run_python(code, **environment(fake_driver, 0, 11080, 1))
    assert "The NVIDIA driver supports CUDA 11.8 and this CuPy needs 1" in done.stdout
    assert done.stdout.endswith("update the driver.\n")


def test_a_slightly_older_driver_is_not_blamed(fake_driver: Path, run_python: Any) -> None:
    """Within a major version any driver will do: a missing device is then a missing device."""
    require_library("cupy")
    code = "from cupy.cuda import runtime; print(runtime.runtimeGetVersion() // 1000 * 1000)"
    version = int(run_python(code).stdout)
    done = run_python(SELECT.format(name="cupy"), **environment(fake_driver, 100, version))
    assert "no GPU is visible" in done.stdout


def test_cupy_without_a_driver(run_python: Any) -> None:
    require_library("cupy")
    if cuda.driver().version:
        pytest.skip("there is an NVIDIA driver here")
    assert "No NVIDIA driver was found" in run_python(SELECT.format(name="cupy")).stdout


def test_info_lists_the_reason(fake_driver: Path) -> None:
    require_library("cupy")
    done = subprocess.run(
        [sys.executable, "-m", "anyarray_mlp", "info", "--json"],
        env={**os.environ, **environment(fake_driver, 802, 13000)},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    (cupy,) = [b for b in json.loads(done.stdout)["backends"] if b["name"] == "cupy"]
    assert cupy["version"]
    assert cupy["devices"] == []
    assert "(802)" in cupy["problem"]


# --- the states of a library, played by stand-ins ---


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def stand_in_cupy(
    monkeypatch: pytest.MonkeyPatch,
    *,
    count: int = 1,
    status: int = 0,
    driver: int = 13000,
    runtime: int = 13020,
    failure: Exception | None = None,
) -> None:
    """A module `cupy` whose driver, runtime and first kernel behave as told."""

    def device_count() -> int:
        if status:
            raise CUDARuntimeError(status)
        return count

    def ones(shape: Any, dtype: Any) -> Any:
        if failure is not None:
            raise failure
        import numpy as np

        return np.ones(shape, dtype)

    cupy = types.ModuleType("cupy")
    cupy.cuda = types.ModuleType("cupy.cuda")  # type: ignore[attr-defined]
    cupy.cuda.runtime = types.SimpleNamespace(  # type: ignore[attr-defined]
        getDeviceCount=device_count,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: runtime,
        CUDARuntimeError=CUDARuntimeError,
    )
    cupy.ones, cupy.float32 = ones, "float32"  # type: ignore[attr-defined]
    cupy.__spec__ = types.SimpleNamespace(name="cupy")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", cupy.cuda)  # type: ignore[attr-defined]
    monkeypatch.setattr(cuda, "cupy_device_count", cuda.cupy_device_count.__wrapped__)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            ImportError(
                "libcublas.so.13: cannot open shared object file: No such file or directory"
            ),
            ("libcublas.so.13", "CUDA libraries are missing", "pip install 'cupy-cuda13x[ctk]'"),
        ),
        (RuntimeError("Failure finding libnvrtc.so: not found"), ("libnvrtc.so", "[ctk]")),
        (OSError("libnvrtc.so.12: wrong ELF class"), ("libnvrtc.so.12", "of another version")),
        (MemoryError("Out of memory allocating 512 bytes"), ("memory is full", "nvidia-smi")),
    ],
)
def test_cupy_that_finds_a_gpu_but_cannot_use_it(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, says: tuple[str, ...]
) -> None:
    stand_in_cupy(monkeypatch, failure=failure)
    with pytest.raises(BackendUnavailableError) as caught:
        select_backend("cupy", "cuda")
    assert all(part in str(caught.value) for part in says), caught.value
    assert "\n" not in str(caught.value)


def test_cupy_that_works_counts_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_cupy(monkeypatch, count=2)
    (status,) = [s for s in backend_statuses() if s.name == "cupy"]
    assert (status.devices, status.problem) == (("cuda:0", "cuda:1"), None)
    with pytest.raises(
        BackendUnavailableError, match="cuda:2 does not exist: cupy sees 2 GPUs, cuda:0 to cuda:1"
    ):
        select_backend("cupy", "cuda:2")


def test_a_broken_cupy_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two wheels was uninstalled: the folder is there and its modules are not."""
    cupy = types.ModuleType("cupy")
    cupy.__spec__ = types.SimpleNamespace(name="cupy")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    with pytest.raises(
        BackendUnavailableError, match="remove every cupy package with pip uninstall"
    ):
        select_backend("cupy", "cuda")


def test_a_wheel_that_is_recorded_but_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(
        "anyarray_mlp.backends.selection.distribution_version",
        lambda name: "14.2.0" if name == "cupy-cuda12x" else None,
    )
    with pytest.raises(
        BackendUnavailableError, match="pip uninstall -y cupy-cuda12x, then pip install"
    ):
        select_backend("cupy", "cuda")


def stand_in_torch(monkeypatch: pytest.MonkeyPatch, built_for: str | None) -> None:
    torch = types.ModuleType("torch")
    torch.__version__ = "2.13.0"  # type: ignore[attr-defined]
    torch.version = types.SimpleNamespace(cuda=built_for)  # type: ignore[attr-defined]
    torch.cuda = types.SimpleNamespace(is_available=lambda: False)  # type: ignore[attr-defined]
    torch.__spec__ = types.SimpleNamespace(name="torch")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize(
    ("built_for", "state", "says"),
    [
        (None, Driver(0, 13000), "PyTorch (2.13.0) was built without CUDA"),
        ("13.0", Driver(35, 0), "No NVIDIA driver was found"),
        (
            "13.0",
            Driver(0, 12040),
            "driver supports CUDA 12.4 and this PyTorch needs 13.0: update the driver, or",
        ),
        ("13.0", Driver(100, 13000), "no GPU is visible"),
        ("13.0", Driver(0, 13000), "torch.zeros(1).cuda() raises the reason"),
        ("12.8", Driver(803, 12080), "(803)"),
    ],
)
def test_torch_without_a_usable_gpu(
    monkeypatch: pytest.MonkeyPatch, built_for: str | None, state: Driver, says: str
) -> None:
    stand_in_torch(monkeypatch, built_for)
    monkeypatch.setattr(cuda, "driver", lambda: state)
    # Not what was counted, and kept, on a machine with a GPU.
    monkeypatch.setattr(cuda, "torch_device_count", cuda.torch_device_count.__wrapped__)
    with pytest.raises(BackendUnavailableError) as caught:
        select_backend("torch", "cuda")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("plugin", "state", "says"),
    [
        (False, Driver(0, 13000), "installed without CUDA: pip install 'jax[cuda13]'"),
        (True, Driver(35, 0), "No NVIDIA driver was found"),
        (
            True,
            Driver(0, 13000),
            "finds no usable GPU, though the driver lists one (RuntimeError: Unknown backend",
        ),
    ],
)
def test_jax_without_a_usable_gpu(
    monkeypatch: pytest.MonkeyPatch, plugin: bool, state: Driver, says: str
) -> None:
    def no_devices(platform: str) -> list[Any]:
        raise RuntimeError(f"Unknown backend: {platform!r} requested")

    jax = types.ModuleType("jax")
    jax.devices = no_devices  # type: ignore[attr-defined]
    jax.__spec__ = types.SimpleNamespace(name="jax")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setattr(cuda, "driver", lambda: state)
    monkeypatch.setattr(cuda, "jax_device_count", cuda.jax_device_count.__wrapped__)
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: object() if plugin or "plugin" not in name else None,
    )
    with pytest.raises(BackendUnavailableError) as caught:
        select_backend("jax", "cuda")
    assert says in str(caught.value)


def test_where_no_library_works_the_first_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "driver", lambda: Driver(0, 13000))
    present = {"numpy": object()}
    monkeypatch.setattr("importlib.util.find_spec", present.get)
    monkeypatch.setattr("anyarray_mlp.backends.selection.distribution_version", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"cupy, which is not installed: pip install"):
        select_backend(device="cuda")
    assert select_backend(device="auto").name == "numpy"


def test_auto_takes_the_first_library_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "driver", lambda: Driver(0, 13000))
    asked: list[str] = []

    def device_count(name: str) -> int:
        asked.append(name)
        raise BackendUnavailableError("not here")

    monkeypatch.setattr(cuda, "device_count", device_count)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert select_backend(device="auto").name == "numpy"
    assert asked == ["cupy", "torch", "jax"]
    assert select_backend("numpy", "auto").device == "cpu"


def test_libraries_without_a_gpu_side() -> None:
    with pytest.raises(UsageError, match="numpy backend runs on the CPU only"):
        select_backend("numpy", "cuda")


def test_every_sentence_is_one_line_with_a_cure() -> None:
    for status in (3, 34, 35, 100, 712, 802, 803, 804, 999):
        for version in (0, 12000):
            sentence = driver_problem(status, version, 13000, "CuPy")
            assert "\n" not in sentence
            assert sentence.endswith(("--device cpu.", "'anyarray-mlp[cuda12]'."))
