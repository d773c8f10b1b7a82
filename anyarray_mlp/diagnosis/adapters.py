"""How a user says, in a few lines, where their network keeps its weights and how it is called.

`Adapter` is the description; `UserNetwork` carries it out: reads and writes the weights by name,
calls the user's functions with the arguments they expect, and puts everything back afterwards.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from anyarray_mlp.diagnosis.snapshots import Snapshot, is_tensor
from anyarray_mlp.errors import UsageError

Array = Any
Path = str | int
Layout = Literal["rows", "columns", "single"]

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
RATE_ATTRIBUTES = (
    "learning_rate",
    "lr",
    "eta",
    "learningRate",
    "learn_rate",
    "LR",
    "LEARNING_RATE",
)
FORWARD_NAMES = ("forward", "feedforward", "feed_forward", "forward_pass", "forward_propagation")


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Where a network keeps its weights and how it is called.

    Parameters
    ----------
    network
        The object that holds the weights: an instance, a dict, a list, or a module (or the
        `globals()` of a script).
    weights, biases
        One name for each layer, from the input to the output: an attribute, a key or an index of
        `network`, dotted where it is nested (`"layers.0.W"`); `*` takes all elements of a list and
        stacks them (`"0.*.weights"`). Weights may be (in, out) or (out, in), biases (out,),
        (1, out), (out, 1) or part of the weights as a further row; None for a layer without.
    forward, loss, gradients, train_step
        A method's name or a function. It is called with what its parameters ask for, out of the
        network, x, y, the output and the learning rate: `forward(x)` or `forward(network, x)`;
        `loss(output, y)`, `loss(x, y)` or `loss(network, x, y)`; `gradients(x, y)`;
        `train_step(x, y)` or `train_step(x, y, learning_rate)`, each also with the network first.
        `gradients` returns arrays (list, tuple or dict) or leaves them in the network;
        `train_step` does what one turn of the training loop does and changes the weights or
        returns new ones. `loss` may also be "squared_error", "cross_entropy",
        "binary_cross_entropy" or None where only the gradients' direction matters.
    learning_rate
        A number, or the name under which the network keeps it.
    momentum
        The momentum's coefficient, where the update has one.
    activations
        One for each layer, where they are not to be found from the forward pass: a name of
        `reference.ACTIVATIONS`, "softmax", or a function of the pre-activations.
    samples
        "rows": x is (n, in); "columns": x is (in, n); "single": the functions take one sample,
        `x[i]` and `y[i]`. None finds it out.
    update
        "-=" where the code subtracts learning_rate * gradient, "+=" where it adds it.
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
    activations: Sequence[str | Callable[[Array], Array]] | None = None
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
            if told not in known:
                choices = ", ".join(repr(choice) for choice in known)
                raise UsageError(f"{name}={told!r} is none of {choices}; give one of these")


# ---- reading and writing by name -----------------------------------------------------------------


def to_host(value: Any) -> Array:
    """Any array, tensor, number or nested list as a NumPy array."""
    if is_tensor(value):
        return value.detach().cpu().numpy()
    if hasattr(value, "get") and hasattr(value, "__cuda_array_interface__"):
        return value.get()
    if isinstance(value, (list, tuple)) and any(is_tensor(v) for v in value):
        return np.asarray([to_host(v) for v in value])
    if hasattr(value, "__array_namespace__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def like(old: Any, array: Array) -> Any:
    """`array` in the type, the dtype and the library of `old`."""
    if isinstance(old, np.matrix):
        return np.asmatrix(array.astype(old.dtype))
    if isinstance(old, (np.ndarray, np.generic)):
        return np.asarray(array).astype(old.dtype).reshape(np.shape(old))
    if isinstance(old, list):
        return [like(o, a) for o, a in zip(old, array, strict=True)]
    if isinstance(old, tuple):
        return tuple(like(o, a) for o, a in zip(old, array, strict=True))
    if isinstance(old, (int, float)):
        return float(array)
    if is_tensor(old):
        return old.new_tensor(np.asarray(array))
    return namespace_of(old).asarray(array, dtype=old.dtype)


def namespace_of(array: Any) -> Any:
    """The array library that an array is of."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.split(".")[0]]


