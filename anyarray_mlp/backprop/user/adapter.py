"""`Adapter`: a user's description, in a few lines, of where their network keeps its weights and how to call it.

What `Adapter` does not say is guessed from usual names. `UserNetwork` carries the description out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any, Literal, get_args

from anyarray_mlp.backprop.user.paths import Path
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_not_negative, check_positive, items, refuse
from anyarray_mlp.errors import UsageError
from anyarray_mlp.typing import Host

Layout = Literal["rows", "columns", "single"]
FORWARD_NAMES = ("forward", "feedforward", "feed_forward", "forward_pass", "forward_propagation")


@with_known_options
@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Where a network keeps its weights and how to call it.

    Parameters
    ----------
    network
        The object that holds the weights: an instance, a dict, a list, or a module (or the
        `globals()` of a script).
    weights, biases
        One name for each layer, from the input to the output: an attribute, a key or an index of
        `network`, dotted if nested (`"layers.0.W"`); `*` takes all elements of a list and stacks
        them (`"0.*.weights"`). Weights may be (in, out) or (out, in), biases (out,), (1, out),
        (out, 1) or an extra row of the weights; None for a layer without a bias.
    forward, loss, gradients, train_step
        A method's name or a function. It is called with what its parameters ask for: the network,
        x, y, the output, what the forward pass kept, the learning rate and a number of epochs (1):
        `forward(x)` or `forward(network, x)`; `loss(output, y)`, `loss(x, y)` or
        `loss(network, x, y)`; `gradients(x, y)` or `gradients(network, cache, x, y)`;
        `train_step(x, y)`, `train_step(x, y, learning_rate)` or `train_step(x, y, epochs)`, each
        also with the network first.
        `gradients` returns arrays (list, tuple or dict) or leaves them in the network;
        `train_step` does what one turn of the training loop does and changes the weights or
        returns new ones. `loss` may also be "squared_error", "cross_entropy",
        "binary_cross_entropy", or None if only the gradients' direction matters.
    learning_rate
        A number, or the name under which the network keeps it.
    momentum
        The momentum's coefficient, if the update has momentum.
    activations
        One name or function for each layer; "softmax" for the last: then the output's rows must sum
        to one.
    samples
        "rows": x is (n, in); "columns": x is (in, n); "single": the functions take one sample,
        `x[i]` and `y[i]`. None finds out.
    update
        "-=" if the code subtracts learning_rate * gradient, "+=" if it adds it.
    data_names
        Names under which the network keeps x and y, for functions that take no arguments.
    x, y
        The samples, for `check_file`.
    """

    network: Any = None
    weights: Sequence[Path] | None = None
    biases: Sequence[Path | None] | None = None
    forward: str | Callable[..., Any] | None = None
    loss: str | Callable[..., Any] | None = None
    gradients: str | Callable[..., Any] | None = None
    train_step: str | Callable[..., Any] | None = None
    learning_rate: float | str | None = None
    momentum: float | None = None
    activations: Sequence[str | Callable[[Host], Host]] | None = None
    samples: Layout | None = None
    update: Literal["-=", "+="] = "-="
    data_names: tuple[str, str] | None = None
    x: Any = None
    y: Any = None

    def __post_init__(self) -> None:
        for name, told, known in (
            ("samples", self.samples, (None, *get_args(Layout))),
            ("update", self.update, ("-=", "+=")),
        ):
            if not (told is None or isinstance(told, str)) or told not in known:
                choices = ", ".join(repr(choice) for choice in known)
                raise UsageError(f"{name}={shown(told)} is none of {choices}; give one of these")
        for name in ("weights", "biases", "activations", "data_names"):
            told = getattr(self, name)
            if told is not None:
                items(name, told, "a list, of one for each layer")
        if self.data_names is not None and [*map(type, self.data_names)] != [str, str]:
            refuse("data_names", "a pair of names", self.data_names)
        for name in ("forward", "loss", "gradients", "train_step"):
            told = getattr(self, name)
            if not (told is None or isinstance(told, str) or callable(told)):
                refuse(name, "a method's name or a function", told)
        if self.learning_rate is not None and not isinstance(self.learning_rate, str):
            check_positive("learning_rate", self.learning_rate)
        if self.momentum is not None:
            check_not_negative("momentum", self.momentum)


@dataclass(frozen=True)
class Parameter:
    """One of the user's parameters: its layer, and the name under which the network keeps it."""

    layer: int
    kind: Literal["weight", "bias"]
    path: Path


