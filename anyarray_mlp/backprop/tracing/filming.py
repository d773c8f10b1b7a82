"""A user's network, called once on a tape: forward pass, loss, and gradients or a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.proxies import recording
from anyarray_mlp.backprop.tracing.scene import Column, Scene, Weight
from anyarray_mlp.backprop.tracing.tape import Node, Tape, TraceLost
from anyarray_mlp.backprop.tracing.tracer import Tracer, as_recorded, traced
from anyarray_mlp.backprop.tracing.watching import Watch
from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.backprop.user.calling import quiet
from anyarray_mlp.backprop.user.left_behind import find_output
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.paths import child, to_host
from anyarray_mlp.backprop.user.returned import flatten, order_leaves
from anyarray_mlp.backprop.user.samples import Samples
from anyarray_mlp.typing import Host

#: Numbers of samples that are tried, of which none is the width of a layer.
ROWS = (7, 11, 13, 5, 6)
#: The learning rate of a traced step, if it can be chosen: of no usual size.
RATE = 0.0731
#: Weights that are single numbers, at most.
MOST_NUMBERS = 600


def few(samples: Samples, values: Sequence[Host]) -> Samples:
    """Some of the samples: as many as no layer has units."""
    widths = {size for value in values for size in np.shape(value)}
    rows = next((r for r in ROWS if r not in widths and r <= samples.count), None)
    if rows is None:
        rows = min(samples.count, ROWS[0])
    return samples.some(list(range(rows)))


class Film:
    """Records one network."""

    def __init__(
        self, user: UserNetwork, samples: Samples, values: Sequence[Host], step: bool
    ) -> None:
        self.user, self.values = user, values
        self.samples = few(samples, values) if samples.layout != "single" else samples
        self.step = step
        self.tape = Tape()

    def scene(self) -> Scene:
        """Record and describe.

        Raises
        ------
        TraceLost
            If the network cannot be recorded.
        """
        user, samples = self.user, self.samples
        x, y = (
            samples.one(telling(samples)) if samples.layout == "single" else (samples.x, samples.y)
        )
        user.write(self.values)
        user.reset()
        with quiet(), recording(self.tape):
            watch = Watch(self.tape, user.roots)
            try:
                scene = self.recorded(x, y)
            finally:
                watch.end()
                user.reset()
        scene.states = [n for n in self.tape.nodes if n.kind == "state"]
        return scene

    def recorded(self, x: Any, y: Any) -> Scene:
        user, tape = self.user, self.tape
        tape.top = Film.recorded.__code__
        weights = self.recorded_weights()
        inputs, labels = Data(tape, "input"), Data(tape, "label")
        x, y = inputs.recorded(x), labels.recorded(y)
        scene = Scene(
            tape,
            weights,
            None,
            None,
            labels.nodes,
            inputs.nodes,
            makes_gradients=not self.step,
            samples=1 if self.samples.layout == "single" else self.samples.count,
            layout=self.samples.layout,
            targets=labels.values,
        )
        tape.phase = "forward"
        scene.output = self.node_of(self.forward(x))
        if user.loss is not None:
            tape.phase = "loss"
            user.snapshot.restore_generators()
            scene.loss = self.node_of(self.loss(x, y))
            scene.exact = True
        tape.phase = "step"
        user.snapshot.restore_generators()
        if self.step:
            self.film_step(scene, x, y)
        else:
            arrays = user.raw_gradients(x, y, fresh=False, copies=False)
            tape.phase = "after"
            self.finals(scene, arrays)
        return scene

    def forward(self, x: Any) -> Any:
        user = self.user
        result = user.forward(user.values(x, None))
        found = find_output(result, user.network, user.depth)
        if found is None:
            raise TraceLost("forward returns no output")
        return found

    def loss(self, x: Any, y: Any) -> Any:
        user = self.user
        assert user.loss is not None
        values = user.values(x, y, pairs=(x, y))
        if "output" in user.loss.roles or user.loss.roles in ((), ("y",)):
            values["output"] = self.forward(x)
        result = user.loss(values)
        while isinstance(result, (tuple, list)) and result:
            result = result[0]
        if isinstance(result, dict):
            result = next(iter(result.values()))
        if isinstance(result, Tracer) and result.ndim:
            result = result.sum()
        return result

    def node_of(self, value: Any) -> Node:
        if isinstance(value, (list, tuple)):
            value = as_recorded(value)
        if not isinstance(value, np.ndarray) and not np.isscalar(value):
            raise TraceLost(f"a {type(value).__name__} is not recorded")
        return self.tape.node_of(value)

    # ---- the weights -----------------------------------------------------------------------------

    def recorded_weights(self) -> list[Weight]:
        """The nodes of the weights; single numbers are put in as recorded ones."""
        weights = []
        for parameter in self.user.parameters:
            for box, key, label in places(self.user.network, parameter):
                value = child(box, key) if isinstance(key, str) else box[key]
                if not isinstance(value, Tracer):
                    if not isinstance(value, (int, float, np.number)):
                        raise TraceLost(f"{label} holds {type(value).__name__}")
                    value = traced(np.array(float(value)), self.tape.leaf("state", float(value)))
                    put(box, key, value)
                node = self.tape.node_of(value)
                node.kind = "parameter" if node.function is None else node.kind
                node.name = node.name or label
                weights.append(
                    Weight(label, parameter.kind, parameter.layer, node, path=str(parameter.path))
                )
                if len(weights) > MOST_NUMBERS:
                    raise TraceLost("too many weights that are single numbers")
        return weights

    def finals(self, scene: Scene, arrays: Sequence[Any]) -> None:
        """Note which nodes the weights' gradients, or their new values, are."""
        by_path: dict[str, list[Weight]] = {}
        for weight in scene.weights:
            by_path.setdefault(weight.path, []).append(weight)
        for parameter, array in zip(self.user.parameters, arrays, strict=True):
            members = by_path[str(parameter.path)]
            if array is None:
                continue
            if len(members) == 1:
                members[0].final = self.tape.node_of(np.asarray(array))
            elif np.size(array) == sum(m.start.value.size for m in members):
                flat, at = np.ravel(array), 0
                for member in members:
                    size = member.start.value.size
                    part = flat[at : at + size].reshape(member.start.value.shape)
                    member.final = self.tape.node_of(np.array(part))
                    at += size

    def film_step(self, scene: Scene, x: Any, y: Any) -> None:
        user = self.user
        told = user.adapter.learning_rate
        rate = RATE if user.rate_is_free else None
        scene.rate = rate if rate is not None else told if isinstance(told, float) else None
        if user.primed:
            user.prime(x, y)
        user.set_rate(rate)
        given = rate if rate is not None else 0.1
        before = user.read()
        result = user.call(user.train_step, x, y, given)  # type: ignore[arg-type]
        self.tape.phase = "after"
        after = user.read()
        leaves = [leaf for leaf in flatten(result) if np.ndim(leaf[1]) > 0]
        moved = not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        if not moved and len(leaves) == len(before):
            returned = order_leaves(leaves, user.parameters, before, nearest=True)
            self.finals(scene, returned)
        else:
            self.live_finals(scene)

    def live_finals(self, scene: Scene) -> None:
        """The nodes of the weights where the network keeps them now."""
        weights = iter(scene.weights)
        for parameter in self.user.parameters:
            for box, key, _ in places(self.user.network, parameter):
                value = child(box, key) if isinstance(key, str) else box[key]
                weight = next(weights)
                if np.size(value) == weight.start.value.size:
                    weight.final = self.node_of(value)


