"""The picture of the architecture in `docs/design.md`: a room stands where the import contract puts it, arrows are the
imports.

An arrow from one room to another says that a module of the first imports one of the second. Arrows that a longer way
over other arrows implies are left out, so that the picture can be read.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from pathlib import Path

CLONE = Path(__file__).parent.parent
PACKAGE = CLONE / "anyarray_mlp"

Arrows = Mapping[str, set[str]]


def layers() -> list[list[str]]:
    """The rooms of each layer of the import contract, the uppermost first."""
    settings = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["type"] == "layers"]
    return [
        [room.strip().removeprefix("anyarray_mlp.") for room in layer.split("|")]
        for layer in contract["layers"]
    ]


def imports() -> Arrows:
    """The rooms that each room imports, imports within functions and for type checkers included."""
    rooms = [room for layer in layers() for room in layer]
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in found:
            found[room] |= (imported_rooms(path) & set(rooms)) - {room}
    return found


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "anyarray_mlp":
            names |= {f"anyarray_mlp.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[1] for name in names if name.startswith("anyarray_mlp.")}


def reachable(arrows: Arrows, start: str) -> set[str]:
    """The rooms that can be reached from a room along arrows."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        new = arrows[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def thinned(arrows: Arrows) -> Arrows:
    """The arrows that no longer way implies (there are no circles: the contract sees to it)."""
    return {
        room: {
            other
            for other in targets
            if not any(other in reachable(arrows, between) for between in targets - {other})
        }
        for room, targets in arrows.items()
    }


def picture() -> str:
    """The picture as a Mermaid block."""
    lines = ["", "```mermaid", "flowchart TB"]
    for number, layer in enumerate(layers(), 1):
        lines.append(f'  subgraph layer{number}[" "]')
        lines += [f"    {room}" for room in layer]
        lines.append("  end")
    lines += [f"  layer{number} ~~~ layer{number + 1}" for number in range(1, len(layers()))]
    arrows = thinned(imports())
    lines += [f"  {room} --> {other}" for room in arrows for other in sorted(arrows[room])]
    return "\n".join([*lines, "```", ""])