def is_function(adapter: Adapter) -> bool:
    """True if `loss` is the user's own, not the name of a known one."""
    from anyarray_mlp.backprop.checks.losses import NAMED_LOSSES

    if not isinstance(adapter.loss, str) or adapter.loss not in NAMED_LOSSES:
        return adapter.loss is not None
    return callable(getattr(adapter.network, adapter.loss, None))


def list_parameters(adapter: Adapter) -> list[Parameter]:
    """Weights and biases, layer by layer."""
    weights = list(adapter.weights or ())
    biases = list(adapter.biases or ())
    if biases and len(biases) > len(weights):
        raise UsageError(
            f"{len(biases)} biases for {len(weights)} weights; name one for each layer, None if a layer has no bias"
        )
    parameters: list[Parameter] = []
    for layer, path in enumerate(weights):
        parameters.append(Parameter(layer, "weight", path))
        if layer < len(biases) and biases[layer] is not None:
            parameters.append(Parameter(layer, "bias", biases[layer]))  # type: ignore[arg-type]
    return parameters


# ---- guesses -------------------------------------------------------------------------------------


def with_guesses(adapter: Adapter) -> Adapter:
    """Fill in the weights, the biases and the forward pass if they are not given."""
    network = adapter.network
    if adapter.weights is None:
        if network is None:
            raise UsageError("no network and no weights given; give network=... and weights=[...]")
        weights, biases = guess_parameters(network)
        adapter = replace(adapter, weights=weights, biases=adapter.biases or biases)
    if adapter.forward is None:
        names = (n for n in FORWARD_NAMES if callable(getattr(network, n, None)))
        forward = next(names, None)
        if forward is None:
            raise UsageError(
                f"forward is not given, and {type(network).__name__} has none of {', '.join(FORWARD_NAMES)}; give "
                "forward='name' or forward=function"
            )
        adapter = replace(adapter, forward=forward)
    if adapter.gradients is None and adapter.train_step is None:
        raise UsageError("neither gradients nor train_step given; give the one that your code has")
    return adapter


# Data, what a forward pass keeps, gradients, and what an optimizer keeps.
SKIPPED = re.compile(
    r"(x|y|data|train|test|val|feature|label|target|input|output|pred|cache|activation|best|prev|"
    r"d|grad|nabla|v|m_|s_|s[dwb]|mom|history|loss)(?!.*(weight|bias)).*|"
    r"(d_|v_|m_|s_|grad|vel|mom|prev|best|delta).*|[az](_?\d+|_?h|s|_?l)?|h"
)
WEIGHT_NAMES = re.compile(r"w.*|.*weight.*|theta.*|syn.*")
DEEPEST = 4


def guess_parameters(network: Any) -> tuple[list[Path], list[Path | None]]:
    """Weights and biases among the network's arrays, however nested, in order."""
    weights: list[Path] = []
    biases: list[Path | None] = []
    for parts, value in arrays_within(network):
        names = [part.lower().lstrip("_") for part in parts if not part.isdigit()]
        if any(SKIPPED.fullmatch(name) for name in names):
            continue
        shape = tuple(value.shape)
        path = int(parts[0]) if len(parts) == 1 and parts[0].isdigit() else ".".join(parts)
        looks_bias = bool(names) and (names[-1].startswith("b") or "bias" in names[-1])
        if not names:
            looks_bias = len(shape) == 1 or (1 in shape and bool(weights))
        if looks_bias:
            biases.append(path)
        elif len(shape) == 2 or (names and WEIGHT_NAMES.fullmatch(names[-1])):
            weights.append(path)
    if not weights:
        raise UsageError(
            f"no weight matrices found in {type(network).__name__}; name them: weights=['W1', 'W2']"
        )
    return weights, biases[: len(weights)]


def arrays_within(
    node: Any, parts: tuple[str, ...] = (), seen: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(names that lead to it, array) for all vectors and matrices in containers and objects."""
    if id(node) in seen or len(parts) > DEEPEST:
        return
    if parts and isinstance(node, (type, ModuleType, FunctionType)):
        return
    if hasattr(node, "dtype") and hasattr(node, "shape"):
        if len(node.shape) in (1, 2):
            yield parts, node
        return
    if isinstance(node, Mapping):
        items = [(str(name), value) for name, value in node.items()]
    elif isinstance(node, (list, tuple)):
        items = [(str(index), value) for index, value in enumerate(node)]
    else:
        items = list(getattr(node, "__dict__", {}).items())
    for name, value in items:
        if not name.startswith("__"):
            yield from arrays_within(value, (*parts, name), seen | {id(node)})
