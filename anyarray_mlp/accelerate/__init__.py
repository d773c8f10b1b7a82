"""scikit-learn's `MLPClassifier` and `MLPRegressor` in unchanged code, trained by this package.

    python -m anyarray_mlp.accelerate --device cuda script.py ARGUMENTS

or `install()` before the code, or `%load_ext anyarray_mlp.accelerate` in a notebook. The classes stay scikit-learn's,
with its parameters, attributes, errors and pickles; how they train and predict is replaced (`methods`). What cannot
be accelerated runs with scikit-learn's own methods, and stderr says so.
"""

from __future__ import annotations

from typing import Any

from anyarray_mlp.checking.options import with_known_options

__all__ = ["install", "uninstall"]


@with_known_options
def install(
    device: str | None = None, backend: str | None = None, dtype: str | None = None
) -> None:
    """Let this package train and predict for scikit-learn's MLPs in this process, from now on.

    device: "cpu", "cuda", "cuda:1" or "auto"; None for the CPU.
    backend: "numpy", "cupy", "torch", "jax" or "mlx"; None for the best one that is installed for the device.
    dtype: "float32" or "float64" to compute in; None for that of the data, as scikit-learn does.
    Raises `UsageError` for a name that is none, `BackendUnavailableError` for a library or a device that is missing.
    A second call changes where training runs.
    """
    from anyarray_mlp.accelerate.methods import replace_methods

    replace_methods(device, backend, dtype)


def uninstall() -> None:
    """Give scikit-learn's MLPs their own methods back; those that were fitted stay fitted."""
    from anyarray_mlp.accelerate.methods import restore_methods

    restore_methods()


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext anyarray_mlp.accelerate`."""
    install()


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext anyarray_mlp.accelerate`."""
    uninstall()
