"""Networks that report the loss as scikit-learn counts it, and the initial weights it draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.network.initializers import Initializer, empty_vector
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.passes import batch_shares
from anyarray_mlp.typing import Array, Host, Leaves

#: Below every count that is not zero, within float32's range: stands in for zero under a logarithm.
TINY = 1e-30


@dataclass(frozen=True)
class CountedMLP(MLP):
    """An `MLP` whose loss value follows scikit-learn's count, with the gradient unchanged.

    Squared error over several outputs is averaged over them (the gradient belongs to the sum); Poisson's loss
    includes log t! by t log t - t, its deviance.
    """

    def loss_and_grad(
        self,
        xp: Any,
        leaves: Leaves,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        **options: Any,
    ) -> tuple[Array, Leaves]:
        """As `MLP.loss_and_grad`."""
        loss, grad = super().loss_and_grad(xp, leaves, x, targets, sample_weight, **options)
        share, decay = batch_shares(xp, x.shape[0], sample_weight, options.get("alpha", 0.0))
        if self.loss == "poisson":
            return loss + xp.sum(deviance_offset(xp, targets) * share), grad
        k = self.sizes[-1]
        loss = loss / k
        if options.get("alpha"):
            for w in self.layout.unpack(xp, leaves)[0]:
                loss = loss + xp.sum(w * w) * (decay * 0.5 * (1.0 - 1.0 / k))
        return loss, grad

    def losses(self, xp: Any, leaves: Leaves, x: Array, targets: Array) -> Array:
        """As `MLP.losses`."""
        losses = super().losses(xp, leaves, x, targets)
        if self.loss == "poisson":
            return losses + deviance_offset(xp, targets)
        return losses / self.sizes[-1]


def deviance_offset(xp: Any, targets: Array) -> Array:
    """sum_k (t log t - t) of each sample (n,), 0 log 0 being 0."""
    return xp.sum(targets * xp.log(xp.maximum(targets, TINY)) - targets, axis=1)


def counts_otherwise(output: str, loss: str, n_outputs: int) -> bool:
    """Whether scikit-learn counts this loss in another way than `MLP` does."""
    return loss == "poisson" or (loss == "squared_error" and output == "identity" and n_outputs > 1)


def initial_parameters(
    network: MLP,
    initializer: str | Initializer,
    activation: str | Sequence[str],
    random_state: np.random.RandomState,
) -> Host:
    """The parameters (p,) that training starts from.

    "scikit-learn" draws, layer by layer, weights and then biases uniformly within Glorot's bound, whose factor
    is 2 for a logistic activation and 6 for others; the output's layer takes the last `activation`'s, be
    there a hidden layer or not. Any other initialiser is the library's, its seed drawn from `random_state`; biases
    are then zero.
    """
    if initializer != "scikit-learn":
        return network.initialize(draw_seed(random_state), initializer)
    vector = empty_vector(network.layout)
    parts = network.layout.split(vector)
    n = network.layout.n_layers
    names = [activation] if isinstance(activation, str) else list(activation) or ["identity"]
    for layer, (fan_in, fan_out) in enumerate(network.layout.shapes[:n]):
        factor = 2.0 if names[min(layer, len(names) - 1)] == "logistic" else 6.0
        bound = math.sqrt(factor / (fan_in + fan_out))
        parts[layer][...] = random_state.uniform(-bound, bound, (fan_in, fan_out))
        parts[n + layer][...] = random_state.uniform(-bound, bound, fan_out)
    return vector


def draw_seed(random_state: np.random.RandomState) -> int:
    """A seed for the library's own generators."""
    return int(random_state.randint(2**31 - 1))
