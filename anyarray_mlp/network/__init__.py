"""What a network is: its shape, its forward and backward pass, its starting weights and how they are updated."""

from __future__ import annotations

from anyarray_mlp.network.exchange import (
    from_keras_weights,
    from_pytorch_state,
    from_sklearn,
    to_keras_weights,
    to_pytorch_state,
    to_sklearn,
)
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import (
    Optimizer,
    adam,
    adamw,
    frozen,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)
from anyarray_mlp.network.registry import register_activation, register_loss

__all__ = [
    "MLP",
    "Layout",
    "Optimizer",
    "adam",
    "adamw",
    "from_keras_weights",
    "from_pytorch_state",
    "from_sklearn",
    "frozen",
    "momentum",
    "nesterov",
    "register_activation",
    "register_loss",
    "rmsprop",
    "sgd",
    "to_keras_weights",
    "to_pytorch_state",
    "to_sklearn",
]
