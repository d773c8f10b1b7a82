"""Mutation testing of the math: `python -m benchmarks.mutation [module ...]`.

Each mutant is a module with one small change (a sign, a bound, a number, an argument), made by mutmut's operators. It
is killed where the module's own tests, with NumPy alone, fail on it or take far too long; one that survives shows a
line that no test looks at. The table counts them by module. The mutants that no test can tell from the original stand
in `equivalent_mutants.txt` beside this file, each with its reason. Exit code 1: fewer than `GOAL` of the others are
killed in some module, or the list of equivalents is out of date.

How: a module's tests are collected once, and every mutant is a fork in which the module's functions are given the
mutant's code. The test that killed the last mutant of the same function runs first, then the quickest. Whatever
survives that, or changes more than functions, is a fork that imports the package afresh.
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
import math
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import CO_OPTIMIZED
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = "anyarray_mlp"
EQUIVALENTS = Path(__file__).with_name("equivalent_mutants.txt")
GOAL = 0.95

#: The tests of each module, quick ones first. Nothing else may kill its mutants.
OWN_TESTS = {
    "checking.values": ("checking_values",),
    "checking.names": ("checking_names",),
    "streams": ("stream_bits",),
    "network.functional": ("network_functional", "network_stack"),
    "network.losses": ("network_functional", "network_stack"),
    "network.dropping": ("network_functional", "network_stack", "training_fading"),
    "network.description": ("network_mlp", "network_stack", "network_layers"),
    "network.layers": ("network_layers",),
    "network.members": ("network_layers",),
    "network.before": ("network_layers",),
    "network.row": ("network_layers",),
    "network.layout": ("network_layout", "network_stack"),
    "network.mlp": ("network_mlp", "network_passes", "network_gradients", "network_stack"),
    "network.passes": ("network_passes", "network_mlp", "network_gradients", "network_stack"),
    "network.checks": ("network_mlp",),
    "network.initializers": ("network_initializers",),
    "network.optimizers": (
        "network_optimizers",
        "network_optimizers_stack",
        "network_gradients",
    ),
    "network.by_parameter": ("network_factors", "network_optimizers_stack", "network_gradients"),
    "network.schedules": ("network_schedules",),
    "metrics": ("metrics",),
    "arithmetic.plain": ("arithmetic_plain",),
    "arithmetic.scalar": ("arithmetic_scalar",),
    "arithmetic.tables": ("arithmetic_tables",),
    "arithmetic.elementary": (
        "arithmetic_elementary",
        "arithmetic_probe",
        "arithmetic_reproducible",
    ),
    "arithmetic.rounded": (
        "arithmetic_elementary",
        "arithmetic_probe",
        "arithmetic_reproducible",
    ),
    "arithmetic.library": ("arithmetic_library", "arithmetic_probe"),
    "arithmetic.exact_sum": ("arithmetic_exact", "arithmetic_probe"),
    "arithmetic.exact_matmul": ("arithmetic_exact", "arithmetic_probe"),
    "arithmetic.reproducible": ("arithmetic_namespace",),
    "arithmetic.reproducible_array": ("arithmetic_namespace",),
    "arithmetic.host_sum": ("arithmetic_host_sum",),
    "arithmetic.probe": ("arithmetic_probe",),
    "data.sampling": ("data_sampling",),
}

#: Array libraries that the tests must do without.
BLOCKED = frozenset({"torch", "jax", "jaxlib", "cupy", "cupyx", "array_api_strict"})

#: What the package and its tests import from others, once, before the forks.
LIBRARIES = (
    "numpy", "scipy.special", "scipy.optimize", "sklearn.metrics", "sklearn.datasets", "pandas", "mpmath",
    "hypothesis.strategies", "array_api_compat", "pytest",
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
PATIENCE, LEAST_SECONDS, MEMORY = 5, 5, 8 << 30
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

    Left alone is what no run depends on (types, `__all__`, what a decorator is given, texts of several words: the
    wording of messages) and `strict=True` of a `zip`, which asserts what holds anyway.
    """
    import libcst as cst
    from mutmut.mutation.mutators import mutation_operators

    left_alone = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)
    stack: list[tuple[Any, tuple[str, ...]]] = [(tree, ())]
    while stack:
        node, place = stack.pop()
        if isinstance(node, left_alone) or is_declaration(node) or is_wording(node):
            continue
        if callee(node) in ("len", "isinstance") or is_strict(node):  # the first as mutmut does
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