def child(node: Any, part: str) -> Any:
    """One step down a dotted name."""
    if isinstance(node, Mapping):
        if part in node:
            return node[part]
        return node[int(part)] if part.lstrip("-").isdigit() else node[part]
    if part.lstrip("-").isdigit():
        return node[int(part)]
    return getattr(node, part)


def read_path(root: Any, path: Path) -> Any:
    """The value that a dotted name stands for."""
    parts = str(path).split(".")
    for index, part in enumerate(parts):
        if part == "*":
            rest = ".".join(parts[index + 1 :])
            return [read_path(item, rest) if rest else item for item in root]
        root = child(root, part)
    return root


def write_path(root: Any, path: Path, array: Array) -> Any:
    """Put `array` under a dotted name, into the array that is there where that can be done.

    Returns `root`, or what is to stand in its place where it is a tuple.
    """
    return put(root, str(path).split("."), array)


def put(node: Any, parts: Sequence[str], array: Array) -> Any:
    """`node` with `array` under the rest of a dotted name; tuples are made anew."""
    if not parts:
        return node if write_in_place(node, array) else like(node, array)
    part, rest = parts[0], parts[1:]
    if part == "*":
        for index, value in enumerate(array):
            node = put(node, [str(index), *rest], value)
        return node
    old = child(node, part)
    new = put(old, rest, array)
    if new is old:
        return node
    if isinstance(node, tuple):
        index = int(part) if part.lstrip("-").isdigit() else type(node)._fields.index(part)  # type: ignore[attr-defined]
        items = [*node]
        items[index] = new
        return node._make(items) if hasattr(node, "_make") else tuple(items)
    if isinstance(node, Mapping):
        node[part if part in node else int(part)] = new  # type: ignore[index]
    elif part.lstrip("-").isdigit():
        node[int(part)] = new
    else:
        setattr(node, part, new)
    return node


def write_in_place(old: Any, array: Array) -> bool:
    """Write into a mutable array or nested list; False where it cannot be done."""
    if isinstance(old, np.ndarray) and old.flags.writeable and old.dtype != object:
        if not np.issubdtype(old.dtype, np.floating):
            return False
        old[...] = np.asarray(array).reshape(old.shape)
        return True
    if is_tensor(old):
        old.detach().copy_(old.new_tensor(np.asarray(array)))
        return True
    if isinstance(old, list):
        for index, value in enumerate(old):
            if not write_in_place(value, array[index]):
                old[index] = like(value, array[index])
        return True
    return False


def flatten(value: Any, names: str = "", split: bool = False) -> list[tuple[str, Array]]:
    """All arrays in a nested return value, each with the keys that lead to it.

    A list of numbers is one array; with `split` each of its numbers is.
    """
    if value is None or isinstance(value, (str, bool)):
        return []
    if isinstance(value, Mapping):
        items = list(value.items())
        return [leaf for k, item in items for leaf in flatten(item, f"{names}.{k}", split)]
    if isinstance(value, (list, tuple)):
        if not split and is_numeric_nest(value):
            return [(names, np.asarray(value, dtype=float))]
        return [
            leaf for i, item in enumerate(value) for leaf in flatten(item, f"{names}.{i}", split)
        ]
    if isinstance(value, (int, float, np.generic)) or hasattr(value, "shape"):
        array = to_host(value)
        return [(names, array)] if array.dtype.kind in "fiu" else []
    return []


def is_numeric_nest(value: Any) -> bool:
    """True for a list of numbers, or a regular list of such lists."""
    if not value or not isinstance(value, (list, tuple)):
        return False
    if all(isinstance(item, (int, float)) for item in value):
        return True
    if not all(isinstance(item, list) and is_numeric_nest(item) for item in value):
        return False
    return len({len(item) for item in value}) == 1


# ---- calling conventions -------------------------------------------------------------------------


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


