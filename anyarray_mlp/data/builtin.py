"""The built-in sets: five from scikit-learn and four that are generated, each from its own random stream.

Generated sets are rounded to six decimals, so that their bits do not depend on a library's sine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anyarray_mlp.data.dataset import Dataset, Task
from anyarray_mlp.data.sampling import bell, permutation, uniform
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.typing import Host

SEED = 0
DECIMALS = 6


def shipped(name: str, task: Task) -> Dataset:
    """A set that comes with scikit-learn."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    texts = task == "classification" and name != "digits"
    target = np.asarray(bunch.target_names)[bunch.target].astype(str) if texts else bunch.target
    return Dataset(
        name=name,
        features=bunch.data,
        target=target,
        feature_names=tuple(str(feature) for feature in bunch.feature_names),
        target_name={"digits": "digit", "diabetes": "progression"}.get(name, "class"),
        task=task,
        image_shape=(8, 8) if name == "digits" else None,
    )


def drawn(name: str, features: Host, target: Host, task: Task) -> Dataset:
    """A set of points in the plane or on the line."""
    return Dataset(
        name=name,
        features=np.round(features, DECIMALS),
        target=np.round(target, DECIMALS),
        feature_names=("x",) if features.shape[1] == 1 else ("x", "y"),
        target_name="abs_sine" if task == "regression" else "class",
        task=task,
    )


def xor() -> Dataset:
    """400 points around the corners of a square; the class is 1 if the two signs differ."""
    generator = bit_generator("xor", SEED)
    corners = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)])
    corner = permutation(generator, 400) % 4
    points = corners[corner] + 0.2 * bell(generator, 800).reshape(400, 2)
    return drawn("xor", points, (corner % 3 != 0).astype(np.int64), "classification")


def moons() -> Dataset:
    """1000 points on two interleaved half circles, with noise of standard deviation 0.1."""
    generator = bit_generator("moons", SEED)
    label = permutation(generator, 1000) % 2
    angle = np.pi * uniform(generator, 1000)
    x = np.where(label == 0, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(label == 0, np.sin(angle), 0.5 - np.sin(angle))
    points = np.stack([x, y], axis=1) + 0.1 * bell(generator, 2000).reshape(1000, 2)
    return drawn("moons", points, label, "classification")


def spirals() -> Dataset:
    """1000 points on two spirals of one and a half turns each, with noise of standard deviation 0.03."""
    generator = bit_generator("spirals", SEED)
    label = permutation(generator, 1000) % 2
    radius = 0.1 + 0.9 * np.sqrt(uniform(generator, 1000))
    angle = 3.0 * np.pi * radius + np.pi * label
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    points += 0.03 * bell(generator, 2000).reshape(1000, 2)
    return drawn("spirals", points, label, "classification")


def abs_sine() -> Dataset:
    """1000 points of y = |sin x| without noise, x uniform over [-pi, pi)."""
    x = np.pi * (2.0 * uniform(bit_generator("abs_sine", SEED), 1000) - 1.0)
    return drawn("abs_sine", x[:, None], np.abs(np.sin(x)), "regression")


BUILTIN: dict[str, Callable[[], Dataset]] = {
    "digits": lambda: shipped("digits", "classification"),
    "iris": lambda: shipped("iris", "classification"),
    "breast_cancer": lambda: shipped("breast_cancer", "classification"),
    "wine": lambda: shipped("wine", "classification"),
    "diabetes": lambda: shipped("diabetes", "regression"),
    "xor": xor,
    "moons": moons,
    "spirals": spirals,
    "abs_sine": abs_sine,
}
BUILTIN_NAMES = tuple(BUILTIN)