@dataclass(frozen=True)
class Data:
    """Samples or targets, recorded in the form that the user gave them."""

    tape: Tape
    kind: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", [])
        object.__setattr__(self, "form", None)

    nodes: list[Node] = None  # type: ignore[assignment]
    form: Any = None

    def recorded(self, data: Any) -> Any:
        made = self.inside(data)
        object.__setattr__(self, "form", self.shape_of(made))
        return made

    def inside(self, data: Any) -> Any:
        if isinstance(data, list):
            return [self.inside(item) for item in data]
        if isinstance(data, tuple):
            return tuple(self.inside(item) for item in data)
        if hasattr(data, "__array_namespace__") and not isinstance(data, (np.ndarray, np.generic)):
            data = np.array(to_host(data))
        if isinstance(data, np.ndarray) and data.dtype.kind in "fiub":
            array = data.astype(np.float64) if data.dtype.kind == "f" else np.array(data)
            node = self.tape.leaf(self.kind, array, "x" if self.kind == "input" else "y")
            self.nodes.append(node)
            return traced(array, node, isinstance(data, np.matrix))
        if isinstance(data, (int, float, np.number)) and not isinstance(data, bool):
            array = np.array(data)
            node = self.tape.leaf(self.kind, array)
            self.nodes.append(node)
            return traced(array, node)
        return data

    def shape_of(self, made: Any) -> Any:
        if isinstance(made, (list, tuple)):
            return [self.shape_of(item) for item in made]
        return made.node if isinstance(made, Tracer) else made

    def values(self, column: Column) -> Any:
        """The data in one run."""

        def filled(form: Any) -> Any:
            if isinstance(form, list):
                return np.asarray([filled(item) for item in form])
            return column.of(form) if isinstance(form, Node) else form

        return filled(self.form)


def telling(samples: Samples) -> int:
    """A sample of which not all inputs are zero."""
    return int(np.argmax(np.abs(samples.inputs).max(axis=1) > 0))


def places(network: Any, parameter: Parameter) -> Iterator[tuple[Any, Any, str]]:
    """(container, key, label) of every array or number that a parameter's path leads to."""

    def down(node: Any, parts: list[str], label: str) -> Iterator[tuple[Any, Any, str]]:
        part, rest = parts[0], parts[1:]
        keys = [str(i) for i in range(len(node))] if part == "*" else [part]
        for key in keys:
            name = f"{label}.{key}" if label else key
            if rest:
                yield from down(child(node, key), rest, name)
            else:
                yield from numbers(node, key, name)

    def numbers(box: Any, key: Any, label: str) -> Iterator[tuple[Any, Any, str]]:
        value = child(box, key) if isinstance(key, str) else box[key]
        if isinstance(value, (list, tuple)):
            for index in range(len(value)):
                yield from numbers(value, index, f"{label}[{index}]")
        else:
            yield box, key, label

    yield from down(network, str(parameter.path).split("."), "")


def put(box: Any, key: Any, value: Any) -> None:
    """Put a value under a key, an index or a name."""
    if isinstance(box, dict):
        box[key if key in box else int(key)] = value
    elif isinstance(box, list):
        box[int(key)] = value
    elif isinstance(box, tuple):
        raise TraceLost("a number in a tuple")
    else:
        setattr(box, key, value)


def attempted(call: Callable[[], Scene]) -> Scene | None:
    """A scene, or None if the network cannot be recorded."""
    with contextlib.suppress(TraceLost):
        return call()
    return None
