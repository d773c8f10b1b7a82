"""Mutation testing of the math: `python -m benchmarks.mutation [module ...]`.

Each mutant is a module with one small change (a sign, a bound, a number, an argument), made by mutmut's operators. It is
killed where the module's own tests, with NumPy alone, fail on it or take far too long; one that survives shows a line
that no test looks at. The table counts them by module. The mutants that no test can tell from the original stand in
`equivalent_mutants.txt` beside this file, each with its reason. Exit code 1: fewer than `GOAL` of the others are killed
in some module, or the list of equivalents is out of date.

How: the libraries are imported once; every mutant is a fork that imports the package afresh, with the mutated source in
the module's place, and runs the quickest tests first, or those that killed the last mutant of the same function.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = "anyarray_mlp"
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.txt")
GOAL = 0.95

#: The tests of each module, quick ones first. Nothing else may kill its mutants.
OWN_TESTS = {
    "functional": ("functional",),
    "parameters": ("parameters",),
    "model": ("model",),
    "accumulation": ("accumulation",),
    "initializers": ("initializers",),
    "optimizers": ("optimizers",),
    "schedules": ("schedules",),
    "metrics": ("metrics",),
    "arithmetic.plain": ("arithmetic_plain",),
    "arithmetic.scalar": ("arithmetic_scalar",),
    "arithmetic.tables": ("arithmetic_reproducible",),
    "arithmetic.elementary": ("arithmetic_reproducible",),
    "arithmetic.library": ("arithmetic_reproducible",),
    "arithmetic.exact_sum": ("arithmetic_reproducible",),
    "arithmetic.exact_matmul": ("arithmetic_reproducible",),
    "arithmetic.reproducible": ("arithmetic_reproducible",),
    "arithmetic.probe": ("arithmetic_reproducible",),
    "data.seeded": ("data_splitting",),
    "data.shuffling": ("data_splitting",),
    "data.splitting": ("data_splitting",),
}

#: Array libraries that the tests must do without.
BLOCKED = frozenset({"torch", "jax", "jaxlib", "cupy", "cupyx", "array_api_strict"})

#: What the package and its tests import from others, once, before the forks.
LIBRARIES = (
    "numpy", "scipy.special", "scipy.optimize", "sklearn.metrics", "sklearn.datasets", "pandas", "mpmath",
    "hypothesis.strategies", "array_api_compat", "filelock", "pytest",
)  # fmt: skip
#: As tests/conftest.py sets it, which SciPy reads when it is imported; and one thread for each fork.
ENVIRONMENT = {
    "SCIPY_ARRAY_API": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}

#: The module whose tables every fork would have to build.
TABLES = "arithmetic.tables"

#: A mutant may take so many times the CPU seconds of the tests, at least so many seconds, and so many bytes.
PATIENCE, LEAST_SECONDS, MEMORY = 10, 20, 8 << 30
#: Seconds on the clock after which a mutant hangs: the machine may have much else to do.
LONGEST_WAIT = 600


# --- mutants -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A module with one change: `place` is the function or class, `old` and `new` the lines that differ."""

    module: str
    place: str
    old: str
    new: str
    source: str = field(repr=False)

    @property
    def name(self) -> str:
        """Without a line number, so that it stays the same while the lines themselves do."""
        return f"{self.module}:{self.place}: {self.old} => {self.new}"


def path_of(module: str) -> Path:
    """The file of a module of the package."""
    return ROOT / PACKAGE / (module.replace(".", "/") + ".py")


def mutants(module: str, none: bool = False) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines; `none`: those that put None somewhere, too."""
    from libcst.metadata import MetadataWrapper, WhitespaceInclusivePositionProvider

    wrapper = MetadataWrapper(libcst_module(module), unsafe_skip_copy=True)
    tree, spans = wrapper.module, wrapper.resolve(WhitespaceInclusivePositionProvider)
    source = tree.code
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: dict[str, Mutant] = {}
    for place, node, changed in changes(tree):
        if not none and puts_none(node, changed):
            continue
        span = spans[node]
        start = starts[span.start.line - 1] + span.start.column
        stop = starts[span.end.line - 1] + span.end.column
        if source[start:stop] == tree.code_for_node(node):
            mutated = source[:start] + tree.code_for_node(changed) + source[stop:]
        else:  # a statement, which code_for_node does not indent
            mutated = tree.deep_replace(node, changed).code
        if mutated == source:
            continue
        mutant = Mutant(module, place, *difference(source, mutated), mutated)
        while mutant.name in found:
            mutant = replace(mutant, new=f"{mutant.new} (again)")
        found[mutant.name] = mutant
    return list(found.values())


def libcst_module(module: str) -> Any:
    """A module's source as a tree that keeps every character."""
    import libcst

    return libcst.parse_module(path_of(module).read_text())


