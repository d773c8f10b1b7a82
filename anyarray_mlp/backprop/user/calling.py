"""Call a user's function with the arguments that its parameters ask for."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.paths import read_path
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import UsageError

# Parameter names that say what a user's function wants.
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
    "rate": re.compile(r"lr|learning_?rate|l_rate|lrate|eta|alpha|rate|step_size|learn_?rate|n"),
    # What the forward pass keeps for the backward pass and returns beside the output.
    "cache": re.compile(r"cache[sd]?|memory|memo|saved|stored|tape|ctx|context|forward_\w+"),
    # One turn of the loop is one step.
    "epochs": re.compile(
        r"((n|nb|no|no_of|num|number_of|max|total)_?)?(epochs?|iters?|iterations?)(_?(num|number))?"
    ),
    "batch_size": re.compile(r"(mini_?)?batch_?size|bs"),
    # Samples and targets together, if no other parameter takes the targets.
    "pairs": re.compile(
        r"(mini_?)?batch|patterns|(training_?|train_?)?(data|dataset|data_set|examples|pairs)"
    ),
}
# An error or a gradient that the caller computes from the output and the targets, in an unknown way.
GIVEN_ERROR = re.compile(
    r"(output_?)?(err|errors?)|d_?(out(put)?s?|values|loss|scores|y)|delta|"
    r"(output_?|loss_?)?grad(ient)?s?(_?output)?|loss_(grad(ient)?|derivative)|"
    r"(output|loss)_derivative|derivative_(of_)?loss"
)


def role_of(name: str) -> set[str]:
    """What a parameter of this name can stand for."""
    return {role for role, names in ROLE_NAMES.items() if names.fullmatch(name.lower())}


# What a name stands for first of all, and what else it may stand for.
USUAL_ROLES = {
    "forward": {"network", "x"},
    "loss": {"network", "x", "y", "output"},
    "gradients": {"network", "x", "y"},
    "train_step": {"network", "x", "y", "rate"},
}
MORE_ROLES = {
    "forward": set[str](),
    "loss": {"pairs"},
    "gradients": {"output", "cache", "pairs"},
    "train_step": {"output", "cache", "pairs", "epochs", "batch_size"},
}
# Roles that are filled even if the parameter has a default.
KEYWORD_ROLES = ("rate", "epochs", "batch_size")
DEFAULT_ROLES: dict[str, dict[int, tuple[str, ...]]] = {
    "forward": {0: (), 1: ("x",), 2: ("network", "x")},
    "loss": {0: (), 1: ("y",), 2: ("output", "y"), 3: ("network", "x", "y")},
    "gradients": {0: (), 1: ("y",), 2: ("x", "y"), 3: ("network", "x", "y")},
    "train_step": {0: (), 2: ("x", "y"), 3: ("x", "y", "rate"), 4: ("network", "x", "y", "rate")},
}


@dataclass(frozen=True)
class Bound:
    """A user's function and the roles of the arguments it is called with.

    `keywords` maps the roles of optional arguments to their names. With `batches_of_one`, a network
    whose forward pass takes single samples is trained on batches of one.
    """

    function: Callable[..., Any]
    roles: tuple[str, ...]
    keywords: Mapping[str, str] = field(default_factory=dict)
    batches_of_one: bool = False

    def __call__(self, values: Mapping[str, Any]) -> Any:
        given = {
            name: values[role]
            for role, name in self.keywords.items()
            if values.get(role) is not None and not self.is_smaller(name, values[role])
        }
        return self.function(*(values[role] for role in self.roles), **given)

    def is_smaller(self, name: str, value: Any) -> bool:
        """A batch size smaller than the number of samples is kept."""
        own = inspect.signature(self.function).parameters[name].default
        return self.keywords.get("batch_size") == name and isinstance(own, int) and own < value

    def takes(self, *roles: str) -> bool:
        """True if an argument has one of these roles."""
        return any(role in self.roles or role in self.keywords for role in roles)

    @property
    def takes_rate(self) -> bool:
        return self.takes("rate")

    @property
    def is_backward_pass(self) -> bool:
        """True if the name says that it is only a backward pass: a loop calls forward before it.

        For a lambda, the names that it uses count.
        """
        names = [getattr(self.function, "__name__", "").lower()]
        if names == ["<lambda>"]:
            names = [name.lower() for name in self.function.__code__.co_names]
        back = any("back" in name for name in names) and not any("forward" in n for n in names)
        return back and not self.takes("output", "cache")


def bind(network: Any, spec: str | Callable[..., Any], kind: str) -> Bound:
    """Find the function and work out its arguments."""
    if isinstance(spec, str):
        try:
            function = read_path(network, spec)
        except (AttributeError, KeyError, IndexError, ValueError, TypeError):
            raise UsageError(
                f"{kind}={shown(spec)}: the network of type {type(network).__name__} has no method of that name; "
                "give a method's name or a function"
            ) from None
    else:
        function = spec
    if not callable(function):
        raise UsageError(f"{kind}={shown(spec)} is a {type(function).__name__}, not a function")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Bound(function, DEFAULT_ROLES[kind][1 if kind == "forward" else 2])
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    optional = [p for p in parameters if p.default is not p.empty or p.kind == p.KEYWORD_ONLY]
    keywords: dict[str, str] = {}
    for parameter in optional if kind == "train_step" else ():
        for role in role_of(parameter.name) & set(KEYWORD_ROLES):
            if parameter.name.lower() not in ("n", "alpha"):
                keywords.setdefault(role, parameter.name)
    roles = assign_roles([p.name for p in required], kind, function)
    return Bound(function, roles, keywords)


def assign_roles(names: list[str], kind: str, function: Callable[..., Any]) -> tuple[str, ...]:
    """Roles by the parameters' names if these are known, else by their number."""
    usual, more = USUAL_ROLES[kind], MORE_ROLES[kind]
    told = [role_of(name) & (usual | more) for name in names]
    if any("y" in options for options in told):
        told = [options - {"pairs"} for options in told]
    else:
        told = [{"pairs"} if "pairs" in options else options for options in told]
    told = [options & usual or options for options in told]
    if kind in ("gradients", "train_step") and not any(o & {"y", "pairs"} for o in told):
        given = [name for name in names if GIVEN_ERROR.fullmatch(name.lower())]
        if given:
            raise UsageError(
                f"{kind} takes {given[0]}, and how to compute that from the output and y is unknown; give a "
                f"function that does: {kind}=lambda network, x, y: ..."
            )
        # If no other parameter takes the targets, `outputs` are the targets.
        told = [options - {"output"} for options in told]
    if kind == "loss" and len(names) == 2 and not any("pairs" in options for options in told):
        bound_method = inspect.ismethod(function)
        if told[0] == {"x"} and "y" in told[1]:
            # `loss(x, y)` often means prediction and target in a plain function, and data in a method.
            return ("x", "y") if bound_method else ("output", "y")
        if "y" in told[0] and told[1] & {"output"} and "output" not in told[0]:
            return ("y", "output")
        if told[0] & {"output"}:
            return ("output", "y")
        return ("x", "y") if bound_method else ("output", "y")
    if kind == "train_step" and len(names) == 3 and told[0] == {"network"} and "x" in told[1]:
        return ("network", "x", "y")
    chosen = only_choice(told)
    if chosen is not None:
        return chosen
    try:
        return DEFAULT_ROLES[kind][len(names)]
    except KeyError:
        named = ", ".join(names)
        wrapped = ", ".join(list(DEFAULT_ROLES[kind].values())[-1]).replace("rate", "lr")
        raise UsageError(
            f"{kind} takes {len(names)} arguments ({named}), and their names do not say what they "
            f"are; wrap it: {kind}=lambda {wrapped}: {getattr(function, '__name__', 'f')}(...)"
        ) from None


def only_choice(told: list[set[str]]) -> tuple[str, ...] | None:
    """One role for each parameter, if their names allow only one assignment."""
    left = [set(options) for options in told]
    chosen = [""] * len(told)
    while "" in chosen:
        single = [i for i, options in enumerate(left) if not chosen[i] and len(options) == 1]
        if not single:
            return None
        chosen[single[0]] = role = next(iter(left[single[0]]))
        left = [options - {role} for options in left]
    return tuple(chosen)


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
