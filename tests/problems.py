"""Tables of networks and batches that many tests run over."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
from anyarray_mlp.network.losses import FUSED_LOSSES, LOSSES
from anyarray_mlp.network.mlp import MLP

#: Every output with every loss that goes with it.
PAIRS = [*FUSED_LOSSES, *((output, loss) for output in OUTPUTS for loss in LOSSES)]
#: Every activation with every pair.
NETWORKS = [(activation, output, loss) for activation in ACTIVATIONS for output, loss in PAIRS]
#: Every activation once and every pair once, for tests that compile each network.
COVER = [(activation, "softmax", "cross_entropy") for activation in ACTIVATIONS]
COVER += [("tanh", output, loss) for output, loss in PAIRS]


def batch(mlp: MLP, n: int = 6, seed: int = 1) -> tuple[Any, Any, Any]:
    """Inputs (n, i), targets (n, k) that suit every output, and sample weights (n,), in float64."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, mlp.sizes[0]))
    targets = generator.uniform(0.05, 1.0, size=(n, mlp.sizes[-1]))
    if mlp.output == "softmax":
        targets /= targets.sum(axis=1, keepdims=True)
    return x, targets, generator.uniform(0.5, 2.0, size=n)