def changes(tree: Any) -> Iterator[tuple[str, Any, Any]]:
    """(place, node, changed node) for each change.

    Left alone is what no run depends on (types, what a decorator is given, texts of several words: the wording of
    messages) and `strict=True` of a `zip`, which asserts what holds anyway.
    """
    import libcst as cst
    from mutmut.mutation.mutators import mutation_operators

    left_alone = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)
    stack: list[tuple[Any, tuple[str, ...]]] = [(tree, ())]
    while stack:
        node, place = stack.pop()
        if isinstance(node, left_alone) or is_type_alias(node) or is_wording(node):
            continue
        if callee(node) in ("len", "isinstance"):  # as mutmut does
            continue
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            place = (*place, node.name.value)
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                for changed in operator(node):
                    if not loosens_zip(node, changed):
                        yield ".".join(place) or "module", node, changed
        stack += [(child, place) for child in reversed(node.children)]


def callee(node: Any) -> str:
    """The name that a call calls; empty where there is none."""
    import libcst as cst

    named = isinstance(node, cst.Call) and isinstance(node.func, cst.Name)
    return node.func.value if named else ""


def is_type_alias(node: Any) -> bool:
    """Whether a statement only names a type, as `Array = Any` does: annotations are not evaluated."""
    import libcst.matchers as m

    target = m.AssignTarget(m.Name(m.MatchRegex(r"[A-Z]\w*[a-z]\w*")))
    return m.matches(node, m.SimpleStatementLine([m.Assign([target])]))


def is_wording(node: Any) -> bool:
    """Whether a node is a text of several words."""
    import libcst as cst

    return isinstance(node, cst.SimpleString) and " " in node.value


def loosens_zip(node: Any, changed: Any) -> bool:
    """Whether a change does nothing but take `strict=True` from a `zip`."""
    import libcst.matchers as m

    strict = m.Arg(m.Name("True"), m.Name("strict"))
    if m.matches(node, strict):
        return True
    if callee(node) != "zip":
        return False
    given = [any(m.matches(arg, strict) for arg in call.args) for call in (node, changed)]
    return given == [True, False]


def puts_none(node: Any, changed: Any) -> bool:
    """Whether a change puts None in place of a value.

    Some three thousand do, and nearly all of them fail where they first run. Those that matter, where None stands for
    what is left out, are found by leaving out the argument.
    """
    import libcst as cst

    if isinstance(node, cst.Call) and isinstance(changed, cst.Call):
        pairs = zip(node.args, changed.args, strict=False)
        values = [new.value for old, new in pairs if old.value is not new.value]
        return len(node.args) == len(changed.args) and is_none(values[0] if values else None)
    value = changed.body if isinstance(node, cst.Lambda) else getattr(changed, "value", None)
    return isinstance(node, (cst.Lambda, cst.Assign, cst.AnnAssign)) and is_none(value)


def is_none(node: Any) -> bool:
    """Whether a node is the name None."""
    return getattr(node, "value", "") == "None"


def difference(before: str, after: str) -> tuple[str, str]:
    """The lines that differ, each side on one line."""
    a, b = before.splitlines(), after.splitlines()
    first = 0
    while first < min(len(a), len(b)) and a[first] == b[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and a[-1 - last] == b[-1 - last]:
        last += 1
    old, new = (" ".join(" ".join(x[first : len(x) - last]).split()) for x in (a, b))
    return old, new


def sample(every: Sequence[Mutant], count: int) -> list[Mutant]:
    """`count` of the mutants, always the same ones: those whose names have the smallest hashes."""
    return sorted(every, key=lambda m: hashlib.sha256(m.name.encode()).digest())[:count]


def known_equivalents() -> dict[str, str]:
    """The reason why a mutant behaves as the original does, by the mutant's name."""
    reasons: dict[str, str] = {}
    reason: list[str] = []
    fresh = True
    for line in EQUIVALENTS.read_text().splitlines():
        if line.startswith("#"):
            reason = [] if fresh else reason
            reason.append(line.lstrip("# "))
            fresh = False
        elif line.strip():
            reasons[line.strip()] = " ".join(reason)
            fresh = True
    return reasons


# --- running the tests on one --------------------------------------------------------------------------


class Without(importlib.abc.MetaPathFinder):
    """The import system as it was, less some libraries, which it does not find."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names, self.finders = names, list(sys.meta_path)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of a module that is not among the names."""
        if name.partition(".")[0] in self.names:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)


