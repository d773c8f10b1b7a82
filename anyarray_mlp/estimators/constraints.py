"""The allowed values of each constructor parameter, checked when `fit` begins.

Messages follow scikit-learn's: the parameter, what it must be, what it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anyarray_mlp.backends import BACKENDS
from anyarray_mlp.backends.selection import OTHERS, is_namespace
from anyarray_mlp.checking.messages import nearest, shown
from anyarray_mlp.checking.names import ALIASES, canonical
from anyarray_mlp.checking.values import is_real, is_whole
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.initializers import INITIALIZERS
from anyarray_mlp.network.registry import BUILT_IN, is_known


@dataclass(frozen=True)
class Constraint:
    """A parameter's allowed values in words, the test of a value, and a hint at what a wrong value may have meant."""

    allowed: str
    holds: Callable[[Any], bool]
    hint: Callable[[Any], str] = lambda value: ""

    def __or__(self, other: Constraint) -> Constraint:
        return Constraint(
            f"{self.allowed} or {other.allowed}",
            lambda v: self.holds(v) or other.holds(v),
            lambda v: self.hint(v) or other.hint(v),
        )


def integer(low: int) -> Constraint:
    """An integer of at least `low`; booleans are not integers."""
    return Constraint(f"an int in the range [{low}, inf)", lambda v: is_whole(v) and v >= low)


def real(low: float, high: float = math.inf, ends: str = "[)") -> Constraint:
    """A number between `low` and `high`; `ends` says which of the two are included, as in "[)"."""

    def holds(value: Any) -> bool:
        if not is_real(value):
            return False
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        return bool(above and below)

    return Constraint(f"a float in the range {ends[0]}{float(low)}, {float(high)}{ends[1]}", holds)


def one_of(options: Iterable[str]) -> Constraint:
    """One of several texts."""
    names = tuple(options)
    listed = ", ".join(repr(name) for name in names)
    return Constraint(
        f"a str among {{{listed}}}",
        lambda v: isinstance(v, str) and v in names,
        lambda v: meant(v, names),
    )


