"""`check_script`: what is wrong with the backprop of a script or a notebook, without any description."""

from __future__ import annotations

import ast
import json
import tokenize
from typing import Any

from anyarray_mlp.backprop.report import BackpropReport
from anyarray_mlp.backprop.scripts.discovery import Discovery
from anyarray_mlp.backprop.scripts.running import Run, run_script
from anyarray_mlp.backprop.tracing.judge import Judgement, judge
from anyarray_mlp.backprop.tracing.scene import Scene
from anyarray_mlp.backprop.tracing.tape import TraceLost
from anyarray_mlp.backprop.tracing.wording import findings_of
from anyarray_mlp.errors import SEVERITIES, StorageError, UsageError


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
        run = run_script(source, path)
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno}: {error.msg}; fix that first") from error
    try:
        scene = Discovery(run.tape).scene()
        judgement = judge(scene)
    except (TraceLost, ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise UsageError(f"{path}: {why_nothing(run, str(error))}") from error
    findings = [in_cells(f, cells) for f in findings_of(judgement)]
    findings.sort(key=lambda f: SEVERITIES.index(f.severity))
    alarms = tuple(f for f in findings if f.severity != "note")
    notes = tuple(f for f in findings if f.severity == "note")
    return BackpropReport(alarms, notes, understood(run, scene, judgement))


def why_nothing(run: Run, problem: str) -> str:
    """Why no training was found in a script."""
    if run.error is not None:
        return f"it {run.ended} before it trained; fix that first"
    return (
        f"it {run.ended}, and no training was found in it ({problem}); call your training function at the end of the "
        "file, or describe the network with ADAPTER = Adapter(...)"
    )


def in_cells(finding: Any, cells: list[tuple[int, int]]) -> Any:
    """A finding in a notebook, with its cell."""
    from dataclasses import replace

    if not cells or not finding.location:
        return finding
    name, _, number = finding.location.rpartition(":")
    cell, row = cells[min(int(number), len(cells)) - 1]
    return replace(finding, location=f"{name}:cell {cell}, line {row}")


def understood(run: Run, scene: Scene, judgement: Judgement) -> dict[str, Any]:
    """What was taken for what."""
    told: dict[str, Any] = {"script": run.ended}
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
