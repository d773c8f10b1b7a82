"""Call a user's function with the arguments that its parameters ask for."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis.paths import read_path
from anyarray_mlp.errors import UsageError

# Parameter names that tell what a user's function wants.
ROLE_NAMES = {
    "network": re.compile(
        r"network|net|nn|model|params|parameters|theta|self|state|layers|"
        r"weights|mlp|p|w|ws"
    ),
    "x": re.compile(
        r"x|xs|xb|xi|inp|inputs|input|data|sample|features|batch|a0|"
        r"inputs_list|input_list|in_|image|images|row|x_train|xtrain|train_x|"
        r"training_inputs|input_data|x_batch|batch_x"
    ),
    "y": re.compile(
        r"y|ys|yb|yi|t|ts|target|targets|label|labels|d|expected|y_true|"
        r"y_train|target_list|targets_list|desired|answer|answers|truth|ytrain|"
        r"train_y|training_outputs|y_batch|batch_y|one_hot|onehot|want"
    ),
    "output": re.compile(
        r"o|out|output|outputs|yhat|y_hat|y_pred|ypred|pred|preds|prediction|"
        r"predictions|probs|prob|p|a|a2|a3|al|logits|scores|h|activations|"
        r"predicted"
    ),
    "rate": re.compile(r"lr|learning_rate|learningrate|eta|alpha|rate|step_size|learn_rate|n"),
}


def role_of(name: str) -> set[str]:
    """What a parameter of this name can stand for."""
    return {role for role, names in ROLE_NAMES.items() if names.fullmatch(name.lower())}


DEFAULT_ROLES: dict[str, dict[int, tuple[str, ...]]] = {
    "forward": {0: (), 1: ("x",), 2: ("network", "x")},
    "loss": {0: (), 1: ("y",), 2: ("output", "y"), 3: ("network", "x", "y")},
    "gradients": {0: (), 1: ("y",), 2: ("x", "y"), 3: ("network", "x", "y")},
    "train_step": {0: (), 2: ("x", "y"), 3: ("x", "y", "rate"), 4: ("network", "x", "y", "rate")},
}


@dataclass(frozen=True)
class Bound:
    """A user's function and the roles of the arguments it is called with."""

    function: Callable[..., Any]
    roles: tuple[str, ...]
    rate_keyword: str | None

    def __call__(self, values: Mapping[str, Any]) -> Any:
        keywords = {}
        if self.rate_keyword is not None and values.get("rate") is not None:
            keywords[self.rate_keyword] = values["rate"]
        return self.function(*(values[role] for role in self.roles), **keywords)

    @property
    def takes_rate(self) -> bool:
        return "rate" in self.roles or self.rate_keyword is not None


def bind(network: Any, spec: str | Callable[..., Any], kind: str) -> Bound:
    """Find the function and work out what to call it with."""
    if isinstance(spec, str):
        try:
            function = read_path(network, spec)
        except (AttributeError, KeyError, IndexError, ValueError, TypeError):
            raise UsageError(
                f"{kind}={spec!r}: the network of type {type(network).__name__} has none of that "
                "name; give a method's name or a function"
            ) from None
    else:
        function = spec
    if not callable(function):
        raise UsageError(f"{kind}={spec!r} is a {type(function).__name__}, not a function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Bound(function, DEFAULT_ROLES[kind][1 if kind == "forward" else 2], None)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    rate_keyword = None
    if kind == "train_step":
        optional = [p for p in parameters if p.default is not p.empty or p.kind == p.KEYWORD_ONLY]
        rate_keyword = next(
            (
                p.name
                for p in optional
                if "rate" in role_of(p.name) and p.name.lower() not in ("n", "alpha")
            ),
            None,
        )
    roles = assign_roles([p.name for p in required], kind, function)
    return Bound(function, roles, rate_keyword)


def assign_roles(names: list[str], kind: str, function: Callable[..., Any]) -> tuple[str, ...]:
    """Roles by the parameters' names where these tell, by their number where they do not."""
    allowed = {
        "forward": {"network", "x"},
        "loss": {"network", "x", "y", "output"},
        "gradients": {"network", "x", "y"},
        "train_step": {"network", "x", "y", "rate"},
    }[kind]
    told = [role_of(name) & allowed for name in names]
    if kind == "loss" and len(names) == 2:
        bound_method = inspect.ismethod(function)
        if told[0] == {"x"} and "y" in told[1]:
            # `loss(x, y)` of a bare function often means prediction and target; of a method, data.
            return ("x", "y") if bound_method else ("output", "y")
        if "y" in told[0] and told[1] & {"output"} and "output" not in told[0]:
            return ("y", "output")
        if told[0] & {"output"}:
            return ("output", "y")
        return ("x", "y") if bound_method else ("output", "y")
    if kind == "train_step" and len(names) == 3 and told[0] == {"network"} and "x" in told[1]:
        return ("network", "x", "y")
    chosen: list[str] = []
    for options in told:
        left = options - set(chosen)
        if len(left) != 1:
            break
        chosen.append(next(iter(left)))
    if len(chosen) == len(names):
        return tuple(chosen)
    try:
        return DEFAULT_ROLES[kind][len(names)]
    except KeyError:
        raise UsageError(
            f"{kind} takes {len(names)} arguments ({', '.join(names)}); wrap it in a function of "
            f"{' or '.join('(' + ', '.join(r) + ')' for r in DEFAULT_ROLES[kind].values() if r)}"
        ) from None


@contextlib.contextmanager
def quiet() -> Any:
    """Run a user's function without its prints and warnings."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
