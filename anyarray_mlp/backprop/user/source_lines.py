"""Point at the line in the user's source that likely has a mistake.

The user's function is run once under a trace, which gives the lines that it executes, in order and
in all functions that it calls. If the backward pass is meant, lines that the forward pass also
executes are left out.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTALLED = tuple(
    str(Path(sysconfig.get_paths()[name]).resolve()) + os.sep
    for name in ("stdlib", "purelib", "platlib")
)
# A library may also be in the user's or the system's site-packages, or on PYTHONPATH.
PACKAGES = frozenset(["site-packages", "dist-packages"])
# What IPython, Colab and Python's own prompt call the code that is typed into them.
TYPED = ("<ipython-input-", "<python-input-")
# The folders of `backprop` and of the whole package, whatever the folders above them are called.
CHECKER, PACKAGE = (str(folder) + os.sep for folder in Path(__file__).resolve().parents[1:3])
MOST_LINES = 2000
# Comments, decorators and the heads of functions; a one-line function does work.
NO_WORK = re.compile(r"#|@|def (?!\w+\(.*\)[^:]*:\s*[^\s#])")
# The user's call of this checker, and the code that they wrote only for it.
DESCRIPTION = re.compile(
    r"\b(Adapter|check_backprop)\(|\b(train_step|gradients)(\"\]|'\])?\s*[=:]\s*lambda"
)
# Lines that only report how training goes.
REPORTING = re.compile(
    r"\w*(accuracy|acc|predictions)\b\s*\+?=|print\(|(self\.)?\w*(loss|losses|cost|costs|mse|sum_error|total_error|history)\b[^=]*"
    r"(\+?=|append).*(mean|sum|log|\*\*|pow|square|append|loss|cost|mse)"
)
# Lines that name a target or a gradient without doing anything with it yet.
PREPARING = re.compile(
    r".*\b(zeros(_like)?|empty|list|dict)\(|.*\.(shape|size)\b|.*= *(\[\]|\{\}|None)"
)
# Where a function that holds both passes turns back: the first line that names the target,
# an error or a gradient.
BACKWARD = re.compile(
    r"\b(self\.)?(y|Y|t|T|targets?|labels?|expected|wanted|desired|err\w*|\w*_error\w*|deltas?\w*|"
    r"d[A-Z]\w*|d_\w+|d\d|dz\d?|dscores|grads?\w*|nabla\w*|g\d?)\b"
)


@dataclass(frozen=True)
class SourceLine:
    """One executed line."""

    path: str
    number: int
    text: str

    @property
    def place(self) -> str:
        return f"{Path(self.path).name}:{self.number}"


@functools.cache
def is_own(path: str) -> bool:
    """True for a file of the user, not of Python, an installed library or this package."""
    if path.startswith("<"):
        return path.startswith(TYPED)
    full = Path(path).resolve()
    return PACKAGES.isdisjoint(full.parts) and not str(full).startswith((PACKAGE, *INSTALLED))


@functools.cache
def is_checkers(path: str) -> bool:
    """True for a file of this checker, in any folder of `backprop`."""
    return str(Path(path).resolve()).startswith(CHECKER)


def executed_lines(call: Callable[[], Any]) -> list[SourceLine]:
    """The user's lines that a call executes, each once, in the order of their first execution."""
    seen: dict[tuple[str, int], None] = {}
    own: dict[str, bool] = {}

    def trace(frame: Any, event: str, argument: Any) -> Any:
        path = frame.f_code.co_filename
        if path not in own:
            own[path] = is_own(path)
        if not own[path]:
            return None
        if event == "line" and len(seen) < MOST_LINES:
            seen.setdefault((path, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with contextlib.suppress(Exception):
            call()
    finally:
        sys.settrace(before)
    lines = [SourceLine(path, n, linecache.getline(path, n).strip()) for path, n in seen]
    kept = [line for line in lines if line.text and not NO_WORK.match(line.text)]
    return [line for line in kept if not DESCRIPTION.search(line.text)] or kept


def backward_lines(
    all_lines: Sequence[SourceLine], forward: Sequence[SourceLine]
) -> list[SourceLine]:
    """Those of the backward pass: not executed by the forward pass, after the turn."""
    apart = [line for line in all_lines if line not in set(forward)]
    left = [line for line in apart if not REPORTING.match(line.text)] or apart
    for index, line in enumerate(left):
        if BACKWARD.search(line.text) and not PREPARING.match(line.text):
            return left[index:]
    return left


def likely_line(
    lines: Sequence[SourceLine], hints: Sequence[str], names: Sequence[str], layer: int | None
) -> SourceLine | None:
    """The first line that a hint matches; of several, one that names the parameter or layer."""
    for hint in hints:
        matching = [line for line in lines if re.search(hint, line.text)]
        if matching:
            return next(preferred(matching, names, layer), matching[0])
    return lines[0] if lines else None


def gradient_hints(names: Sequence[str]) -> tuple[str, ...]:
    """Regular expressions of the lines that make these parameters' gradients: dW1 = , grad_b = ."""
    roots = dict.fromkeys(name.rstrip("0123456789").rstrip("_") for name in names)
    return tuple(
        rf"(?i)(^|[\s,;.])(d|grad|nabla|delta)\w*?{re.escape(root)}s?_?\d*\b[^=]*=[^=]"
        for root in roots
        if root
    )


def preferred(
    lines: Sequence[SourceLine], names: Sequence[str], layer: int | None
) -> Iterator[SourceLine]:
    """Lines that name one of the parameters, then lines with a name that ends in the layer's number."""
    telling = [name for name in names if len(name) > 1 and not name.isdigit()]
    yield from (line for line in lines if any(name in line.text for name in telling))
    if layer is not None:
        # If no weight or bias is named, a delta is meant.
        letters = "A-Za-z_" if telling else "AC-VX-Zac-vx-z_"
        ends = re.compile(rf"[{letters}]{layer}\b\s*=")
        yield from (line for line in lines if ends.search(line.text))
