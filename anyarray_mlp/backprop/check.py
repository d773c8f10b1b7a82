"""`check_backprop` and `check_file`: say what is wrong with a hand-written backprop, and where.

The user's loss is differentiated numerically: that says what is wrong. Their own calls are recorded on a tape: that
says where and why. Whatever cannot be recorded is compared by numbers alone.
"""

from __future__ import annotations

import linecache
import os
import sys
import traceback
import types
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, replace
from importlib.abc import InspectLoader
from typing import Any

from anyarray_mlp.backprop.report import BackpropReport
from anyarray_mlp.backprop.run import Check
from anyarray_mlp.backprop.scripts.check import check_script, describes_itself, read_source
from anyarray_mlp.backprop.user.adapter import Adapter
from anyarray_mlp.backprop.user.calling import quiet
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.source_lines import is_checkers, is_own
from anyarray_mlp.checking.options import refuse_unknown, with_known_options
from anyarray_mlp.checking.values import check_path
from anyarray_mlp.errors import AnyArrayMLPError, StorageError, UsageError


@with_known_options
def check_backprop(
    network: Any, x: Any = None, y: Any = None, **description: Any
) -> BackpropReport:
    """Check a hand-written network's forward pass, gradients and update, and name what is wrong.

    Parameters
    ----------
    network
        An `Adapter`, or the object, dict, list or module that holds the weights.
    x, y
        Some samples and targets in the layout that the network takes: four to a few hundred.
    description
        What `Adapter` takes: `weights`, `biases`, `forward`, `loss`, `gradients`, `train_step`, ...

    Returns
    -------
    A report; `report.ok` is False if something is wrong, and `print(report)` says what.

    Raises
    ------
    UsageError
        If the description does not lead to the weights or to functions that can be called.
    DataError
        If x and y do not fit together or do not fit the network.
    """
    told = [each.name for each in fields(Adapter) if each.name not in ("network", "x", "y")]
    refuse_unknown("check_backprop", description, told)
    if isinstance(network, Adapter):
        adapter = replace(network, **description) if description else network
    else:
        adapter = Adapter(network=network, **description)
    x = adapter.x if x is None else x
    y = adapter.y if y is None else y
    if x is None or y is None:
        raise UsageError("x and y are needed: give some samples and their targets")
    user = UserNetwork(adapter)
    try:
        with full_precision():
            return Check(user, x, y).run()
    except AnyArrayMLPError:
        raise
    except Exception as error:
        place = place_in_own_code(error)
        if place is None:
            raise
        raise UsageError(
            f"{place}: the network's own code raised {type(error).__name__}: {error}; fix that first, or give "
            "samples='rows', 'columns' or 'single' if it was called with samples in the wrong layout"
        ) from error
    finally:
        user.restore()


def full_precision() -> AbstractContextManager[Any]:
    """JAX multiplies float32 matrices in full precision inside.

    On a GPU it uses TF32 unless told otherwise, whose rounding would look like a small mistake in every product.
    """
    jax = sys.modules.get("jax")
    return nullcontext() if jax is None else jax.default_matmul_precision("highest")


def place_in_own_code(error: BaseException) -> str | None:
    """ "file:line" of the user's code that an error came from; None if it did not."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    inside = (
        [frame for frame in frames[frames.index(own[-1]) :] if not is_own(frame.filename)]
        if own
        else []
    )
    if not own or any(is_checkers(frame.filename) for frame in inside):
        return None
    return f"{os.path.basename(own[-1].filename)}:{own[-1].lineno}"


@with_known_options
def check_file(path: str | os.PathLike[str]) -> BackpropReport:
    """Check the network in a Python file.

    If the file defines `ADAPTER` (an `Adapter` with x and y), or a function `adapter()` or `network()`
    that returns one, that describes the network. Any other script, and a notebook, is run for its first
    steps of training, from which the network is found. Check only files that you would run.

    Raises
    ------
    StorageError
        If the file cannot be read.
    UsageError
        If it fails to run, or nothing in it trains.
    """
    check_path("path", path)
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise StorageError(f"{name}: no such file; give the Python file that contains the network")
    source, _ = read_source(name)
    if not describes_itself(source):
        return check_script(name)
    with loaded(name, source) as module:
        found = getattr(module, "ADAPTER", None)
        for maker in ("adapter", "network"):
            if found is None and callable(getattr(module, maker, None)):
                found = getattr(module, maker)()
        if not isinstance(found, Adapter):
            raise UsageError(
                f"{name}: defines no ADAPTER, and no adapter() or network() that returns an Adapter; add "
                "ADAPTER = Adapter(network=..., x=..., y=..., ...)"
            )
        return check_backprop(found)


class Source(InspectLoader):
    """Runs the source of a file, or the code of a notebook, as a module."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source = path, source

    def get_source(self, fullname: str) -> str:
        return self.source

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.source, self.path, "exec")


@contextmanager
def loaded(name: str, source: str) -> Iterator[types.ModuleType]:
    """The module that a file, or the code of a notebook, makes, run without arguments.

    Raises
    ------
    UsageError
        If it fails to run.
    """
    module = types.ModuleType("checked_network")
    module.__file__ = name
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    sys.modules["checked_network"] = module
    folder = os.path.dirname(os.path.abspath(name))
    arguments = sys.argv
    sys.path.insert(0, folder)
    sys.argv = [name]
    try:
        try:
            with quiet():
                Source(name, source).exec_module(module)
        except AnyArrayMLPError:
            raise
        except SystemExit:
            # A script may end like this after defining ADAPTER.
            if not hasattr(module, "ADAPTER"):
                raise UsageError(
                    f"{name}: calls sys.exit() before it defines ADAPTER; define ADAPTER first, or put the rest under "
                    "if __name__ == '__main__'"
                ) from None
        except Exception as error:
            raise UsageError(
                f"{name}: running it raised {type(error).__name__}: {error}; fix that first"
            ) from error
        yield module
    finally:
        sys.argv = arguments
        sys.path.remove(folder)
        sys.modules.pop("checked_network", None)
