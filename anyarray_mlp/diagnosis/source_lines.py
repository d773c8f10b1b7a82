"""Point at the line of the user's source where a mistake is likely made."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

CALL_DEPTH = 4


def likely_line(
    network: Any,
    functions: Iterable[Callable[..., Any]],
    hints: tuple[str, ...],
    names: tuple[str, ...],
) -> tuple[str, str] | None:
    """("file:line", the line's text) for the first hint that a line of the functions matches.

    A line that also names one of `names` (the parameter in question) is preferred. None where the
    source cannot be read.
    """
    lines = [line for f in reachable(network, functions) for line in source_lines(f)]
    if not lines:
        return None
    for hint in hints:
        matching = [line for line in lines if re.search(hint, line[2])]
        named = [m for m in matching if any(re.search(rf"\b{re.escape(n)}\b", m[2]) for n in names)]
        if named or matching:
            path, number, text = (named or matching)[0]
            return f"{Path(path).name}:{number}", text.strip()
    path, number, text = lines[0]
    return f"{Path(path).name}:{number}", text.strip()


def reachable(network: Any, functions: Iterable[Callable[..., Any]]) -> list[types.FunctionType]:
    """The functions and those that they call by name, on the network or in their module."""
    found: list[types.FunctionType] = []
    todo = [(f, 0) for f in functions]
    while todo:
        function, depth = todo.pop(0)
        plain = getattr(function, "__func__", function)
        if not isinstance(plain, types.FunctionType) or plain in found:
            continue
        found.append(plain)
        if depth == CALL_DEPTH:
            continue
        for name in plain.__code__.co_names:
            for holder in (network, plain.__globals__):
                called = (
                    holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
                )
                called = getattr(called, "__func__", called)
                if isinstance(called, types.FunctionType):
                    same = called.__code__.co_filename == plain.__code__.co_filename
                    if same or depth == 0:
                        todo.append((called, depth + 1))
                    break
    own = [f for f in found if f.__name__ != "<lambda>"]
    return own or found


def source_lines(function: types.FunctionType) -> list[tuple[str, int, str]]:
    """(file, line number, text) of a function's body, comments left out."""
    try:
        text, start = inspect.getsourcelines(function)
        path = inspect.getsourcefile(function) or "?"
    except (OSError, TypeError):
        return []
    return [
        (path, start + offset, line.rstrip("\n"))
        for offset, line in enumerate(text)
        if line.strip() and not line.strip().startswith(("#", "def ", "@", '"""'))
    ]
