"""The present weights of an estimator, and the network that they describe.

Fitting sets both. But as in scikit-learn, `coefs_` and `intercepts_` may also be set by hand: read from a file,
averaged over estimators, taken from another library, pruned. So predictions use the public attributes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp.errors import UsageError
from anyarray_mlp.estimators.placement import backend_at, dtype_name, place_of, to_host
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Array, Leaves


def weights_of(estimator: Any) -> Leaves:
    """`coefs_` and `intercepts_` on their device, all in one dtype: float64 unless all are float32."""
    leaves = (*estimator.coefs_, *estimator.intercepts_)
    dtypes = {getattr(leaf, "dtype", None) for leaf in leaves}
    if len(dtypes) == 1 and dtype_name(leaves[0]) in ("float32", "float64"):
        return leaves
    backend = backend_at(place_of(leaves[0]), "float64")
    return tuple(backend.asarray(np.asarray(to_host(leaf), dtype=np.float64)) for leaf in leaves)


def present_network(estimator: Any, weights: Leaves) -> MLP:
    """The network that an estimator's weights describe.

    It is the fitted one, unless `coefs_`, `intercepts_`, `activation` or `out_activation_` say otherwise.
    Raises `UsageError` if the layers' shapes do not fit each other.
    """
    network: MLP | None = getattr(estimator, "_network", None)
    shapes = tuple(tuple(leaf.shape) for leaf in weights)
    activation, output = estimator.activation, estimator.out_activation_
    n_hidden = len(estimator.coefs_) - 1
    names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    if network is not None and (shapes, names, output) == (
        network.layout.shapes,
        network.activation,
        network.output,
    ):
        return network
    coefs = shapes[: n_hidden + 1]
    if all(len(shape) == 2 for shape in coefs):
        made = MLP((coefs[0][0], *(shape[1] for shape in coefs)), names, output)
        if made.layout.shapes == shapes:
            return made
    raise UsageError(
        f"coefs_ and intercepts_ of shapes {shapes} do not form a network: each layer's weights must have "
        "shape (inputs, units), with as many inputs as the previous layer has units, and its intercepts (units,)."
    )


def layer_outputs(estimator: Any, x: Array) -> list[Array]:
    """The outputs of each layer for x (n, i), predictions last: arrays (n, units) on the weights' device."""
    weights = weights_of(estimator)
    network = present_network(estimator, weights)
    backend = backend_at(place_of(weights[0]), dtype_name(weights[0]))
    with backend.on_device():
        return [a for _, a in network.layers(backend.xp, weights, x)]