class InPlaceOf(importlib.abc.MetaPathFinder):
    """Finds one module, made of another source."""

    def __init__(self, module: str, source: str) -> None:
        self.name, self.path, self.source = f"{PACKAGE}.{module}", str(path_of(module)), source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of that module."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=Loader(self))


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles the source of an `InPlaceOf`."""

    def __init__(self, finder: InPlaceOf) -> None:
        super().__init__(finder.name, finder.path)
        self.source = finder.source

    def get_code(self, fullname: str) -> CodeType:
        """The code, of no cache."""
        return compile(self.source, self.path, "exec")


class Ordered:
    """A pytest plugin: runs tests in the order of `times`, no others, and notes the time and outcome of each."""

    def __init__(self, times: dict[str, float] | None, first: str) -> None:
        self.times, self.first = times, first
        self.seconds: dict[str, float] = {}
        self.unfit: set[str] = set()
        self.killer = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Choose and sort."""
        times = self.times
        if times is not None:
            items[:] = [item for item in items if item.nodeid in times]
            items.sort(key=lambda item: (item.nodeid != self.first, times[item.nodeid]))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note."""
        name = report.nodeid
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration
        if report.skipped:
            self.unfit.add(name)
        if report.failed:
            self.killer = name


@dataclass
class Outcome:
    """How the tests ended: pytest's exit code or minus a signal's number, and what `Ordered` noted."""

    code: int
    killer: str = ""
    times: dict[str, float] = field(default_factory=dict)
    cpu: float = 0.0
    log: str = ""


def run_tests(
    module: str, source: str | None, times: dict[str, float] | None, first: str
) -> dict[str, Any]:
    """Run a module's own tests in this process, with `source` in place of the module's."""
    import pytest

    if source is not None:
        sys.meta_path.insert(0, InPlaceOf(module, source))
        sys.modules.pop(f"{PACKAGE}.{module}", None)
    files = [f"tests/test_{topic}.py" for topic in OWN_TESTS[module]]
    noted = Ordered(times, first)
    options = ["-x", "-q", "--no-header", "--tb=short", "-p", "no:cacheprovider"]
    code = int(pytest.main([*options, *files], plugins=[noted]))
    ran = {name: t for name, t in noted.seconds.items() if name not in noted.unfit}
    cpu = time.process_time()
    return {"code": code, "killer": noted.killer, "times": ran, "cpu": cpu}


class Fork:
    """A process that runs the tests of a module on one mutant, or on the original where that is None."""

    def __init__(
        self,
        module: str,
        mutant: Mutant | None,
        times: dict[str, float] | None = None,
        first: str = "",
        seconds: int = LONGEST_WAIT,
    ) -> None:
        self.mutant = mutant
        self.deadline = time.monotonic() + LONGEST_WAIT
        self.answer = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.dup2(self.output.fileno(), 1)
                os.dup2(self.output.fileno(), 2)
                os.chdir(ROOT)
                used = int(time.process_time())
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 5))
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                noted = run_tests(module, mutant.source if mutant else None, times, first)
                noted["cpu"] -= used
                json.dump(noted, self.answer)
                self.answer.flush()
                code = noted["code"]
            finally:
                sys.stdout.flush()
                os._exit(code)

    def outcome(self) -> Outcome | None:
        """How it ended; None as long as it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0 and time.monotonic() < self.deadline:
            return None
        if pid == 0:
            os.kill(self.pid, 9)
            _, status = os.waitpid(self.pid, 0)
        with self.answer, self.output:
            self.answer.seek(0)
            self.output.seek(0)
            text = self.answer.read()
            noted = json.loads(text) if text else {"code": os.waitstatus_to_exitcode(status)}
            return Outcome(**noted, log=self.output.read())


# --- the whole -----------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of a module's mutants."""

    module: str
    killed: list[Mutant] = field(default_factory=list)
    timed_out: int = 0
    equivalent: list[Mutant] = field(default_factory=list)
    survivors: list[Mutant] = field(default_factory=list)
    #: Listed as equivalent, and yet killed.
    not_equivalent: list[Mutant] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return len(self.killed) + len(self.equivalent) + len(self.survivors)

    @property
    def share(self) -> float:
        """Killed of those that are not equivalent."""
        different = len(self.killed) + len(self.survivors)
        return len(self.killed) / different if different else 1.0

    def row(self) -> str:
        """A line of the table."""
        figures = (
            self.count, len(self.killed), self.timed_out, len(self.equivalent), len(self.survivors),
            f"{self.share:.1%}", f"{self.cpu:.0f}",
        )  # fmt: skip
        return f"| {self.module} | " + " | ".join(map(str, figures)) + " |"


