"""The gradients of a script that computes them and changes no weight: found by their names, `dW1` for `W1`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from anyarray_mlp.backprop.scripts.weights import Found
from anyarray_mlp.backprop.tracing.source import name_of, operand_texts
from anyarray_mlp.backprop.tracing.tape import Node, ancestors

#: A gradient's name is made of its weight's with one of these.
GRADIENT = re.compile(
    r"(?i)(?:(?:d|grad|grads|gradient|delta|deriv|derivative|nabla)_?(?P<after>\w+)"
    r"|(?P<before>\w+?)_?(?:grad|grads|gradient|diff|deriv|derivative))"
)
LAST_NAME = re.compile(r"(\w+)(?:['\"]?\])?$")


def named_gradients(nodes: Sequence[Node]) -> list[Found]:
    """Values that have the name and the size of a weight's gradient, and are made of that weight's network."""
    weights: dict[str, Node] = {}
    readers: dict[Node, Node] = {}
    for node in nodes:
        texts = operand_texts(node)
        for place, operand in enumerate(node.operands):
            readers.setdefault(operand, node)
            read_as = LAST_NAME.search(texts[place]) if place < len(texts) else None
            for name in (last_name(operand), read_as[1] if read_as else ""):
                if name and operand.is_float and operand.value.ndim:
                    weights.setdefault(name, operand)
    found: dict[Node, Found] = {}
    for node in nodes:
        for name in weights_of(last_name(node)):
            weight = weights.get(name)
            if weight is None or weight not in readers or readers[weight].index >= node.index:
                continue
            if node.is_float and node.value.size == weight.value.size and node is not weight:
                found.setdefault(weight, Found(weight, node, readers[weight], node))
    starts = set(found)
    return [
        f
        for f in found.values()
        # dZ1 is the gradient of a value that is made of weights.
        if starts & ancestors([f.final]) and not (starts - {f.start}) & ancestors([f.start])
    ]


def last_name(node: Node) -> str:
    """The last part of the name that a value is given: `W1` of `self.params['W1']`."""
    told = LAST_NAME.search(name_of(node))
    return told[1] if told else ""


def weights_of(name: str) -> Iterator[str]:
    """The names that the weight of a gradient of this name may have."""
    told = GRADIENT.fullmatch(name)
    if told:
        yield told["after"] or told["before"]
