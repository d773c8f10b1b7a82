"""What a network is: its shape, its forward and backward pass, its starting weights and how they are updated.

`MLP` describes it; optimisers, schedules of the learning rate and initialisers are made by functions of their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.network.before import Periodic, Scale
    from anyarray_mlp.network.by_parameter import frozen, with_factors
    from anyarray_mlp.network.exchange import (
        from_keras_weights,
        from_pytorch_state,
        from_sklearn,
        to_keras_weights,
        to_pytorch_state,
        to_sklearn,
    )
    from anyarray_mlp.network.initializers import (
        glorot_normal,
        glorot_uniform,
        he_normal,
        he_uniform,
        lecun_normal,
        lecun_uniform,
        normal,
        orthogonal,
        uniform,
        zeros,
    )
    from anyarray_mlp.network.layout import Layout
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.network.optimizers import (
        Optimizer,
        adam,
        adamw,
        momentum,
        nesterov,
        rmsprop,
        sgd,
    )
    from anyarray_mlp.network.registry import register_activation, register_loss
    from anyarray_mlp.network.schedules import (
        ReduceOnPlateau,
        WarmUp,
        constant,
        cosine,
        exponential,
        inverse_scaling,
        step_decay,
    )

#: Where each public name lives.
HOMES = {
    "Layout": "layout",
    "MLP": "mlp",
    "Optimizer": "optimizers",
    "Periodic": "before",
    "ReduceOnPlateau": "schedules",
    "Scale": "before",
    "WarmUp": "schedules",
    "adam": "optimizers",
    "adamw": "optimizers",
    "constant": "schedules",
    "cosine": "schedules",
    "exponential": "schedules",
    "from_keras_weights": "exchange",
    "from_pytorch_state": "exchange",
    "from_sklearn": "exchange",
    "frozen": "by_parameter",
    "glorot_normal": "initializers",
    "glorot_uniform": "initializers",
    "he_normal": "initializers",
    "he_uniform": "initializers",
    "inverse_scaling": "schedules",
    "lecun_normal": "initializers",
    "lecun_uniform": "initializers",
    "momentum": "optimizers",
    "nesterov": "optimizers",
    "normal": "initializers",
    "orthogonal": "initializers",
    "register_activation": "registry",
    "register_loss": "registry",
    "rmsprop": "optimizers",
    "sgd": "optimizers",
    "with_factors": "by_parameter",
    "step_decay": "schedules",
    "to_keras_weights": "exchange",
    "to_pytorch_state": "exchange",
    "to_sklearn": "exchange",
    "uniform": "initializers",
    "zeros": "initializers",
}

__all__ = [
    "MLP",
    "Layout",
    "Optimizer",
    "Periodic",
    "ReduceOnPlateau",
    "Scale",
    "WarmUp",
    "adam",
    "adamw",
    "constant",
    "cosine",
    "exponential",
    "from_keras_weights",
    "from_pytorch_state",
    "from_sklearn",
    "frozen",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "inverse_scaling",
    "lecun_normal",
    "lecun_uniform",
    "momentum",
    "nesterov",
    "normal",
    "orthogonal",
    "register_activation",
    "register_loss",
    "rmsprop",
    "sgd",
    "step_decay",
    "to_keras_weights",
    "to_pytorch_state",
    "to_sklearn",
    "uniform",
    "with_factors",
    "zeros",
]

__getattr__, __dir__ = lazy(__name__, HOMES)
