"""The data sets of the evaluation, scaled, as (x, targets, task); absent ones are left out."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FOLDER = Path(
    os.environ.get("ANYARRAY_MLP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def built_in(name: str) -> tuple[Array, Array]:
    from anyarray_mlp.data import load

    dataset = load(name)
    target = dataset.target
    if dataset.task == "classification":
        target = np.unique(target, return_inverse=True)[1].astype(np.int64)
    return np.asarray(dataset.features, dtype=np.float64), target


def mnist() -> tuple[Array, Array]:
    with gzip.open(FOLDER / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(FOLDER / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(), np.uint8, offset=8)
    return x[:2000].astype(np.float64), y[:2000].astype(np.int64)


def heart() -> tuple[Array, Array]:
    text = (FOLDER / "heart_disease" / "processed.cleveland.data").read_text()
    rows = [line.split(",") for line in text.split() if "?" not in line]
    table = np.array(rows, dtype=np.float64)
    return table[:, :13], table[:, 13].astype(np.int64)


def wine_quality() -> tuple[Array, Array]:
    path = FOLDER / "winequality_red" / "winequality-red.csv"
    table = np.loadtxt(path, delimiter=";", skiprows=1)
    return table[:, :11], table[:, 11]


def california() -> tuple[Array, Array]:
    path = FOLDER / "california_housing" / "cal_housing.data"
    table = np.loadtxt(path, delimiter=",")
    table = table[np.random.default_rng(0).permutation(len(table))[:2000]]
    return table[:, :8], table[:, 8]


def letters() -> tuple[Array, Array]:
    path = FOLDER / "letter_recognition" / "letter-recognition.data"
    lines = path.read_text().split()[:3000]
    x = np.array([line.split(",")[1:] for line in lines], dtype=np.float64)
    return x, np.array([ord(line[0]) - ord("A") for line in lines], dtype=np.int64)


def imbalanced() -> tuple[Array, Array]:
    from sklearn.datasets import make_classification

    x, y = make_classification(2000, 20, n_informative=8, weights=[0.93], random_state=0)
    return x, y.astype(np.int64)


def friedman() -> tuple[Array, Array]:
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(800, noise=1.0, random_state=0)
    return x, y


SOURCES: dict[str, tuple[str, str, Callable[[], tuple[Array, Array]]]] = {
    # name: (task, scaling that suits it, reader)
    "digits": ("classes", "pixels", lambda: built_in("digits")),
    "iris": ("classes", "standard", lambda: built_in("iris")),
    "breast_cancer": ("classes", "standard", lambda: built_in("breast_cancer")),
    "wine": ("classes", "standard", lambda: built_in("wine")),
    "xor": ("classes", "standard", lambda: built_in("xor")),
    "moons": ("classes", "standard", lambda: built_in("moons")),
    "spirals": ("classes", "standard", lambda: built_in("spirals")),
    "heart": ("binary", "standard", heart),
    "letters": ("classes", "standard", letters),
    "mnist": ("classes", "pixels", mnist),
    "diabetes": ("values", "standard", lambda: built_in("diabetes")),
    "abs_sine": ("values", "standard", lambda: built_in("abs_sine")),
    "wine_quality": ("values", "standard", wine_quality),
    "california": ("values", "standard", california),
    "imbalanced": ("binary", "standard", imbalanced),
    "friedman": ("values", "standard", friedman),
}


@cache
def read(name: str) -> tuple[str, str, Array, Array]:
    """Task, scaling, raw inputs and raw targets; FileNotFoundError where the file is not here."""
    task, scaling, reader = SOURCES[name]
    return (task, scaling, *reader())


def present() -> list[str]:
    """Names of the sets that can be read here."""
    names = []
    for name in SOURCES:
        try:
            read(name)
        except OSError:
            continue
        names.append(name)
    return names
