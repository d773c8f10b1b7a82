"""`Shape`: the network between the inputs and the outputs that the data have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anyarray_mlp.checking.settings import (
    Name,
    Names,
    Number,
    Whole,
    check_settings,
    setting,
)
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
from anyarray_mlp.network.losses import LOSS_NAMES
from anyarray_mlp.pipeline.kinds import (
    Sizes,
)


def find_activation(value: Any) -> str:
    """The canonical name of an activation."""
    from anyarray_mlp.network import registry

    return registry.find_activation(value)


def find_loss(value: Any) -> str:
    """The canonical name of a loss."""
    from anyarray_mlp.network import registry

    return registry.find_loss(value)


def one_of(names: Iterable[str]) -> str:
    """Names as a help text lists them: a, b or c."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


@dataclass(frozen=True)
class Shape:
    """The network between the inputs and the outputs that the data have, as the arguments of `MLP`.

    Attributes
    ----------
    hidden_layer_sizes : units of the hidden layers.
    activation : one name, or one for each hidden layer.
    output : None: softmax for classes, logistic for labels, identity for numbers.
    loss : "auto" takes what belongs to the output.
    dropout : probability of dropping a hidden unit in training.
    members : networks that are trained together, each with a seed and held-out rows of its own; the model's answer is
        the mean of theirs.
    """

    hidden_layer_sizes: tuple[int, ...] = setting(
        (100,),
        Sizes(),
        "Units of the hidden layers, as 300,75; none for no hidden layer.",
        key="hidden",
    )
    activation: str | Sequence[str] = setting(
        "relu",
        Names("activation", ACTIVATIONS, alone=True, find=find_activation),
        f"{one_of(ACTIVATIONS)}; one, or one for each layer.",
    )
    output: str | None = setting(
        None,
        Name("output", OUTPUTS),
        f"{one_of(OUTPUTS)}; what fits the task by default.",
    )
    loss: str = setting(
        "auto",
        Name("loss", ("auto", *LOSS_NAMES), find=find_loss),
        f"{one_of(LOSS_NAMES)}; huber:DELTA and quantile:LEVEL; auto takes what belongs to the output.",
    )
    dropout: float = setting(
        0.0, Number(high=1.0), "Probability of dropping a hidden unit in training."
    )
    members: int = setting(
        1,
        Whole(1),
        "Networks to train together, each with held-out rows of its own; the answer is the mean of theirs.",
        show_default=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)
