"""Whether CUDA works for a library here, and if not, which of the many reasons it is.

CuPy imports without a driver, so only asking the driver, running a kernel and multiplying two matrices tells.
"""

from __future__ import annotations

import functools
import os

from anyarray_mlp.errors import BackendUnavailableError

NO_DEVICE = 100
INSUFFICIENT_DRIVER = 35
#: Other codes that cuInit answers with, and what they mean.
INITIALISATION = {
    3: "CUDA could not initialise: often a fork after CUDA was used; start worker processes with 'spawn'",
    34: "the driver library is a stub: remove the toolkit's stubs folder from LD_LIBRARY_PATH",
    802: "the GPU system is not ready: the fabric manager may still be starting; try again in a minute",
    803: "the driver and its kernel module differ in version: reboot, or reload the kernel module",
    804: "this GPU does not support CUDA's forward compatibility: update the driver itself",
    999: "the driver answered with an unknown error: see dmesg, and try again after a reboot",
}


def require(name: str, index: int) -> None:
    """Raise `BackendUnavailableError` with the reason and its cure unless `name` can compute on GPU `index`."""
    count = device_count(name)
    if index >= count:
        raise BackendUnavailableError(
            f"cuda:{index} does not exist: {name} sees {count} GPU{'s' if count != 1 else ''}, "
            f"cuda:0{f' to cuda:{count - 1}' if count > 1 else ''}."
        )


def device_count(name: str) -> int:
    """The number of GPUs that `name` can use, at least one; raises where there is none, saying why."""
    return {"cupy": cupy_device_count, "torch": torch_device_count, "jax": jax_device_count}[name]()


@functools.cache
def cupy_device_count() -> int:
    """GPUs that CuPy can use, after a kernel and a matrix product have run on the first."""
    try:
        import cupy
        from cupy.cuda import runtime
    except Exception as error:  # a broken installation raises nearly anything
        raise BackendUnavailableError(
            f"CuPy is installed but does not import ({_first_line(error)}): remove every cupy package with "
            "pip uninstall, then install the one wheel that matches the driver: "
            "pip install 'anyarray-mlp[cuda13]' (or [cuda12])."
        ) from error
    try:
        count = int(runtime.getDeviceCount())
    except runtime.CUDARuntimeError as error:
        raise BackendUnavailableError(_driver_problem(error.status)) from error
    if count == 0:
        raise BackendUnavailableError(_driver_problem(NO_DEVICE))
    try:
        x = cupy.ones((2, 2), dtype=cupy.float32)
        float((x @ x + x).sum())
    except (
        Exception
    ) as error:  # missing CUDA libraries surface as ImportError, RuntimeError, OSError
        raise BackendUnavailableError(
            f"CuPy found a GPU but could not compute on it ({_first_line(error)}): its CUDA libraries are missing "
            "or of another version; pip install 'cupy-cuda13x[ctk]' (or cupy-cuda12x[ctk]) to match the driver."
        ) from error
    return count


def _driver_problem(status: int) -> str:
    """One sentence for a status of the CUDA runtime, with the cure."""
    from cupy.cuda import runtime

    driver, needed = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if status == INSUFFICIENT_DRIVER and driver == 0:
        return (
            "No NVIDIA driver was found: install one (nvidia-smi must list a GPU; in a container, pass the GPU "
            "through), or use --device cpu."
        )
    if status == INSUFFICIENT_DRIVER or 0 < driver < needed:
        return (
            f"The NVIDIA driver supports CUDA {_version(driver)} and this CuPy needs {_version(needed)}: update the "
            "driver, or install the CuPy wheel for the older CUDA: pip install 'anyarray-mlp[cuda12]'."
        )
    if status == NO_DEVICE:
        return (
            "The NVIDIA driver works but no GPU is visible: check CUDA_VISIBLE_DEVICES and nvidia-smi, or use "
            "--device cpu."
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
            f"This PyTorch ({torch.__version__}) was built without CUDA: install a CUDA build of torch, or use "
            "--device cpu."
        )
    if not torch.cuda.is_available():
        raise BackendUnavailableError(
            f"PyTorch was built for CUDA {torch.version.cuda} but finds no usable GPU: check that nvidia-smi lists "
            "one and that the driver is recent enough, or use --device cpu."
        )
    return int(torch.cuda.device_count())


@functools.cache
def jax_device_count() -> int:
    """GPUs that JAX can use."""
    import jax

    try:
        return len(jax.devices("cuda"))
    except RuntimeError as error:
        raise BackendUnavailableError(
            "This JAX sees no NVIDIA GPU: pip install 'jax[cuda13]' (or [cuda12]) and check that nvidia-smi lists a "
            "GPU, or use --device cpu."
        ) from error


def tf32_override() -> tuple[str, ...]:
    """NVIDIA's own switch, which overrules every library's."""
    if os.environ.get("NVIDIA_TF32_OVERRIDE") != "1":
        return ()
    return ("NVIDIA_TF32_OVERRIDE=1 is set: cuBLAS multiplies float32 matrices in TF32; unset it.",)


def _version(number: int) -> str:
    """13000 as 13.0."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
