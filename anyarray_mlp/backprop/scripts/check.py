"""`check_script`: what is wrong with the backprop of a script or a notebook, without any description."""

from __future__ import annotations

import ast
import itertools
import json
import time
import tokenize
from dataclasses import dataclass, replace
from typing import Any

from anyarray_mlp.backprop.report import BackpropReport
from anyarray_mlp.backprop.scripts.discovery import Discovery
from anyarray_mlp.backprop.scripts.driving import Call, calls
from anyarray_mlp.backprop.scripts.literals import DIFFERENTIATING, imported
from anyarray_mlp.backprop.scripts.running import Run, StopScript, run_script, stopped_after
from anyarray_mlp.backprop.tracing.judge import Judgement, badness, judge
from anyarray_mlp.backprop.tracing.scene import Scene
from anyarray_mlp.backprop.tracing.tape import TraceLost
from anyarray_mlp.backprop.tracing.wording import findings_of
from anyarray_mlp.errors import SEVERITIES, StorageError, UsageError

#: A script that does not train by itself is called in so many ways, for so many seconds of work.
MOST_CALLS = 80
SECONDS = 5.0
#: A script that works longer than this by itself is not called again.
QUICK = 2.0
#: Judging may take so many seconds of work; the best so far counts.
JUDGING = 5.0


def read_source(path: str) -> tuple[str, list[tuple[int, int]]]:
    """The source of a script; of a notebook, its code cells one after the other.

    Returns
    -------
    The source, and for a notebook each line's (cell, line in the cell), counted from 0 and 1.

    Raises
    ------
    StorageError
        If the file cannot be read, or is no notebook.
    """
    try:
        if not path.endswith(".ipynb"):
            with tokenize.open(path) as file:
                return file.read(), []
        with open(path, encoding="utf-8") as file:
            book = json.load(file)
    except (OSError, UnicodeError, SyntaxError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise StorageError(f"{path} is no notebook: {error}") from error
    if not isinstance(book, dict) or not isinstance(book.get("cells"), list):
        raise StorageError(f"{path} is no notebook: it has no cells; save it again from Jupyter")
    lines: list[str] = []
    places: list[tuple[int, int]] = []
    for number, cell in enumerate(book["cells"]):
        if cell.get("cell_type") != "code":
            continue
        for row, line in enumerate("".join(cell.get("source", "")).split("\n"), 1):
            lines.append(without_magic(line))
            places.append((number, row))
    return "\n".join(lines) + "\n", places


def without_magic(line: str) -> str:
    """`%matplotlib inline` and `!pip install` are no Python."""
    bare = line.lstrip()
    if bare.startswith(("%", "!", "?")) or bare.endswith("?"):
        return f"{line[: len(line) - len(bare)]}pass  # {bare}"
    return line


def describes_itself(source: str) -> bool:
    """Does a file define ADAPTER, or a function that returns one?"""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    names = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name)}
    names |= {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return "Adapter" in names or "ADAPTER" in names


def check_script(path: str) -> BackpropReport:
    """Run a script or a notebook for its first steps, and judge its backward pass.

    Raises
    ------
    StorageError
        If the file cannot be read.
    UsageError
        If it is no Python, fails before it trains, or nothing in it trains.
    """
    source, cells = read_source(path)
    try:
        study = studied(run_script(source, path))
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: {error.msg}; fix that first") from error
    if study.judgement is None:
        study = called(source, path, study) or study
    if study.judgement is None or study.scene is None:
        raise UsageError(f"{path}: {why_nothing(study.run, study.problem, source)}")
    findings = [in_cells(f, cells) for f in findings_of(study.judgement)]
    findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    alarms = tuple(f for f in findings if f.severity != "note")
    notes = tuple(f for f in findings if f.severity == "note")
    return BackpropReport(alarms, notes, understood(study))


@dataclass
class Study:
    """What came of a run: a scene and its judgement, or why there is none; and what was called, if not the script."""

    run: Run
    scene: Scene | None = None
    judgement: Judgement | None = None
    problem: str = ""
    called: str = ""


def studied(run: Run, said: str = "") -> Study:
    """The judgement of what a run recorded."""
    study = Study(run, called=said)
    kept: list[Judgement] = []
    try:
        with stopped_after(JUDGING):
            study.scene = Discovery(run.tape).scene()
            study.judgement = judge(study.scene, kept=kept)
    except StopScript:
        study.judgement = kept[0] if kept else None
        study.problem = (
            "the step is too large to be judged in time; make the network or the batch smaller"
        )
    except (TraceLost, ValueError, TypeError, IndexError, ArithmeticError) as error:
        study.problem = str(error)
    return study


def called(source: str, path: str, first: Study) -> Study | None:
    """The best of several ways to make a script train that does not: whole numbers recorded, its class called.

    A network that is right in one way of calling it is right: the others were our mistake.
    """
    if first.run.error is not None or first.run.seconds > QUICK:
        return None
    deadline = time.process_time() + SECONDS
    best: Study | None = None
    ways = itertools.chain([Call("", "")], calls(source))
    for count, call in enumerate(ways):
        if count > MOST_CALLS or time.process_time() > deadline:
            break
        run = run_script(f"{source}\n{call.lines}", path, integers=not call.lines)
        study = Study(run) if run.error is not None else studied(run, call.said)
        if study.judgement is None:
            continue
        if best is None or cost(study) < cost(best):
            best = study
        if not study.judgement.faults:
            break
    return best


def cost(study: Study) -> tuple[float, ...]:
    """How little a way of calling explains."""
    assert study.judgement is not None
    return (float(bool(study.judgement.faults)), *badness(study.judgement))


def why_nothing(run: Run, problem: str, source: str) -> str:
    """Why no training was found in a script."""
    library = next(iter(sorted(DIFFERENTIATING & set(imported(ast.parse(source)).values()))), None)
    if library is not None and run.error is None:
        return (
            f"its arrays are those of {library}, which are not recorded; describe the network with ADAPTER = "
            "Adapter(...), and its gradients are compared with numerical ones"
        )
    if run.error is not None:
        return f"it {run.ended} before it trained; fix that first"
    return (
        f"it {run.ended}, and no training was found in it ({problem}); call your training function at the end of the "
        "file, or describe the network with ADAPTER = Adapter(...)"
    )


def in_cells(finding: Any, cells: list[tuple[int, int]]) -> Any:
    """A finding in a notebook, with its cell."""
    if not cells or not finding.location:
        return finding
    name, _, number = finding.location.rpartition(":")
    cell, row = cells[min(int(number), len(cells)) - 1]
    return replace(finding, location=f"{name}:cell {cell}, line {row}")


def understood(study: Study) -> dict[str, Any]:
    """What was taken for what."""
    scene, judgement = study.scene, study.judgement
    assert scene is not None
    assert judgement is not None
    told: dict[str, Any] = {"script": study.run.ended}
    if study.called:
        told["called with made data"] = study.called
    told["weights"] = ", ".join(dict.fromkeys(w.label for w in scene.weights))
    told["samples in a step"] = scene.samples
    told["loss"] = (
        judgement.loss.replace("_", " ") + " (none of its own was found)"
        if judgement.loss
        else "its own"
    )
    if scene.rate is not None:
        told["learning rate"] = scene.rate
    return told
