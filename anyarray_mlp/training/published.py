"""Published recipes for tables, for those who want to compare: RealMLP-TD and TabM, as networks and how to train them.

What stands here are facts of the papers and of the code that their authors give: sizes, rates and their factors,
schedules, what weights start from. Inputs are expected as the papers prepare them; a category is a block of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.arithmetic import ReproducibleNamespace
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_boolean, check_whole
from anyarray_mlp.errors import DataError
from anyarray_mlp.network.before import Periodic, Scale
from anyarray_mlp.network.by_parameter import with_factors
from anyarray_mlp.network.initializers import host_functions, standard_normal, symmetric
from anyarray_mlp.network.layers import Dense
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import adamw
from anyarray_mlp.training.recipe import Recipe
from anyarray_mlp.typing import Host


class Published(NamedTuple):
    """A network, how it is trained, and the parameters (p,) that it starts from."""

    mlp: MLP
    recipe: Recipe
    initial: Host


#: RealMLP-TD's factors of the learning rate, by the kind of parameter; those of weights are 1.
REALMLP_RATES = {
    "biases": 0.1, "scales": 6.0, "alphas": 0.1, "frequencies": 0.1, "phases": 0.1, "mixing": 0.1, "offsets": 0.1,
}  # fmt: skip


@with_known_options
def realmlp(
    x: Host,
    outputs: int,
    *,
    classes: bool,
    numbers: Sequence[int] | None = None,
    hidden: Sequence[int] = (256, 256, 256),
    epochs: int = 256,
    batch_size: int = 256,
    seed: int = 0,
) -> Published:
    """RealMLP-TD with its tuned defaults (Holzmüller et al., Better by Default, 2024), for rows x (n, i).

    classes : whether the outputs are classes; else they are values, which should be standardised.
    numbers : places of the inputs that are numbers and are embedded; None takes all.

    Left out are its embeddings of categories of more than 8 values, and the clamp of predicted values.
    """
    check_boolean("classes", classes)
    check_whole("outputs", outputs, 1)
    mlp = MLP(
        (x.shape[1], *hidden, outputs),
        "selu" if classes else "mish",
        "softmax" if classes else "identity",
        dropout=0.15,
        before=[Periodic(numbers), Scale()],
        parametric=True,
    )
    steps = -(-x.shape[0] // batch_size) * epochs
    optimizer = adamw(beta_2=0.95, weight_decay=0.02, fades_over=max(1, steps))
    recipe = Recipe(
        optimizer=with_factors(optimizer, mlp, *realmlp_factors(mlp)),
        learning_rate_init=0.04 if classes else 0.2,
        learning_rate="coslog4",
        label_smoothing=0.1 if classes else 0.0,
        dropout_fades=True,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
    )
    return Published(mlp, recipe, fitted_start(mlp, x, seed))


def realmlp_factors(mlp: MLP) -> tuple[list[float], list[float]]:
    """RealMLP's factors of learning rate and weight decay for each array of a network.

    Its weights (i, o) are divided by sqrt(i) where they are used (the neural tangent kernel's parametrisation): trained
    by Adam, that is a factor of 1 / sqrt(i) of the rate, and none of the decay of a step. Of other parameters the code
    of the authors puts the factor of the rate into the decay twice, and so does this; biases do not decay.
    """
    rates, decays = [], []
    for name, shape in zip(mlp.layout.names, mlp.layout.shapes, strict=True):
        kind = name.partition(".")[0]
        rate = shape[-2] ** -0.5 if kind == "weights" else REALMLP_RATES[kind]
        rates.append(rate)
        decays.append({"weights": 1.0 / rate, "biases": 0.0}.get(kind, rate))
    return rates, decays


def fitted_start(mlp: MLP, x: Host, seed: int) -> Host:
    """Parameters (p,) whose dense layers are fitted to rows x (n, i), layer by layer (RealMLP's "std" and "he+5").

    Weights are normal, and each unit's are scaled so that its value has a variance of 1 over the rows. Its bias is
    minus a mean of its value in five rows, weighted at random: it bends somewhere among the rows.
    """
    if x.ndim != 2 or x.shape[0] < 1:
        raise DataError(f"x must be rows (n, i), at least one, got shape {x.shape}.")
    xp: Any = ReproducibleNamespace(np)
    generator = streams.generator("fitted start", seed)
    vector = mlp.initialize(seed)
    parts = mlp.layout.split(vector)
    a = xp.asarray(np.asarray(x, np.float64))
    for layer, inputs, own in mlp.row.placed:
        values = [parts[place] for place in own]
        if isinstance(layer, Dense):
            units = layer.outputs
            values[0][...] = standard_normal(generator, inputs, units) * inputs**-0.5
            z: Any = layer.apply(xp, [xp.asarray(value) for value in values], a, None, 0)[0]
            centred = z - xp.mean(z, axis=0)
            spread = np.sqrt(xp.mean(centred * centred, axis=0).value)
            spread[spread == 0.0] = 1.0
            values[0][...] /= spread
            rows = (generator.bit_generator.random_raw(5 * units) % np.uint64(len(x))).reshape(
                5, -1
            )
            uniform: Any = (1.0 - symmetric(generator, 5, units)) * 0.5
            weight: Any = -host_functions().log(uniform)
            of_rows = np.array(z.value)[rows.astype(np.int64), np.arange(units)] / spread
            values[1][...] = -np.add.reduce(of_rows * weight, axis=0) / np.add.reduce(
                weight, axis=0
            )
        a, _ = layer.apply(xp, [xp.asarray(value) for value in values], a, None, 0)
    return vector


@with_known_options
def tabm(
    x: Host,
    outputs: int,
    *,
    classes: bool,
    members: int = 32,
    hidden: Sequence[int] = (512, 512, 512),
    epochs: int = 100,
    batch_size: int = 256,
    seed: int = 0,
) -> Published:
    """TabM with its defaults and without embeddings (Gorishniy et al., TabM, 2024), for rows x (n, i).

    classes : whether the outputs are classes; else they are values, which should be standardised.
    epochs : at most; its authors stop once 16 epochs have brought nothing: give `fit` a validation set, and
        early_stopping=True with patience=16.
    """
    check_boolean("classes", classes)
    check_whole("outputs", outputs, 1)
    output = "softmax" if classes else "identity"
    mlp = MLP((x.shape[1], *hidden, outputs), "relu", output, dropout=0.1, members=members)
    recipe = Recipe(
        optimizer=adamw(weight_decay=0.0),
        learning_rate_init=2e-3,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
    )
    return Published(mlp, recipe, uniform_start(mlp, seed))


def uniform_start(mlp: MLP, seed: int) -> Host:
    """Parameters (p,) whose weights and biases are uniform within 1 / sqrt(i); hidden biases are the same for all
    members of a network.
    """
    generator = streams.generator("fitted start", seed)
    vector = mlp.initialize(seed, lambda random, i, o: symmetric(random, i, o) * i**-0.5)
    parts, n = mlp.layout.split(vector), mlp.layout.n_layers
    for weights, biases in zip(parts[:n], parts[n : 2 * n], strict=True):
        i, o = weights.shape[-2:]
        k = 1 if weights.ndim == 2 else len(weights)
        biases[...] = symmetric(generator, k, o).reshape(biases.shape if k > 1 else (o,)) * i**-0.5
    return vector