def function_of(kind: str, names: Iterable[str], others: Iterable[str] = ()) -> Constraint:
    """One of the names of activations or losses, or a registered one; not one of `others`."""
    known, not_these = tuple(names), (*others, "auto")

    def holds(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        return value in known or (is_known(kind, value) and value not in not_these)

    return replace(one_of(known), holds=holds)


def meant(value: Any, names: Sequence[str]) -> str:
    """A question that suggests what a text may have meant, or ""."""
    if not isinstance(value, str):
        return ""
    likely = [canonical(kind, value, names) for kind in ALIASES]
    likely += [nearest(value, names)]
    return next((f" Did you mean {name!r}?" for name in likely if name in names), "")


def is_sequence(value: Any) -> bool:
    """Whether a value is a list, a tuple, a range, an array or a table's column, and not text."""
    if isinstance(value, (str, bytes, Mapping, Set)):
        return False
    return isinstance(value, Collection) and getattr(value, "ndim", 1) > 0


BOOLEAN = Constraint("an instance of 'bool'", lambda v: isinstance(v, (bool, np.bool_)))
NONE = Constraint("None", lambda v: v is None)
ACTIVATION = function_of("activation", BUILT_IN["activation"])
RATE = real(0, 1)
#: Activation and dropout may be given for each hidden layer.
PER_LAYER_ACTIVATION = Constraint(
    "a list with one for each hidden layer",
    lambda v: is_sequence(v) and all(ACTIVATION.holds(name) for name in v),
)
PER_LAYER_RATE = Constraint(
    "a list with one for each hidden layer", lambda v: is_sequence(v) and all(map(RATE.holds, v))
)

CONSTRAINTS: dict[str, Constraint] = {
    "hidden_layer_sizes": Constraint(
        "an array-like of ints", lambda v: is_sequence(v) and all(map(is_whole, v))
    )
    | integer(1),
    "activation": ACTIVATION | PER_LAYER_ACTIVATION,
    "solver": one_of(("adam", "lbfgs", "sgd")),
    "alpha": real(0),
    "batch_size": one_of(("auto",)) | integer(1),
    "learning_rate": replace(
        one_of(("adaptive", "constant", "invscaling")),
        hint=lambda v: " The rate itself is learning_rate_init." if is_real(v) else "",
    ),
    "learning_rate_init": real(0, ends="()"),
    "power_t": real(0),
    "max_iter": integer(1),
    "shuffle": BOOLEAN,
    "random_state": Constraint(
        "an int in the range [0, 4294967295], a numpy.random.RandomState or None",
        lambda v: (
            v is None or isinstance(v, np.random.RandomState) or (is_whole(v) and 0 <= v < 2**32)
        ),
    ),
    "tol": real(0),
    "verbose": integer(0) | BOOLEAN,
    "warm_start": BOOLEAN,
    "momentum": real(0, 1, "[]"),
    "nesterovs_momentum": BOOLEAN,
    "early_stopping": BOOLEAN,
    "validation_fraction": real(0, 1),
    "beta_1": RATE,
    "beta_2": RATE,
    "epsilon": real(0, ends="()"),
    "n_iter_no_change": integer(1) | Constraint("inf", lambda v: is_real(v) and v == math.inf),
    "max_fun": integer(1),
    "class_weight": Constraint(
        "'balanced', a dict of weights by label, a list of dicts or None",
        lambda v: (
            v is None or isinstance(v, (Mapping, list)) or (isinstance(v, str) and v == "balanced")
        ),
    ),
    "dropout": RATE | PER_LAYER_RATE,
    "initializer": one_of(("scikit-learn", "auto", *INITIALIZERS))
    | Constraint("a callable", callable),
    "clip_norm": real(0, ends="()") | NONE,
    "scoring": Constraint(
        "'loss', a scikit-learn scorer's name, a callable or None",
        lambda v: v is None or isinstance(v, str) or callable(v),
    ),
    "on_epoch": Constraint(
        "a callable, a list of callables or None",
        lambda v: v is None or callable(v) or (is_sequence(v) and all(map(callable, v))),
    ),
    "device": Constraint(
        f"'cpu', 'cuda', 'cuda:N', 'auto', {', '.join(map(repr, OTHERS))} or None",
        lambda v: v is None or isinstance(v, str),
    ),
    "backend": one_of(BACKENDS) | Constraint("'namespace:MODULE'", is_namespace) | NONE,
    "dtype": one_of(("float32", "float64")) | NONE,
    "reproducible": BOOLEAN,
    "diagnose": BOOLEAN,
}


class InvalidParameterError(UsageError, TypeError):
    """An invalid constructor parameter: as in scikit-learn, both a ValueError and a TypeError."""


def check_parameters(estimator: Any) -> None:
    """Raise `InvalidParameterError` for the first parameter that is not allowed.

    Reads the attributes, because a subclass's constructor may take other parameters than the estimator's own.
    """
    for name, constraint in {**CONSTRAINTS, **estimator.own_constraints}.items():
        if not hasattr(estimator, name):  # only the other estimator has it
            continue
        value = getattr(estimator, name)
        if not constraint.holds(value):
            raise InvalidParameterError(
                f"The {name!r} parameter of {type(estimator).__name__} must be {constraint.allowed}. "
                f"Got {shown(value)} instead.{constraint.hint(value)}"
            )
    sizes = hidden_sizes(estimator.hidden_layer_sizes)
    if any(size <= 0 for size in sizes):
        raise UsageError(f"hidden_layer_sizes must be > 0, got {list(sizes)}.")


def hidden_sizes(value: Any) -> tuple[int, ...]:
    """Units of each hidden layer, from an integer or a sequence."""
    return tuple(int(size) for size in value) if is_sequence(value) else (int(value),)
