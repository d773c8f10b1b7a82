"""The command line in child processes that start in milliseconds, to be killed, starved and signalled.

A server imports the package once and forks a child for each command. The child first does to itself what its `setup`
names (see `seams`), then runs the command.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parents[2]
#: Seconds after which a child counts as hanging: far more than the longest takes on a busy machine.
PATIENCE = 300
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

#: A step that a child does first: the name of a function of `seams`, and its arguments.
Setup = tuple[Any, ...]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal that ended it, and what it said."""

    code: int
    out: str
    err: str

    def problem(self, *codes: int) -> str | None:
        """What is wrong with the way it ended: another code than these, a traceback, an error not in one line."""
        if "Traceback" in self.err or "Traceback" in self.out:
            return f"a traceback, exit {self.code}: {self.err[-700:]}"
        if self.code == -signal.SIGALRM:
            return f"hung for {PATIENCE} s: {self.err[-1200:]}"
        if self.code not in codes:
            return f"exit {self.code} instead of {' or '.join(map(str, codes))}: {self.err[-400:]}"
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if self.code in ERROR_CODES and len(errors) != 1:
            return f"exit {self.code} with {len(errors)} error lines: {self.err[-400:]}"
        return None


#: Exit codes that come with one line of error.
ERROR_CODES = (1, 2, 3, 65, 69, 71, 73, 74, 75)


class Server:
    """The process that forks a child for each command. `libraries` are imported ahead, beside the package."""

    def __init__(self, libraries: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from benchmarks.reliability.processes import serve; serve()", *libraries],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C at the campaign ends the campaign first
        )  # fmt: skip

    def ask(self, request: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()


#: The servers that run, by the libraries that they have imported: starting one takes seconds.
SERVERS: dict[tuple[str, ...], Server] = {}


def close_servers() -> None:
    """End all servers."""
    while SERVERS:
        SERVERS.popitem()[1].close()


class Commands:
    """Commands that run in a folder, in children of a server that has imported the libraries."""

    #: What every child does first: nothing, unless the campaign itself is tested.
    always: ClassVar[list[Setup]] = []

    def __init__(self, folder: Path, *libraries: str) -> None:
        self.folder = folder
        self.count = 0
        if libraries not in SERVERS:
            SERVERS[libraries] = Server(libraries)
        self.server = SERVERS[libraries]

    def start(self, arguments: Sequence[str | Path], *setup: Setup) -> Command:
        """Start a command; it runs in this object's folder."""
        self.count += 1
        said = self.folder / f"said-{self.count}"
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(self.folder),
            "said": str(said),
            "setup": [*self.always, *setup],
        }
        return Command(self.server, self.server.ask({"start": request}), said)

    def run(self, arguments: Sequence[str | Path], *setup: Setup) -> Ended:
        """Run a command to its end."""
        return self.start(arguments, *setup).wait()


class Command:
    """A command that is running."""

    def __init__(self, server: Server, pid: int, said: Path) -> None:
        self.server = server
        self.pid = pid
        self.said = said

    def signal(self, number: int) -> None:
        """Send a signal; one that has ended by then takes no notice, and its number is nobody else's yet."""
        os.kill(self.pid, number)

    def stands_still(self) -> bool:
        """Wait until it has stopped itself; False where it ended before that. Linux only."""
        while True:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state in "TtZX":
                return state in "Tt"
            time.sleep(0.001)

    def wait(self) -> Ended:
        """How it ended."""
        code = self.server.ask({"wait": self.pid})
        said = []
        for name in ("out", "err"):
            path = Path(f"{self.said}.{name}")
            # One that a signal met at its very start has not said anything.
            said.append(path.read_text(errors="replace") if path.exists() else "")
            path.unlink(missing_ok=True)
        return Ended(code, *said)


# The server's side.


def serve() -> None:
    """Answer requests, one a line, until there are no more."""
    warm_up(sys.argv[1:])
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = started(request["start"])
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        print(json.dumps(answer), flush=True)


def warm_up(libraries: Sequence[str]) -> None:
    """Import all that a command would import, and run none of it: threads do not survive a fork."""
    import anyarray_mlp

    others = ("torch", "jax", "cupy", "cuda", "cublas", "strict", "parity", "ranks.mpi", "__main__")
    for module in pkgutil.walk_packages(anyarray_mlp.__path__, "anyarray_mlp."):
        if not any(word in module.name for word in others):
            importlib.import_module(module.name)
    importlib.import_module("benchmarks.reliability.seams")
    for name in libraries:
        importlib.import_module(name)
        if name in ("torch", "jax"):
            importlib.import_module(f"anyarray_mlp.backends.{name}_backend")


def started(request: dict[str, Any]) -> int:
    """Fork a child that runs the command; its process number."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        for number, name in enumerate(("out", "err"), start=1):
            path = f"{request['said']}.{name}"
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["folder"])
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.alarm(PATIENCE)
        # What it was doing, if it hangs.
        faulthandler.dump_traceback_later(PATIENCE - 10, file=sys.__stderr__)
        from anyarray_mlp import cli
        from benchmarks.reliability import seams

        for name, *arguments in request["setup"]:
            getattr(seams, name)(*arguments)
        code = cli.run(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                code = code or 74
        os._exit(code)