# ---- samples -------------------------------------------------------------------------------------


def take(data: Any, index: Sequence[int], layout: Layout) -> Any:
    """Some of the samples, in the user's layout."""
    if isinstance(data, (list, tuple)):
        return type(data)(data[i] for i in index)
    axis = 1 if layout == "columns" and len(data.shape) > 1 else 0
    if isinstance(data, np.ndarray) or is_tensor(data):
        return data[:, list(index)] if axis else data[list(index)]
    xp = namespace_of(data)
    return xp.take(data, xp.asarray(list(index)), axis=axis)


def scaled(data: Any, factor: float) -> Any:
    """The samples times a number, in the user's type."""
    if isinstance(data, (list, tuple)):
        return type(data)(scaled(item, factor) for item in data)
    if isinstance(data, np.ndarray) and data.dtype.kind in "iub":
        return data.astype(float) * factor
    return data * factor


@dataclass(frozen=True)
class Parameter:
    """One of the user's parameters: its layer, and the name it is kept under."""

    layer: int
    kind: Literal["weight", "bias"]
    path: Path


class UserNetwork:
    """A user's network as the checks see it: parameters by name, functions that can be called.

    Every call starts from the state that the network had when this object was made, with the
    parameters last given to `write`.
    """

    def __init__(self, adapter: Adapter) -> None:
        if isinstance(adapter.network, (str, int, float)):
            raise UsageError(
                f"network={adapter.network!r} is a {type(adapter.network).__name__}; give the object, "
                "dict, list or module that holds the weights"
            )
        self.adapter = adapter = with_guesses(adapter)
        self.network = adapter.network
        assert adapter.weights is not None
        assert adapter.forward is not None
        self.parameters = list_parameters(adapter)
        self.forward = bind(self.network, adapter.forward, "forward")
        self.loss = (
            bind(self.network, adapter.loss, "loss")
            if adapter.loss is not None and is_function(adapter)
            else None
        )
        self.gradients = (
            None
            if adapter.gradients is None
            else bind(self.network, adapter.gradients, "gradients")
        )
        self.train_step = (
            None
            if adapter.train_step is None
            else bind(self.network, adapter.train_step, "train_step")
        )
        bound = [
            f.function for f in (self.forward, self.loss, self.gradients, self.train_step) if f
        ]
        self.roots = [self.network, *bound]
        self.snapshot = Snapshot(self.roots)
        self.layout: Layout = adapter.samples or "rows"
        self.original = self.read()
        self.current = self.original
        self.rate_path = self.find_rate_path()
        self.primed = False  # run the forward pass before each training step
        self.optimizer_state: list[Array] = []  # zero wherever other weights are written

    def find_rate_path(self) -> str | None:
        if isinstance(self.adapter.learning_rate, str):
            return self.adapter.learning_rate
        if self.adapter.learning_rate is None:
            for name in RATE_ATTRIBUTES:
                try:
                    value = read_path(self.network, name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                if isinstance(value, float):
                    return name
        return None

    @property
    def rate_is_free(self) -> bool:
        """True where the learning rate of a step can be chosen."""
        if self.train_step is not None and self.train_step.takes_rate:
            return True
        return self.rate_path is not None

    def read(self) -> list[Array]:
        """The parameters as they are now, as NumPy arrays of the user's shapes and dtype."""
        arrays = []
        for parameter in self.parameters:
            try:
                value = read_path(self.network, parameter.path)
            except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                raise UsageError(
                    f"{parameter.kind} {parameter.path!r} of layer {parameter.layer + 1} is not in the "
                    f"network of type {type(self.network).__name__}; give the name it is kept under"
                ) from None
            array = np.array(to_host(value))
            if array.dtype.kind in "iu":
                array = array.astype(float)
            if array.dtype.kind != "f":
                raise UsageError(
                    f"{parameter.kind} {parameter.path!r} has dtype {array.dtype}; give the name of "
                    "an array of floats"
                )
            arrays.append(array)
        return arrays

    def write(self, arrays: Sequence[Array]) -> None:
        """Set the parameters that the next calls start from."""
        self.current = [np.array(a) for a in arrays]

    def reset(self, generators: bool = True) -> None:
        """Back to the first state, with the parameters last given to `write`.

        Without `generators` random numbers go on from where they are.
        """
        self.snapshot.restore(generators)
        self.network = self.adapter.network
        if self.current is not self.original:
            for state in self.optimizer_state:
                state[...] = 0
            self.put_parameters(self.current)

    def put_parameters(self, arrays: Sequence[Array]) -> None:
        for parameter, array in zip(self.parameters, arrays, strict=True):
            self.network = write_path(self.network, parameter.path, array)

    def state_like_parameters(self, x: Any, y: Any) -> list[Array]:
        """Arrays beside the parameters that have the shape of one: what an optimizer keeps.

        Those of zeros, those that hold x or y, and those that a forward pass run just before has
        written anew are left out.
        """
        parameters = [read_path(self.network, p.path) for p in self.parameters]
        shapes = {np.shape(value) for value in self.original}
        known = [array for _, array in [*flatten(x), *flatten(y)]]
        held = {id(array) for array, _ in Snapshot(self.roots).arrays}
        found = []
        for array, content in self.snapshot.arrays:
            host = to_host(content)
            if host.dtype.kind != "f" or host.shape not in shapes or not host.any():
                continue
            if id(array) not in held or not np.array_equal(to_host(array), host):
                continue
            if any(array is value or share_memory(array, value) for value in parameters):
                continue
            if not any(np.array_equal(host.ravel(), np.ravel(data)) for data in known):
                found.append(array)
        return found

    def restore(self) -> None:
        """Everything as the user handed it over."""
        self.current = self.original
        self.snapshot.restore()
        self.network = self.adapter.network

    def values(self, x: Any, y: Any, **more: Any) -> dict[str, Any]:
        if self.adapter.data_names is not None:
            for name, data in zip(self.adapter.data_names, (x, y), strict=True):
                if data is None:
                    continue
                if isinstance(self.network, dict):
                    self.network[name] = data
                else:
                    setattr(self.network, name, data)
        return {"network": self.network, "x": x, "y": y, **more}

    def set_rate(self, rate: float | None) -> None:
        if rate is not None and self.rate_path is not None:
            self.network = write_path(self.network, self.rate_path, np.asarray(rate))

    def output(self, x: Any, fresh: bool = True) -> Array:
        """The user's forward pass for `x` in their layout, as a float array of their shape."""
        if fresh:
            self.reset()
        with quiet():
            result = self.forward(self.values(x, None))
        return self.pick_output(result)

    def pick_output(self, result: Any) -> Array:
        if result is None:
            for name in ("output", "out", "a2", "yhat", "y_hat", "outputs", "probs"):
                try:
                    value = read_path(self.network, name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                if value is not None:
                    return to_host(value).astype(float)
            raise UsageError("forward returns None; give a function that returns the output")
        if isinstance(result, (tuple, list)) and not is_numeric_nest(result):
            if hasattr(result[0], "shape") and any(isinstance(r, Mapping) for r in result[1:]):
                result = result[0]
            else:
                leaves = flatten(result)
                if leaves and not all(np.ndim(leaf) == 0 for _, leaf in leaves):
                    return leaves[-1][1].astype(float)
                if leaves:
                    return np.asarray([leaf for _, leaf in leaves], dtype=float)
        if isinstance(result, Mapping):
            for name in ("output", "out", "y_hat", "yhat", "probs"):
                if name in result:
                    return to_host(result[name]).astype(float)
            return flatten(result)[-1][1].astype(float)
        return np.asarray(to_host(result), dtype=float)

    def loss_value(self, x: Any, y: Any) -> float:
        """The user's loss for all of `x` and `y`; for single samples their sum."""
        assert self.loss is not None
        if self.layout == "single":
            return float(sum(self.one_loss(xi, yi) for xi, yi in zip(x, y, strict=True)))
        return self.one_loss(x, y)

    def one_loss(self, x: Any, y: Any) -> float:
        assert self.loss is not None
        self.reset()
        with quiet():
            values = self.values(x, y)
            if "output" in self.loss.roles or self.loss.roles in ((), ("y",)):
                values["output"] = self.forward(values)
                if isinstance(values["output"], (tuple, Mapping)) or values["output"] is None:
                    values["output"] = self.pick_output(values["output"])
            result = self.loss(values)
        leaves = flatten(result)
        if not leaves:
            raise UsageError(
                f"loss returns {type(result).__name__}; give a function that returns the number "
                "that training is to make small"
            )
        return float(np.sum(leaves[0][1]))

    def prime(self, x: Any, y: Any) -> None:
        """Run the forward pass, for gradients that read what it left behind."""
        with quiet():
            self.forward(self.values(x, y))

    def raw_gradients(self, x: Any, y: Any, fresh: bool = True) -> list[Array | None]:
        """The user's gradients, one for each parameter, in the user's shapes.

        With `fresh=False` the call follows whatever was called before it. None stands for a
        parameter whose gradient is not given.
        """
        assert self.gradients is not None
        if fresh:
            self.reset()
        with contextlib.suppress(Exception):
            self.prime(x, y)
        with quiet():
            result = self.gradients(self.values(x, y))
        leaves = gradient_leaves(result, self.parameters)
        if not any(np.ndim(leaf) > 0 for _, leaf in leaves) and not self.has_scalars():
            leaves = self.gradients_left_behind()
        # Copies: an array that the user's code keeps and adds to would change with the next call.
        ordered = order_leaves(leaves, self.parameters, self.current)
        return [None if array is None else np.array(array) for array in ordered]

    def has_scalars(self) -> bool:
        return any(np.ndim(a) == 0 for a in self.current)

    def gradients_left_behind(self) -> list[tuple[str, Array]]:
        """Gradients that a function which returns nothing keeps beside the weights."""
        found: list[tuple[str, Array]] = []
        for parameter in self.parameters:
            head, _, last = str(parameter.path).rpartition(".")
            prefix = f"{head}." if head else ""
            for name in (f"d{last}", f"{last}_grad", f"grad_{last}", f"d_{last}", f"{last}.grad",
                         f"delta_{last}", f"g{last}"):  # fmt: skip
                try:
                    value = read_path(self.network, prefix + name)
                except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                    continue
                found.append((str(parameter.path), to_host(value)))
                break
        if not found:
            raise UsageError(
                "gradients returns no arrays and leaves none beside the weights (dW1, W1_grad, ...); "
                "give a function that returns them, one for each weight and bias"
            )
        return found

    def step(self, x: Any, y: Any, rate: float | None, fresh: bool = True) -> list[Array]:
        """The parameters after one training step."""
        assert self.train_step is not None
        if fresh:
            self.reset()
        before = self.read()
        self.set_rate(rate)
        given = rate
        if rate is None and self.train_step.takes_rate:
            given = 0.1
        if self.primed:
            self.prime(x, y)
        try:
            with quiet():
                result = self.train_step(self.values(x, y, rate=given))
        except (AttributeError, KeyError, TypeError, NameError):
            if not fresh:
                raise
            self.reset()
            self.set_rate(rate)
            self.prime(x, y)
            with quiet():
                result = self.train_step(self.values(x, y, rate=given))
        after = self.read()
        if all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            leaves = [leaf for leaf in flatten(result) if np.ndim(leaf[1]) > 0]
            shapes = sorted(np.shape(a) for _, a in leaves)
            if len(leaves) == len(before) and shapes == sorted(np.shape(a) for a in before):
                returned = order_leaves(leaves, self.parameters, before, nearest=True)
                after = [b if r is None else r for r, b in zip(returned, before, strict=True)]
                if not fresh or isinstance(self.network, (dict, list, tuple)):
                    self.put_parameters(after)
        return after


def share_memory(a: Any, b: Any) -> bool:
    return np.may_share_memory(to_host(a), to_host(b))


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


def is_function(adapter: Adapter) -> bool:
    """True where `loss` is the user's own, not the name of a known one."""
    from anyarray_mlp.diagnosis.reference import NAMED_LOSSES

    if not isinstance(adapter.loss, str) or adapter.loss not in NAMED_LOSSES:
        return adapter.loss is not None
    return callable(getattr(adapter.network, adapter.loss, None))


def list_parameters(adapter: Adapter) -> list[Parameter]:
    """Weights and biases, layer by layer."""
    weights = list(adapter.weights or ())
    biases = list(adapter.biases or ())
    if biases and len(biases) > len(weights):
        raise UsageError(
            f"{len(biases)} biases for {len(weights)} weights; name one for each layer, None where a "
            "layer has no bias"
        )
    parameters: list[Parameter] = []
    for layer, path in enumerate(weights):
        parameters.append(Parameter(layer, "weight", path))
        if layer < len(biases) and biases[layer] is not None:
            parameters.append(Parameter(layer, "bias", biases[layer]))  # type: ignore[arg-type]
    return parameters


# ---- guesses -------------------------------------------------------------------------------------


def with_guesses(adapter: Adapter) -> Adapter:
    """Fill in the weights, the biases and the forward pass where they are not told."""
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
                f"forward is not given and {type(network).__name__} has none of "
                f"{', '.join(FORWARD_NAMES)}; give forward='name' or forward=function"
            )
        adapter = replace(adapter, forward=forward)
    if adapter.gradients is None and adapter.train_step is None:
        raise UsageError("neither gradients nor train_step given; give the one that your code has")
    return adapter


SKIPPED_PREFIXES = ("d", "v", "vel", "mom", "grad", "prev", "cache", "input", "output", "x", "y")


def guess_parameters(network: Any) -> tuple[list[Path], list[Path | None]]:
    """Weight matrices and biases among the attributes, keys or elements, in their order."""
    items: list[tuple[Path, Any]]
    if isinstance(network, Mapping):
        items = [(str(k), v) for k, v in network.items()]
    elif isinstance(network, (list, tuple)):
        items = list(enumerate(network))
    else:
        items = list(vars(network).items())
    weights: list[Path] = []
    biases: list[Path] = []
    for name, value in items:
        if not hasattr(value, "shape") or len(value.shape) not in (1, 2):
            continue
        lowered = str(name).lower().lstrip("_")
        if lowered.startswith(SKIPPED_PREFIXES) or lowered.startswith(("a1", "a2", "z1", "z2")):
            continue
        looks_bias = lowered.startswith("b") or "bias" in lowered
        if isinstance(name, int):
            looks_bias = len(value.shape) == 1 or (1 in value.shape and bool(weights))
        if looks_bias:
            biases.append(name)
        elif len(value.shape) == 2:
            weights.append(name)
    if not weights:
        raise UsageError(
            f"no weight matrices found in {type(network).__name__}; name them: weights=['W1', 'W2']"
        )
    return weights, list(biases[: len(weights)])


def canonical_name(name: str) -> str:
    """`.grads.dW1` -> `w1`: what is left when the marks of a gradient are taken off."""
    last = [part for part in name.split(".") if part]
    text = (last[-1] if last else "").lower()
    for mark in (
        "grad_",
        "_grad",
        "grads_",
        "nabla_",
        "delta_",
        "d_",
        "_delta",
        "gradient_",
        "new_",
    ):
        text = text.replace(mark, "")
    if text.startswith("d") and len(text) > 1 and text not in ("data",):
        text = text[1:]
    return text


def gradient_leaves(result: Any, parameters: Sequence[Parameter]) -> list[tuple[str, Array]]:
    """The gradients among all that a function returns.

    A number beside them is the loss, unless it is needed for there to be a gradient for each
    parameter: the sum of a bias's whole gradient, for one.
    """
    every = flatten(result)
    if by_names(every, parameters) is not None:
        return every
    arrays = [leaf for leaf in every if np.ndim(leaf[1]) > 0]
    for leaves in (arrays, every, flatten(result, split=True)):
        if len(leaves) == len(parameters):
            return leaves
    return arrays or every


def by_names(
    leaves: Sequence[tuple[str, Array]], parameters: Sequence[Parameter]
) -> list[Array | None] | None:
    """Each parameter's array by its name, None where not every weight has one."""
    full = dict(leaves)
    if all(str(p.path) in full for p in parameters):
        return [full[str(p.path)] for p in parameters]
    last = [name.rsplit(".", 1)[-1] for name, _ in leaves]
    named = {
        canonical_name(name): array
        for name, (_, array) in zip(last, leaves, strict=True)
        if not name.isdigit()
    }
    plain = [str(p.path).rsplit(".", 1)[-1] for p in parameters]
    if len({name.lower() for name in plain}) < len(plain):
        return None
    found = [named.get(name.lower(), named.get(canonical_name(name))) for name in plain]
    missing = [n for n, f in zip(plain, found, strict=True) if f is None]
    if any(p.kind == "weight" and f is None for p, f in zip(parameters, found, strict=True)):
        if len(missing) < len(plain) and len(leaves) < len(plain):
            raise UsageError(
                f"no array for {', '.join(missing)} among the {len(leaves)} returned "
                f"({', '.join(last)}); return one for each parameter"
            )
        return None
    return found


def order_leaves(
    leaves: list[tuple[str, Array]],
    parameters: Sequence[Parameter],
    values: Sequence[Array],
    nearest: bool = False,
) -> list[Array | None]:
    """Give each returned array to the parameter it belongs to: by name, else by shape and order.

    With `nearest` the arrays are new values of the parameters and among the orders that fit the
    one nearest to the old values is taken.
    """
    named = by_names(leaves, parameters)
    if named is not None:
        return named
    arrays = [array for _, array in leaves]
    weights = [i for i, p in enumerate(parameters) if p.kind == "weight"]
    biases = [i for i, p in enumerate(parameters) if p.kind == "bias"]
    orders: list[list[int]] = []
    if len(arrays) == len(parameters):
        mixed = list(range(len(parameters)))
        bias_first = [i for layer in range(len(weights)) for kind in ("bias", "weight")
                      for i in mixed if parameters[i].layer == layer and parameters[i].kind == kind]  # fmt: skip
        orders = [mixed, weights + biases, bias_first, biases + weights, mixed[::-1],
                  bias_first[::-1], weights[::-1] + biases[::-1], biases[::-1] + weights[::-1]]  # fmt: skip
    elif len(arrays) == len(weights):
        orders = [
            order
            for order in (weights, weights[::-1])
            if all(fit_of_shapes(a, values[i]) > 0 for a, i in zip(arrays, order, strict=True))
        ]
    if not orders:
        raise UsageError(
            f"{len(arrays)} arrays returned for {len(parameters)} parameters "
            f"({', '.join(str(p.path) for p in parameters)}); return one for each, in this order or "
            "as a dict"
        )
    best: list[int] | None = None
    best_score = (-1.0, 0.0)
    for order in orders:
        fitting = np.mean([fit_of_shapes(arrays[k], values[i]) for k, i in enumerate(order)])
        distance = 0.0
        if nearest and fitting == 1.0:
            distance = -float(sum(np.abs(arrays[k] - values[i]).sum() for k, i in enumerate(order)))
        if (float(fitting), distance) > best_score:
            best, best_score = order, (float(fitting), distance)
    assert best is not None
    result: list[Array | None] = [None] * len(parameters)
    for k, i in enumerate(best):
        result[i] = arrays[k]
    return result


def fit_of_shapes(array: Array, value: Array) -> float:
    """1 for the same shape, less for one that could be meant, 0 where it cannot."""
    if np.shape(array) == np.shape(value):
        return 1.0
    if np.shape(array) == np.shape(value)[::-1]:
        return 0.7
    return 0.5 if np.size(array) == np.size(value) else 0.0
