"""Networks that report the loss as scikit-learn computes it, and its initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.network.initializers import Initializer, empty_vector
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.passes import batch_shares
from anyarray_mlp.typing import Array, Host, Leaves, Namespace

#: Smaller than every nonzero count and within float32's range: replaces zero in a logarithm.
TINY = 1e-30


@dataclass(frozen=True)
class CountedMLP(MLP):
    """An `MLP` whose loss value is scikit-learn's, with the gradient unchanged.

    The squared error of several outputs is averaged over them (the gradient is that of the sum); the Poisson loss is
    the deviance, which adds t log t - t (for log t!).
    """

    def loss_and_grad(
        self,
        xp: Namespace,
        leaves: Leaves,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        **options: Any,
    ) -> tuple[Array, Leaves]:
        """As in `MLP.loss_and_grad`."""
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

    def losses(self, xp: Namespace, leaves: Leaves, x: Array, targets: Array) -> Array:
        """As in `MLP.losses`."""
        return self.counted(xp, super().losses(xp, leaves, x, targets), targets)

    def outputs_and_losses(
        self, xp: Any, leaves: Leaves, x: Array, targets: Array
    ) -> tuple[Array, Array]:
        """As `MLP.outputs_and_losses`."""
        outputs, losses = super().outputs_and_losses(xp, leaves, x, targets)
        return outputs, self.counted(xp, losses, targets)

    def counted(self, xp: Any, losses: Array, targets: Array) -> Array:
        """Losses (n,) of `MLP` as scikit-learn counts them."""
        if self.loss == "poisson":
            return losses + deviance_offset(xp, targets)
        return losses / self.sizes[-1]


def deviance_offset(xp: Namespace, targets: Array) -> Array:
    """sum_k (t log t - t) of each sample (n,), with 0 log 0 = 0."""
    return xp.sum(targets * xp.log(xp.maximum(targets, TINY)) - targets, axis=1)


def counts_otherwise(output: str, loss: str, n_outputs: int) -> bool:
    """Whether scikit-learn computes this loss value differently from `MLP`."""
    return loss == "poisson" or (loss == "squared_error" and output == "identity" and n_outputs > 1)


def initial_parameters(
    network: MLP,
    initializer: str | Initializer,
    activation: str | Sequence[str],
    random_state: np.random.RandomState,
) -> Host:
    """The parameters (p,) that training starts from.

    "scikit-learn" draws, layer by layer, weights and then biases uniformly within Glorot's bound, whose
    factor is 2 for a logistic activation and 6 for others; the output layer uses the factor of the last `activation`,
    even without a hidden layer. Any other initialiser is this package's, with a seed drawn from `random_state` and
    zero biases.
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
    """A seed for this package's own generators."""
    return int(random_state.randint(2**31 - 1))
