"""A case: a hand-written network and the mistake that is planted in it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CASES: list[Case] = []


@dataclass(frozen=True)
class Case:
    """`build()` gives what `check_backprop` takes; `planted` is empty for a right network."""

    name: str
    style: str
    planted: tuple[str, ...]
    layer: int | None
    build: Callable[[], dict[str, Any]]

    @property
    def is_right(self) -> bool:
        return not self.planted

    @property
    def held_out(self) -> bool:
        return self.style.startswith("held_out")


def case(*planted: str, layer: int | None = None) -> Callable[[Callable[[], dict[str, Any]]], Any]:
    """Register a function that builds a network; `planted` names its mistakes, none for a right one."""

    def register(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        style = build.__module__.rsplit(".", 1)[-1]
        CASES.append(Case(build.__name__, style, planted, layer, build))
        return build

    return register


XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([[0.0], [1.0], [1.0], [0.0]])


def blobs(n: int, features: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Points (n, features) around one centre for each class, and the class numbers (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = rng.normal(size=(classes, features))
    return centres[labels] + 0.7 * rng.normal(size=(n, features)), labels


def sine(n: int) -> tuple[Any, Any]:
    """x (n, 1) over one period and sin x (n, 1)."""
    x = np.linspace(-np.pi, np.pi, n).reshape(-1, 1)
    return x, np.sin(x)


def load_cases() -> list[Case]:
    """All cases of all modules beside this one."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"tests.corpus.{module.name}")
    return list(CASES)
