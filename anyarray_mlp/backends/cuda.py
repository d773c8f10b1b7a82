"""Whether CUDA works for a library here, and if not, why.

The driver is queried first and directly, which needs no library. Then the library is tested: CuPy imports even
without a driver, so only running a kernel and multiplying two matrices shows whether it works.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
from dataclasses import dataclass

from anyarray_mlp.errors import BackendUnavailableError

NO_DEVICE = 100
INSUFFICIENT_DRIVER = 35
#: Other error codes of cuInit, and what they mean.
INITIALISATION = {
    3: "CUDA could not initialise: often a fork after CUDA was used; start worker processes with 'spawn'",
    34: "the driver library is a stub: remove the toolkit's stubs folder from LD_LIBRARY_PATH",
    802: "the GPU system is not ready: the fabric manager may still be starting; try again in a minute",
    803: "the driver and its kernel module differ in version: reboot, or reload the kernel module",
    804: "this GPU does not support CUDA's forward compatibility: update the driver itself",
    999: "the driver answered with an unknown error: see dmesg, and try again after a reboot",
}


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver's state: cuInit's status (0: it works) and the CUDA version it supports (13000: 13.0)."""

    status: int
    version: int

    @property
    def problem(self) -> str | None:
        """One sentence with the remedy, or None if a GPU can be used."""
        return driver_problem(self.status, self.version) if self.status else None


def driver() -> Driver:
    """Query the driver through its library."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        version, count = ctypes.c_int(0), ctypes.c_int(0)
        status = int(library.cuInit(0))
        library.cuDriverGetVersion(ctypes.byref(version))
        if status == 0:
            status = int(library.cuDeviceGetCount(ctypes.byref(count)))
    except (OSError, AttributeError):
        return Driver(INSUFFICIENT_DRIVER, 0)
    return Driver(status or (0 if count.value else NO_DEVICE), version.value)


def require(name: str, index: int) -> None:
    """Raise `BackendUnavailableError` with reason and remedy unless `name` can compute on GPU `index`."""
    count = device_count(name)
    if index >= count:
        raise BackendUnavailableError(
            f"cuda:{index} does not exist: {name} sees {count} GPU{'s' if count != 1 else ''}, "
            f"cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}."
        )


def device_count(name: str) -> int:
    """The number of GPUs that `name` can use, at least one; raises with the reason if there is none."""
    return {"cupy": cupy_device_count, "torch": torch_device_count, "jax": jax_device_count}[name]()


@functools.cache
def cupy_device_count() -> int:
    """GPUs that CuPy can use, after a kernel and a matrix product have run on the first."""
    try:
        import cupy
        from cupy.cuda import runtime
    except Exception as error:  # a broken installation may raise almost anything
        raise BackendUnavailableError(
            f"CuPy is installed but does not import ({_first_line(error)}): "
            "remove every cupy package with pip uninstall, then install the one wheel that matches the driver: "
            "pip install 'anyarray-mlp[cuda13]' (or [cuda12])."
        ) from error
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        version, needed = int(runtime.driverGetVersion()), int(runtime.runtimeGetVersion())
        raise BackendUnavailableError(
            driver_problem(int(error.status), version, needed, "CuPy")
        ) from error
    if count == 0:
        raise BackendUnavailableError(driver_problem(NO_DEVICE))
    try:
        x = cupy.ones((2, 2), dtype=cupy.float32)
        float((x @ x + x).sum())
    except MemoryError as error:
        raise BackendUnavailableError(
            f"CuPy found a GPU whose memory is full ({_first_line(error)}): "
            "free it (nvidia-smi lists what uses it), or use --device cpu."
        ) from error
    except (
        Exception
    ) as error:  # missing CUDA libraries surface as ImportError, RuntimeError, OSError
        raise BackendUnavailableError(
            f"CuPy found a GPU but could not compute on it ({_first_line(error)}): its CUDA libraries are missing "
            "or of another version; pip install 'cupy-cuda13x[ctk]' (or cupy-cuda12x[ctk]) to match the driver."
        ) from error
    return count


def driver_problem(
    status: int, version: int = 0, needed: int | None = None, library: str = "library"
) -> str:
    """One sentence for a status of the CUDA driver or runtime, with the remedy.

    `version` is the CUDA version that the driver supports, `needed` the one that the library was built for.
    """
    if status == INSUFFICIENT_DRIVER and version == 0:
        return (
            "No NVIDIA driver was found: install one (nvidia-smi must list a GPU; "
            "in a container, pass the GPU through), or use --device cpu."
        )
    if status == INSUFFICIENT_DRIVER and needed is not None and version < needed:
        older = (
            f", or install a {library} for the older CUDA"
            + (": pip install 'anyarray-mlp[cuda12]'" if library == "CuPy" else "")
            if version >= 12000
            else ""
        )
        return (
            f"The NVIDIA driver supports CUDA {_version(version)} and this {library} needs {_version(needed)}: "
            f"update the driver{older}."
        )
    if status == NO_DEVICE:
        return (
            "The NVIDIA driver works but no GPU is visible: "
            "check CUDA_VISIBLE_DEVICES and nvidia-smi, or use --device cpu."
        )
    reason = INITIALISATION.get(
        status, f"the CUDA driver answered with error {status}: see nvidia-smi"
    )
    return f"CUDA does not work here ({status}); {reason}, or use --device cpu."


@functools.cache
def torch_device_count() -> int:
    """GPUs that PyTorch can use."""
    import torch

    if torch.version.cuda is None:
        raise BackendUnavailableError(
            f"This PyTorch ({torch.__version__}) was built without CUDA: "
            "install a CUDA build of torch, or use --device cpu."
        )
    if not torch.cuda.is_available():
        now = driver()
        needed = cuda_number(torch.version.cuda)
        if now.status == 0 and now.version // 1000 < needed // 1000:
            raise BackendUnavailableError(
                driver_problem(INSUFFICIENT_DRIVER, now.version, needed, "PyTorch")
            )
        raise BackendUnavailableError(
            now.problem
            or f"PyTorch was built for CUDA {torch.version.cuda} but finds no usable GPU, though the driver lists "
            "one: torch.zeros(1).cuda() raises the reason; or use --device cpu."
        )
    return int(torch.cuda.device_count())


@functools.cache
def jax_device_count() -> int:
    """GPUs that JAX can use."""
    import jax

    try:
        return len(jax.devices("cuda"))
    except RuntimeError as error:
        plugins = [f"jax_cuda{major}_plugin" for major in (12, 13)]
        if not any(importlib.util.find_spec(plugin) for plugin in plugins):
            raise BackendUnavailableError(
                "This JAX was installed without CUDA: pip install 'jax[cuda13]' (or [cuda12], to match the driver), "
                "or use --device cpu."
            ) from error
        raise BackendUnavailableError(
            driver().problem
            or f"This JAX finds no usable GPU, though the driver lists one ({_first_line(error)}): its CUDA plugin may "
            "be for another CUDA than the driver; pip install 'jax[cuda13]' (or [cuda12]), or use --device cpu."
        ) from error


def cuda_number(version: str) -> int:
    """A version such as 13.0 as the number 13000."""
    major, _, minor = version.partition(".")
    return int(major) * 1000 + int(minor or 0) * 10


def _version(number: int) -> str:
    """A number such as 13000 as the version 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