def judge(module: str, chosen: Sequence[Mutant], jobs: int, verbose: bool = False) -> Tally:
    """Run a module's tests on the original and then on each mutant, `jobs` at a time."""
    start = cpu_of_children()
    original = wait_for(Fork(module, None))
    if original.code != 0:
        raise SystemExit(f"{module}: its own tests fail without a mutant:\n{original.log}")
    seconds = max(LEAST_SECONDS, int(PATIENCE * original.cpu))
    equivalents = known_equivalents()
    tally = Tally(module)
    last_killer: dict[str, str] = {}
    waiting, running = list(reversed(chosen)), list[Fork]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            first = last_killer.get(mutant.place, "")
            running.append(Fork(module, mutant, original.times, first, seconds))
        still = []
        for fork in running:
            outcome = fork.outcome()
            if outcome is None:
                still.append(fork)
                continue
            assert fork.mutant is not None
            take_note(tally, fork.mutant, outcome, fork.mutant.name in equivalents)
            last_killer[fork.mutant.place] = outcome.killer or last_killer.get(
                fork.mutant.place, ""
            )
            if verbose:
                print(f"{outcome.code:4} {fork.mutant.name}   [{outcome.killer}]", flush=True)
        if len(still) == len(running):
            time.sleep(0.002)
        running = still
    tally.cpu = cpu_of_children() - start
    return tally


def take_note(tally: Tally, mutant: Mutant, outcome: Outcome, listed: bool) -> None:
    """Count a mutant."""
    if outcome.code == 0:
        (tally.equivalent if listed else tally.survivors).append(mutant)
        return
    tally.killed.append(mutant)
    tally.timed_out += outcome.code < 0
    if listed:
        tally.not_equivalent.append(mutant)


def wait_for(fork: Fork) -> Outcome:
    """How a fork ended."""
    while (outcome := fork.outcome()) is None:
        time.sleep(0.01)
    return outcome


def cpu_of_children() -> float:
    """CPU seconds of the forks that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(cache: str) -> None:
    """Import the libraries, and hide those that the tests must do without; `cache` takes compiled modules."""
    os.environ.update(ENVIRONMENT)
    sys.pycache_prefix, sys.dont_write_bytecode = cache, False
    if not any(isinstance(finder, Without) for finder in sys.meta_path):
        sys.meta_path[:] = [Without(BLOCKED)]
    for name in LIBRARIES:
        importlib.import_module(name)
    early = [name for name in sys.modules if name.partition(".")[0] in {*BLOCKED, PACKAGE}]
    assert not early, f"{early[0]} was imported before the forks"
    keep_tables()
    # What is there need not be looked at by every fork's garbage collection.
    gc.collect()
    gc.freeze()


def keep_tables() -> None:
    """Build the tables of `arithmetic.tables`, which take longer than most tests; that module alone stays imported."""
    import numpy as np

    arithmetic = importlib.import_module(f"{PACKAGE}.arithmetic")
    arithmetic.ReproducibleNamespace(np)
    for name in list(sys.modules):
        if name.partition(".")[0] == PACKAGE and name != f"{PACKAGE}.{TABLES}":
            del sys.modules[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mutation", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "modules", nargs="*", metavar="module", help=f"of {', '.join(OWN_TESTS)}; all by default"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="how many mutants at a time"
    )
    parser.add_argument(
        "--sample", type=int, metavar="N", help="only N of the mutants, always the same ones"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only mutants whose name holds this text"
    )
    parser.add_argument(
        "--none", action="store_true", help="mutants that put None in place of a value, too"
    )
    parser.add_argument("--verbose", action="store_true", help="what killed each mutant")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.modules if name not in OWN_TESTS]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(OWN_TESTS)}")

    modules = options.modules or list(OWN_TESTS)
    every = [m for name in modules for m in mutants(name, options.none) if options.only in m.name]
    chosen = every if options.sample is None else sample(every, options.sample)
    print(
        "| module | mutants | killed | by time | equivalent | survivors | killed of the others | CPU s |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    tallies = []
    with tempfile.TemporaryDirectory() as cache:
        prepare(cache)
        for name in modules:
            of_module = [m for m in chosen if m.module == name]
            if of_module:
                tallies.append(judge(name, of_module, options.jobs, options.verbose))
                print(tallies[-1].row(), flush=True)
    total = Tally("all")
    for tally in tallies:
        for what in ("killed", "equivalent", "survivors", "not_equivalent"):
            getattr(total, what).extend(getattr(tally, what))
        total.timed_out += tally.timed_out
        total.cpu += tally.cpu
    print(total.row())

    report("Survivors", [m.name for m in total.survivors])
    wrong = [m.name for m in total.not_equivalent]
    report("Listed as equivalent, and killed", wrong)
    gone = set()
    if not (options.only or options.sample):
        here = {m.name for m in every}
        listed = [n for n in known_equivalents() if n.partition(":")[0] in modules]
        gone = {name for name in listed if name not in here}
    report("Listed as equivalent, and no longer there", sorted(gone))
    return int(any(tally.share < GOAL for tally in tallies) or bool(wrong) or bool(gone))


def report(title: str, names: Sequence[str]) -> None:
    """A list under its title, where there is anything to list."""
    if names:
        print(f"\n{title}:\n" + "\n".join(f"- {name}" for name in names))


if __name__ == "__main__":
    sys.exit(main())
