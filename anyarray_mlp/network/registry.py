"""The activations and losses of a network by name, and how functions of your own come among them.

A function of your own is registered under a name: `register_activation("swoosh", swoosh)`. It then stands in the tables
of `functional`, so that networks, `gradcheck`, parity, estimators and model files know it. What `register_activation`
returns is that name: a text that carries its function, which is why a network that is pickled, or sent to another
process, brings its functions along. A model file holds the plain name.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import canonical, find_name, misspelt
from anyarray_mlp.checking.records import Check, RecordError
from anyarray_mlp.checking.values import check_callable, check_whole
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS, Activation
from anyarray_mlp.network.losses import FUSED_LOSSES, LOSS_NAMES, LOSSES, PARAMETERS, Loss

#: Why a loss that is defined through its output accepts no other.
REFUSALS = {
    "cross_entropy": "it needs probabilities that sum to one over the classes, which only softmax gives",
    "binary_cross_entropy": "it treats every output as a probability of its own, which only logistic gives",
    "poisson": "it needs a rate that is positive and unbounded, which only exp gives",
}

#: What comes with the package, by kind: these names stay what they are.
BUILT_IN = {"activation": tuple(ACTIVATIONS), "loss": (*LOSS_NAMES, "auto")}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}", re.ASCII)


class OwnFunction(str):
    """The name of an activation or a loss of your own: a text that carries its function.

    It equals the plain text; of two such names the functions must be the same as well, so that what is compiled for
    one is not taken for the other.
    """

    kind: str
    function: Callable[..., Any]
    output: str | None

    def __new__(
        cls, name: str, kind: str, function: Callable[..., Any], output: str | None
    ) -> OwnFunction:
        own = super().__new__(cls, name)
        own.kind, own.function, own.output = kind, function, output
        return own

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OwnFunction) and self._contents() != other._contents():
            return False
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def _contents(self) -> tuple[Any, ...]:
        return self.kind, self.function, self.output

    def __reduce__(self) -> tuple[Any, ...]:
        return unpickled, (str(self), *self._contents())

    def __copy__(self) -> OwnFunction:
        return self

    def __deepcopy__(self, memo: Any) -> OwnFunction:
        return self


#: The names registered, by kind and text.
OWN: dict[tuple[str, str], OwnFunction] = {}


def register_activation(name: str, function: Activation) -> str:
    """Make `function` known as the activation `name`, and return that name for `MLP(activation=...)`.

    Parameters
    ----------
    name : letters, digits and underscores; what a model file holds, and what it must be registered as before one is
        loaded. A name that comes with the package cannot be taken; your own may be registered again, and networks made
        before keep the function that they were made with.
    function : `function(xp, z)` -> (value, vjp) for z (n, units): the value has z's shape and dtype, and `vjp(da)` is
        the gradient da (n, units) of the value brought back to z. Written with `xp` and operators alone it runs on
        every backend, compiled, and in reproducible mode; see `network.functional` for examples. For pickling, a
        function that a module defines.

    Raises `UsageError` for a name that is taken and a function that does not give this.
    """
    check_own_name("activation", name)
    check_callable("function", function)
    try_activation(name, function)
    ACTIVATIONS[str(name)] = function
    return known_as(OwnFunction(name, "activation", function, None))


def register_loss(name: str, function: Loss, output: str | None = None, columns: int = 3) -> str:
    """Make `function` known as the loss `name`, and return that name for `MLP(loss=...)`.

    Parameters
    ----------
    name : as for `register_activation`.
    function : `function(xp, y, targets)` -> (losses, vjp) for outputs y and targets, both (n, k): losses (n,) of each
        sample, and `vjp(g)`, their gradient with respect to y (n, k) times g, a column (n, 1) or a number.
    output : the only output that the loss goes with ("softmax", "logistic", ...); None for any.
    columns : how many outputs k the function is tried with here, for one that needs a number of them.

    Raises `UsageError` for a name that is taken and a function that does not give this.
    """
    check_own_name("loss", name)
    check_callable("function", function)
    if output is not None:
        output = find_name("output", output, OUTPUTS)
    columns = check_whole("columns", columns, 1, 10_000)
    try_loss(name, function, output, columns)
    LOSSES[str(name)] = function
    return known_as(OwnFunction(name, "loss", function, output))


def known_as(own: OwnFunction) -> OwnFunction:
    """Keep a name among those registered."""
    OWN[own.kind, str(own)] = own
    return own


def unpickled(name: str, kind: str, function: Callable[..., Any], output: str | None) -> str:
    """The name of a function that comes out of a pickle, registered unless the name already is."""
    own = OwnFunction(name, kind, function, output)
    known = OWN.get((kind, name))
    if known is None and name not in BUILT_IN[kind]:
        (ACTIVATIONS if kind == "activation" else LOSSES)[name] = function
        return known_as(own)
    return known if known == own and known is not None else own


# --- names -----------------------------------------------------------------------------------------------


def loss_names() -> tuple[str, ...]:
    """The losses that come with the package and those registered."""
    return tuple(dict.fromkeys([*LOSS_NAMES, *LOSSES]))


def find_activation(value: Any) -> str:
    """The canonical name of an activation; `UsageError` if there is none."""
    return _found("activation", value, ACTIVATIONS)


def find_loss(value: Any) -> str:
    """The canonical name of a loss, with its parameter ("huber:2.0") unless that is the default, or "auto"."""
    if not isinstance(value, str) or ":" not in value:
        return _found("loss", value, (*loss_names(), "auto"))
    before, _, after = value.partition(":")
    name = canonical("loss", before.strip(), loss_names())
    if name not in PARAMETERS:
        takers = " and ".join(
            f"{each}:{parameter.name.upper()}" for each, parameter in PARAMETERS.items()
        )
        raise UsageError(f"loss {shown(value)}: a number goes with {takers} only.")
    parameter, number = PARAMETERS[name], plain_number(after)
    if not parameter.low < number < parameter.high:
        bounds = f"above {parameter.low:g}" + (
            f" and below {parameter.high:g}" if parameter.high < math.inf else ""
        )
        raise UsageError(
            f"loss {shown(value)}: {parameter.name} must be a number {bounds}, as in {PARAMETERS[name].example}."
        )
    return name if number == parameter.default else f"{name}:{number!r}"


def plain_number(text: str) -> float:
    """The number of a text in ASCII digits; NaN where it is none."""
    try:
        return float(text) if re.fullmatch(r"\s*[0-9.eE+-]+\s*", text, re.ASCII) else math.nan
    except ValueError:
        return math.nan


def _found(kind: str, value: Any, known: Iterable[str]) -> str:
    if isinstance(value, OwnFunction):
        if value.kind != kind:
            raise UsageError(
                f"{shown(str(value))} was registered as the {value.kind} of a network, not as its {kind}."
            )
        return value
    if callable(value):
        raise UsageError(
            f"{kind} must be one of {', '.join(known)}, got {shown(value)}: give a function of your own a name with "
            f"register_{kind}(name, function)."
        )
    name = find_name(kind, value, known)
    return OWN.get((kind, name), name)


def is_known(kind: str, value: Any) -> bool:
    """Whether a value is a name of an activation or loss as it stands, with a parameter or without."""
    if not isinstance(value, str):
        return False
    if isinstance(value, OwnFunction):
        return value.kind == kind
    if kind == "loss" and ":" in value:
        try:
            return find_loss(value).partition(":")[0] == value.partition(":")[0]
        except UsageError:
            return False
    return value in (ACTIVATIONS if kind == "activation" else (*loss_names(), "auto"))


def name_of(kind: str) -> Check:
    """What a description may name: a function that is known here."""

    def inside(value: str, place: str) -> None:
        if is_known(kind, value):
            return
        known = ACTIVATIONS if kind == "activation" else (*loss_names(), "auto")
        remedy = None
        if NAME.fullmatch(value) and not misspelt(kind, value, BUILT_IN[kind]):
            remedy = (
                "if it is a function of your own, register it before loading: "
                f"register_{kind}({value!r}, function)"
            )
        raise RecordError(
            f"{place} is {reprlib.repr(value)} and must be one of {', '.join(known)}", remedy
        )

    return Check(
        f"one of {', '.join(BUILT_IN[kind])}", lambda value: isinstance(value, str), inside
    )


# --- outputs and losses that go together -----------------------------------------------------------------


def default_loss(output: str) -> str:
    """The loss that belongs to an output: cross-entropy to softmax, squared error to identity, ..."""
    for fused_output, loss in FUSED_LOSSES:
        if fused_output == output:
            return loss
    return "squared_error"


def output_needed(loss: str) -> str | None:
    """The only output that a loss goes with; None for any."""
    own = OWN.get(("loss", loss)) if not isinstance(loss, OwnFunction) else loss
    if own is not None:
        return own.output
    return next((output for output, fused in FUSED_LOSSES if fused == loss), None)


def pairs() -> tuple[tuple[str, str], ...]:
    """Every output with every loss that goes with it."""
    composed = ((output, loss) for output in OUTPUTS for loss in LOSSES)
    return (*FUSED_LOSSES, *((o, loss) for o, loss in composed if output_needed(loss) in (None, o)))


def check_pair(output: str, loss: str) -> None:
    """Raise `UsageError` with the reason where an output and a loss, of canonical names, do not go together."""
    needed = output_needed(loss)
    if needed in (None, output):
        return
    reason = REFUSALS.get(loss, "it was registered for another")
    others = dict.fromkeys([default_loss(output), *(name for o, name in pairs() if o == output)])
    raise UsageError(
        f"loss={str(loss)!r} cannot be used with output={output!r}: {reason}. "
        f"Use output={needed!r}, or one of the losses {', '.join(others)}."
    )


# --- what a function of one's own must give --------------------------------------------------------------


def check_own_name(kind: str, name: Any) -> None:
    """Raise `UsageError` where a name is none, or is taken by what comes with the package."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UsageError(
            f"The name of your {kind} must be letters, digits and underscores, such as 'swoosh', got {shown(name)}."
        )
    taken = canonical(kind, str(name), BUILT_IN[kind])
    if taken in BUILT_IN[kind]:
        raise UsageError(
            f"{shown(name)} is the {kind} {taken!r}, which comes with the package: take another name."
        )


