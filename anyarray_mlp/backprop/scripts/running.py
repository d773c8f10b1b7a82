"""Run a script as `python script.py` does, on a tape, for its first steps."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import linecache
import os
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backprop.scripts.literals import NAME, REPEATED, compiled, recorded, repeated
from anyarray_mlp.backprop.scripts.weights import find_weights
from anyarray_mlp.backprop.tracing.arguments import Number
from anyarray_mlp.backprop.tracing.proxies import MODULES, recording, stand_in
from anyarray_mlp.backprop.tracing.tape import Tape, TapeFull
from anyarray_mlp.backprop.user.source_lines import is_own

#: After so many operations a script is stopped if it has made some steps; else, twice as many.
OPERATIONS = 2_000
MOST_OPERATIONS = 100_000
#: Steps after the first that are recorded, too.
STEPS = 3
#: A script is stopped after so many seconds of work, or of waiting.
SECONDS = 6.0
WAITING = 20.0
#: So often it is looked after, in seconds; less work than this from look to look is none.
LOOK = 0.2
BUSY = 1e-3
#: Libraries that only show or measure: they are stood in for by something that does nothing.
SILENT = frozenset(
    ["matplotlib", "seaborn", "pylab", "plotly", "IPython", "tqdm", "wandb", "tensorboardX"]
)


class StopScript(BaseException):
    """Ends a script that has been recorded long enough; no `except Exception` catches it."""


@dataclass
class Run:
    """What came of a script: its tape, its names, what it printed, and how it ended."""

    path: str
    tape: Tape
    names: dict[str, Any]
    printed: str
    ended: str
    error: BaseException | None = None
    #: Of work.
    seconds: float = 0.0


class Nothing(types.ModuleType):
    """A library that does nothing: every name in it is a function that returns another such thing."""

    def __init__(self, name: str = "nothing") -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("tqdm", "trange", "notebook", "auto"):
            return Passed() if name == "tqdm" else range if name == "trange" else self
        return Nothing(name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return Nothing()

    def __iter__(self) -> Iterator[Any]:
        return iter((Nothing(), Nothing()))

    def __getitem__(self, key: Any) -> Any:
        return Nothing()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


class Passed:
    """`tqdm`: what it is given, as it is."""

    def __call__(self, iterable: Any = (), *args: Any, **options: Any) -> Any:
        return iterable

    def __getattr__(self, name: str) -> Any:
        return self


class Importer:
    """`__import__` as the script sees it: recorded NumPy, silent plots."""

    def __init__(self) -> None:
        self.plain = builtins.__import__
        self.before = set(sys.modules)

    def __call__(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        top = name.partition(".")[0]
        if level == 0 and top in SILENT:
            return Nothing(name)
        module = self.plain(name, globals, locals, fromlist, level)
        self.watch_own()
        return MODULES.get(id(module), module)

    def watch_own(self) -> None:
        """The user's own modules, as far as the script brings them, see the recorded libraries too."""
        for name, module in list(sys.modules.items()):
            if name in self.before:  # of the program that calls this
                continue
            path = getattr(module, "__file__", None)
            if (
                not isinstance(module, types.ModuleType)
                or path is None
                or hasattr(module, "__watched__")
            ):
                continue
            if module.__name__ == "__main__" or not is_own(path):
                continue
            if module.__name__.startswith(("anyarray_mlp", "benchmarks", "tests")):
                continue
            module.__watched__ = True  # type: ignore[attr-defined]
            space = vars(module)
            for key, value in list(space.items()):
                if not key.startswith("__"):
                    space[key] = stand_in(key, value)
            space.setdefault("float", Number)


def run_script(
    source: str, path: str, arguments: tuple[str, ...] = (), integers: bool = False
) -> Run:
    """Run the source of a script on a tape until it ends, or long enough; whole numbers are recorded, too, if told.

    Raises
    ------
    SyntaxError
        If it is no Python.
    """
    code = compiled(source, path, integers)
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    tape = Tape(limit=OPERATIONS)
    tape.when_full = enough
    tape.phase = "step"
    tape.own[path] = True
    importer = Importer()
    space = dict(vars(builtins))
    space["__import__"] = importer
    space["input"] = lambda *args: "1"
    names: dict[str, Any] = {
        "__name__": "__main__",
        "__file__": path,
        "__builtins__": space,
        "float": Number,
        NAME: recorded,
        REPEATED: repeated,
    }
    printed = io.StringIO()
    run = Run(path, tape, names, "", "ended by itself")
    folder = os.path.dirname(os.path.abspath(path))
    argv, modules = sys.argv, set(sys.modules)
    start = time.process_time()
    sys.argv = [path, *arguments]
    sys.path.insert(0, folder)
    try:
        with quieted(printed), stopped_after(SECONDS), recording(tape):
            exec(code, names)
    except (StopScript, TapeFull):
        run.ended = "stopped after its first steps"
    except SystemExit:
        run.ended = "ended with sys.exit()"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        run.ended, run.error = f"raised {type(error).__name__}: {error}", error
    finally:
        sys.argv = argv
        sys.path.remove(folder)
        for name in set(sys.modules) - modules:
            if hasattr(sys.modules[name], "__watched__"):
                del sys.modules[name]
    run.printed = printed.getvalue()
    run.seconds = time.process_time() - start
    return run


def enough(tape: Tape) -> int:
    """At how many operations to look again; ends the script if some steps have been recorded."""
    count = len(tape.nodes)
    found = [f for f in find_weights(tape.nodes) if f.is_read_again]
    if found:
        first = min(f.reader.index for f in found)
        step = min(f.next_reader.index for f in found) - first
        if count > first + (STEPS + 1) * step:
            raise TapeFull
    if count >= MOST_OPERATIONS:
        raise TapeFull
    return 2 * count


@contextlib.contextmanager
def quieted(printed: io.StringIO) -> Iterator[None]:
    """Prints are kept apart, warnings are not shown."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise `StopScript` in this thread after some seconds of work, wherever it is."""
    thread = threading.get_ident()
    done = threading.Event()

    start = time.process_time()

    def stop() -> None:
        idle, before = 0, start
        while not done.wait(LOOK):
            now = time.process_time()
            # On a busy machine a script that works gets on from look to look, if only by little.
            idle = idle + 1 if now - before < BUSY else 0
            before = now
            if now - start > seconds or idle * LOOK > WAITING:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(StopScript)
                )
                return

    watcher = threading.Thread(target=stop, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