def is_declaration(node: Any) -> bool:
    """Whether a statement only names a type, as `Array = Any` does, or what is public: no run depends on either."""
    import libcst.matchers as m

    target = m.AssignTarget(m.Name(m.MatchRegex(r"[A-Z]\w*[a-z]\w*|__all__")))
    return m.matches(node, m.SimpleStatementLine([m.Assign([target])]))


def is_wording(node: Any) -> bool:
    """Whether a node is a text of several words."""
    import libcst as cst

    return isinstance(node, cst.SimpleString) and " " in node.value


def is_strict(node: Any) -> bool:
    """Whether a node is the argument `strict=True`."""
    import libcst.matchers as m

    return m.matches(node, m.Arg(m.Name("True"), m.Name("strict")))


def loosens_zip(node: Any, changed: Any) -> bool:
    """Whether a change does nothing but take `strict=True` from a `zip`."""
    if callee(node) != "zip":
        return False
    return [any(map(is_strict, call.args)) for call in (node, changed)] == [True, False]


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

    def find_distributions(self, *context: Any) -> Iterator[Any]:
        """What is installed, as `importlib.metadata` asks."""
        for finder in self.finders:
            yield from getattr(finder, "find_distributions", lambda *_: ())(*context)


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


class Tests:
    """A pytest plugin that hands the tests, once collected, to `use` instead of running them."""

    def __init__(self, use: Callable[[Tests, list[Any]], None]) -> None:
        self.use = use
        self.seconds: dict[str, float] = {}
        self.skipped: set[str] = set()
        self.killer = ""

    def pytest_runtestloop(self, session: Any) -> bool:
        """In place of pytest's own loop."""
        if not session.testsfailed:  # to be collected
            self.use(self, session.items)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take note of how long each test took and how it ended."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.skipped:
            self.skipped.add(report.nodeid)
        if report.failed:
            self.killer = report.nodeid

    def run(self, items: Sequence[Any], known: Known, first: str = "") -> dict[str, Any]:
        """Run tests, `first` before the others, then the quick ones, up to one that fails."""
        chosen = [item for item in items if item.nodeid not in known.skipped]
        chosen.sort(key=lambda item: (item.nodeid != first, known.seconds.get(item.nodeid, 0.0)))
        for item, following in pairwise([*chosen, None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.killer:
                break
        return {
            "code": int(bool(self.killer)),
            "killer": self.killer,
            "seconds": self.seconds,
            "skipped": sorted(self.skipped),
        }


@dataclass
class Known:
    """What the run on the original showed: the seconds of each test, those skipped, and the CPU seconds of all."""

    seconds: dict[str, float] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()
    cpu: float = 0.0


def with_tests(module: str, use: Callable[[Tests, list[Any]], None]) -> int:
    """Collect a module's own tests in this process and hand them to `use`; pytest's exit code."""
    import pytest

    files = [f"tests/test_{topic}.py" for topic in OWN_TESTS[module]]
    # Explaining a failure takes longer than the failure.
    options = ["-q", "-s", "--no-header", "--assert=plain", "--tb=native", "-p", "no:cacheprovider"]
    return int(pytest.main([*options, *files], plugins=[Tests(use)]))


def afresh(mutant: Mutant, known: Known, first: str) -> dict[str, Any]:
    """Import everything with the mutant in place of its module, and run the tests."""
    sys.meta_path.insert(0, InPlaceOf(mutant.module, mutant.source))
    sys.modules.pop(f"{PACKAGE}.{mutant.module}", None)
    noted: dict[str, Any] = {}
    code = with_tests(
        mutant.module, lambda tests, items: noted.update(tests.run(items, known, first))
    )
    return noted or {"code": code}


def swapped(mutant: Mutant, functions: Sequence[FunctionType]) -> bool:
    """Give the functions of the module, which is already imported, the mutant's code.

    False where that is not enough: the change is outside functions, or adds or takes away one.
    """
    path = path_of(mutant.module)
    before, after = (compile(text, str(path), "exec") for text in (path.read_text(), mutant.source))
    old, new = list(functions_in(before)), list(functions_in(after))
    if [c.co_qualname for c in old] != [c.co_qualname for c in new] or not same_outside(
        before, after
    ):
        return False
    by_old = dict(zip(old, new, strict=True))
    for function in functions:
        function.__code__ = by_old.get(function.__code__, function.__code__)
    for thing in vars(sys.modules[f"{PACKAGE}.{mutant.module}"]).values():
        getattr(thing, "cache_clear", lambda: None)()
    return True


def functions_of(module: str) -> list[FunctionType]:
    """Every function there is that a module's source has made."""
    home = vars(sys.modules[f"{PACKAGE}.{module}"])
    every = (thing for thing in gc.get_objects() if type(thing) is FunctionType)
    return [function for function in every if function.__globals__ is home]


def functions_in(code: CodeType) -> Iterator[CodeType]:
    """The code objects within one, in their order."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from functions_in(constant)


def same_outside(a: CodeType, b: CodeType) -> bool:
    """Whether two modules do the same outside their functions."""
    if a.co_code != b.co_code or a.co_names != b.co_names:
        return False
    for x, y in zip(a.co_consts, b.co_consts, strict=True):
        if isinstance(x, CodeType):
            if x.co_name != y.co_name or (not x.co_flags & CO_OPTIMIZED and not same_outside(x, y)):
                return False
        elif repr(x) != repr(y):
            return False
    return True


class Fork:
    """A process that does `work` and answers with what that returns."""

    def __init__(self, work: Callable[[], dict[str, Any]], seconds: int | None = None) -> None:
        self.deadline = time.monotonic() + (LONGEST_WAIT if seconds else math.inf)
        self.answer = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        try:
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            os.chdir(ROOT)
            if seconds:
                limit(seconds)
            start = time.process_time()
            noted = work()
            json.dump({**noted, "cpu": time.process_time() - start}, self.answer)
            self.answer.flush()
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)

    def outcome(self) -> dict[str, Any] | None:
        """What was answered, or how it ended without an answer; None as long as it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0 and time.monotonic() < self.deadline:
            return None
        if pid == 0:
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        with self.answer, self.output:
            self.answer.seek(0)
            self.output.seek(0)
            text = self.answer.read()
            noted = json.loads(text) if text else {"code": os.waitstatus_to_exitcode(status)}
            return {"killer": "", **noted, "log": self.output.read()}


def limit(seconds: int) -> None:
    """Bound the CPU seconds and the memory of this process."""
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def in_forks(
    chosen: Sequence[Mutant], work: Callable[[Mutant, str], dict[str, Any]], jobs: int, seconds: int
) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Each mutant and what became of it, `jobs` at a time; `work` is told what killed the last one of the function."""
    waiting = list(reversed(chosen))
    running: list[tuple[Mutant, Fork]] = []
    killers: dict[str, str] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            bound = partial(work, mutant, killers.get(mutant.place, ""))
            running.append((mutant, Fork(bound, seconds)))
        still = []
        for mutant, fork in running:
            outcome = fork.outcome()
            if outcome is None:
                still.append((mutant, fork))
                continue
            killers[mutant.place] = outcome["killer"] or killers.get(mutant.place, "")
            yield mutant, outcome
        if len(still) == len(running):
            time.sleep(0.002)
        running = still


def wait_for(fork: Fork) -> dict[str, Any]:
    """How a fork ended."""
    while (outcome := fork.outcome()) is None:
        time.sleep(0.01)
    return outcome


#: Exit code of a mutant whose code cannot be swapped.
UNSWAPPED = 99


def quickly(module: str, chosen: Sequence[Mutant], jobs: int) -> dict[str, Any]:
    """Collect the tests once and fork for each mutant; `codes` by name, `known` of the original.

    What was worked out while the package and its tests were imported is still the original's, so a mutant that
    survives here may not survive `afresh`.
    """
    answer: dict[str, Any] = {"codes": {}}

    def use(tests: Tests, items: list[Any]) -> None:
        answer["known"] = original = wait_for(Fork(lambda: tests.run(items, Known())))
        if original["code"]:
            return
        known, functions = known_of(original), functions_of(module)
        gc.freeze()

        def work(mutant: Mutant, first: str) -> dict[str, Any]:
            enough = swapped(mutant, functions)
            return tests.run(items, known, first) if enough else {"code": UNSWAPPED}

        for mutant, outcome in in_forks(chosen, work, jobs, patience(known)):
            answer["codes"][mutant.name] = outcome["code"], outcome["killer"]

    code = with_tests(module, use)
    return answer if "known" in answer else {"known": {"code": code, "log": ""}}


def known_of(original: dict[str, Any]) -> Known:
    """`Known` of what a run on the original noted."""
    return Known(original["seconds"], frozenset(original["skipped"]), original["cpu"])


def patience(known: Known) -> int:
    """CPU seconds that a mutant may take."""
    return max(LEAST_SECONDS, int(PATIENCE * known.cpu))


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

    def add(self, mutant: Mutant, code: int, listed: bool) -> None:
        """Count a mutant by the exit code of its tests; `listed` among the equivalent."""
        if code == 0:
            (self.equivalent if listed else self.survivors).append(mutant)
            return
        self.killed.append(mutant)
        self.timed_out += code < 0
        if listed:
            self.not_equivalent.append(mutant)

    def row(self) -> str:
        """A line of the table."""
        figures = (
            self.count, len(self.killed), self.timed_out, len(self.equivalent), len(self.survivors),
            f"{self.share:.1%}", f"{self.cpu:.0f}",
        )  # fmt: skip
        return f"| {self.module} | " + " | ".join(map(str, figures)) + " |"


def judge(module: str, chosen: Sequence[Mutant], jobs: int, verbose: bool = False) -> Tally:
    """Run a module's tests on each mutant, `jobs` at a time: all quickly, then those that survived afresh."""
    start = cpu_of_children()
    found = wait_for(Fork(lambda: quickly(module, chosen, jobs)))
    if found.get("known", {"code": 1})["code"] != 0:
        log = found.get("known", found).get("log") or found["log"]
        raise SystemExit(f"{module}: its own tests fail without a mutant:\n{log}")
    known, equivalents = known_of(found["known"]), known_equivalents()
    tally = Tally(module)

    def take_note(mutant: Mutant, code: int, killer: str) -> None:
        tally.add(mutant, code, mutant.name in equivalents)
        if verbose:
            print(f"{code:4} {mutant.name}   [{killer}]", flush=True)

    left = []
    for mutant in chosen:
        code, killer = found["codes"][mutant.name]
        if code in (0, UNSWAPPED):
            left.append(mutant)
        else:
            take_note(mutant, code, killer)
    work = lambda mutant, first: afresh(mutant, known, first)  # noqa: E731
    for mutant, outcome in in_forks(left, work, jobs, patience(known)):
        take_note(mutant, outcome["code"], outcome["killer"])
    tally.cpu = cpu_of_children() - start
    return tally


def cpu_of_children() -> float:
    """CPU seconds of the forks that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def prepare(cache: str) -> None:
    """Import the libraries, and hide those that the tests must do without; `cache` takes compiled modules."""
    os.environ.update(ENVIRONMENT)
    os.environ.pop("ANYARRAY_MLP_EXPECT", None)  # here a library that is absent is meant to be
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