def try_activation(name: str, function: Activation) -> None:
    """Raise `UsageError` where a function does not give the value and the vjp of an activation."""
    z = np.array([[-1.5, -0.5, 0.25], [0.5, 1.25, 2.0]], np.float32)
    how = f"the activation {name!r}: function(xp, z)"
    value, vjp = tried(how, "(value, vjp)", function, z.copy())
    check_array(f"{how} gave for the value", value, z)
    check_array(f"{how} gave a vjp whose gradient is", gradient(how, vjp, np.ones_like(z)), z)


def try_loss(name: str, function: Loss, output: str | None, columns: int) -> None:
    """Raise `UsageError` where a function does not give the losses and the vjp of a loss."""
    z = np.linspace(-1.5, 2.0, 2 * columns, dtype=np.float32).reshape(2, columns)
    y, _ = OUTPUTS[output or "identity"](PlainNamespace(np), z)
    targets = np.eye(2, columns, dtype=np.float32)
    how = f"the loss {name!r}: function(xp, y, targets)"
    losses, vjp = tried(how, "(losses, vjp)", function, np.array(y), targets)
    check_array(f"{how} gave for the losses", losses, y[:, 0])
    for g in (np.ones((2, 1), np.float32), 0.5):
        check_array(f"{how} gave a vjp whose gradient is", gradient(how, vjp, g), y)


def tried(how: str, what: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """The two things that a function gives for small arrays."""
    try:
        with np.errstate(all="ignore"):
            given = function(PlainNamespace(np), *arrays)
    except Exception as error:
        raise UsageError(f"{how} failed with {type(error).__name__}: {error}.") from error
    if not (isinstance(given, tuple) and len(given) == 2 and callable(given[1])):
        raise UsageError(f"{how} must return {what}, got {shown(given)}.")
    return given


def gradient(how: str, vjp: Callable[..., Any], g: Any) -> Any:
    """What a vjp gives."""
    try:
        with np.errstate(all="ignore"):
            return vjp(g)
    except Exception as error:
        raise UsageError(f"{how}: its vjp failed with {type(error).__name__}: {error}.") from error


def check_array(what: str, found: Any, like: Any) -> None:
    """Raise `UsageError` where an array is not of the shape and the dtype that it must be of."""
    if not isinstance(found, (np.ndarray, np.generic)):
        raise UsageError(f"{what} {shown(found)}, no array.")
    if (found.shape, found.dtype) != (like.shape, like.dtype):
        raise UsageError(
            f"{what} {found.dtype} {found.shape} and must be {like.dtype} {like.shape}, the dtype of its arguments."
        )
