"""`MLP`: the frozen description of a network, and its forward and backward passes.

The passes are pure functions of (namespace, leaves, batch) and run on any arithmetic; see
`anyarray_mlp.network.layout` for the leaves, and `functional`, `losses` and `dropping` beside it for every formula.
Given the leaves of a stack of k networks they are those of all its members: x (k, n, i), targets (k, n, ...), outputs
(k, n, ...), losses (k, n). What has an axis of 1 in place of k is the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.records import (
    RecordError,
    model_file,
)
from anyarray_mlp.checking.values import (
    check_boolean,
    check_whole,
    is_whole,
    items,
    refuse,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.before import (
    layer_of,
)
from anyarray_mlp.network.checks import check_batch, check_shapes
from anyarray_mlp.network.description import (
    CONFIG,
    CONFIG_FIELDS,
    MORE_FIELDS,
    checked_before,
    checked_rate,
    per_layer,
    plain,
)
from anyarray_mlp.network.functional import OUTPUTS, Vjp
from anyarray_mlp.network.initializers import Initializer, initialize
from anyarray_mlp.network.layers import (
    Dense,
    Dropout,
    Function,
    Layer,
    Parametric,
)
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.network.losses import one_hot, output_and_losses, output_loss
from anyarray_mlp.network.members import (
    Factors,
    Heads,
    Members,
    mean_losses,
    mean_outputs,
    repeated,
)
from anyarray_mlp.network.passes import (
    Part,
    Strength,
    forward,
    gradients_by_sample,
    input_gradient,
    logits,
    loss_and_grad,
)
from anyarray_mlp.network.registry import (
    check_pair,
    default_loss,
    find_activation,
    find_loss,
)
from anyarray_mlp.network.row import (
    Row,
    row_of,
    start_others,
    widest_of,
)
from anyarray_mlp.typing import Array, Host, Leaves, Namespace


@with_known_options
@dataclass(frozen=True)
class MLP:
    """A multilayer perceptron: sizes, activation of each hidden layer, output and loss.

    Parameters
    ----------
    sizes : units of every layer, inputs first and outputs last: (784, 300, 10).
    activation : a name of `functional.ACTIVATIONS` for all hidden layers, or one for each; your own comes from
        `register_activation`.
    output : "identity", "logistic", "softmax" or "exp".
    loss : a name of `losses.LOSS_NAMES`, "huber:DELTA", "quantile:LEVEL", or what `register_loss` gave; "auto"
        takes the one that belongs to the output.
        Names may be those of other libraries ("sigmoid", "ReLU", "mse"; see `names.ALIASES`); what is kept is ours.
    dropout : probability of dropping a hidden unit in training, one for all hidden layers or one for each.
    bias : whether dense layers have biases.
    before : layers that inputs go through before the first dense layer, in this order: `Periodic()`, `Scale()`.
    parametric : whether each hidden unit trains how far its activation bends: z + alpha (f(z) - z), from alpha = 1.
    members : how many networks it is, which share their weights but for factors of inputs and outputs, biases and last
        layers (TabM, Gorishniy et al. 2024). The loss is the mean of theirs, and so are the outputs.

    Raises `UsageError` where a name is unknown, a size impossible, or output and loss do not go together.
    """

    sizes: Sequence[int]
    activation: str | Sequence[str] = "relu"
    output: str = "softmax"
    loss: str = "auto"
    dropout: float | Sequence[float] = 0.0
    bias: bool = True
    before: Sequence[Layer] = ()
    parametric: bool = False
    members: int = 1

    def __post_init__(self) -> None:
        what = "a list of at least inputs and outputs, each a positive integer"
        sizes = items("sizes", self.sizes, what)
        if len(sizes) < 2 or not all(is_whole(size) and size >= 1 for size in sizes):
            refuse("sizes", what, sizes)
        hidden = len(sizes) - 2
        activation = per_layer("activation", self.activation, hidden, find_activation)
        rates = per_layer("dropout", self.dropout, hidden, checked_rate)
        output = find_name("output", self.output, OUTPUTS)
        check_boolean("bias", self.bias)
        check_boolean("parametric", self.parametric)
        members = check_whole("members", self.members, 1)
        loss = find_loss(self.loss)
        loss = default_loss(output) if loss == "auto" else loss
        check_pair(output, loss)
        if output == "softmax" and sizes[-1] < 2:
            raise UsageError(
                "A softmax over 1 output is always 1: give one output for each class, or use output='logistic'."
            )
        checked: dict[str, Any] = {
            "sizes": tuple(int(size) for size in sizes),
            "activation": activation,
            "output": output,
            "loss": loss,
            "dropout": rates,
            "before": checked_before(self.before),
            "members": members,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        width = checked["sizes"][0]
        for layer in checked["before"]:
            layer.parameters(width)  # refuses what does not fit
            width = layer.units(width)

    def __repr__(self) -> str:
        """The fields of every network, and those of others where they are not as in a plain one."""
        told = (f"{name}={value!r}" for name, value in self.described().items())
        return f"{type(self).__name__}({', '.join(told)})"

    def described(self) -> dict[str, Any]:
        """The fields by name; of those that a plain network does not have, only what it has."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name in CONFIG_FIELDS
        }

    @property
    def is_plain(self) -> bool:
        """Whether its layers are dense layers, activations and dropout alone."""
        return not self.before and not self.parametric and self.members == 1

    @cached_property
    def widest(self) -> int:
        """The most values that a layer takes or makes of a row of inputs: of members, those of all."""
        return widest_of(self.row, self.sizes[0], len(self.before), self.members)

    @cached_property
    def row(self) -> Row:
        """The layers that it is a row of."""
        blocks: list[tuple[list[Layer], list[Layer]]] = [
            (layers, []) for layers in self.linear_layers()
        ]
        blocks[0][0][:0] = self.before
        kind = Parametric if self.parametric else Function
        rates: Any = self.dropout
        for (_, following), activation, rate in zip(blocks, self.activation, rates, strict=False):
            following.append(kind(activation))
            if rate > 0:
                following.append(Dropout(rate, self.members))
        return row_of(self.sizes[0], blocks)

    def linear_layers(self) -> Iterator[list[Layer]]:
        """What makes each layer's values: a dense layer, and factors of members around it."""
        k, bias, outputs = self.members, self.bias, self.sizes[1:]
        for place, units in enumerate(outputs):
            if k == 1:
                yield [Dense(units, bias)]
                continue
            enter = Members(k) if place == 0 else Factors("factors_in", k)
            if place == len(outputs) - 1:
                yield [enter, Heads(units, bias, k)] if place == 0 else [Heads(units, bias, k)]
            else:
                yield [enter, Dense(units, bias=False), Factors("factors_out", k, bias)]

    @cached_property
    def layout(self) -> Layout:
        """Where each weight and bias lies in the leaves, and what else there is."""
        return Layout(tuple(self.sizes), self.bias, () if self.is_plain else self.row.parameters)

    @property
    def dropout_layers(self) -> tuple[int, ...]:
        """Hidden layers that drop units."""
        return tuple(layer for layer, rate in enumerate(self.dropout) if rate > 0)  # type: ignore[arg-type]

    def initialize(
        self, seed: int = 0, initializer: str | Initializer = "auto"
    ) -> NDArray[np.float64]:
        """Initial parameters as a flat host vector (p,) of float64."""
        vector = initialize(
            self.layout, (*self.activation, self.output), seed=seed, initializer=initializer
        )
        if not self.is_plain:
            generator = streams.generator("initial layers", seed)
            start_others(self.row, self.layout.split(vector), generator)
        return vector

    def layers(self, xp: Namespace, leaves: Leaves, x: Array) -> Iterator[tuple[Array, Array]]:
        """Each layer's values (n, units) before and after its function, without dropout."""
        for layer, (z, a) in enumerate(forward(self, xp, self.layout.parts(xp, leaves), x)):
            last = layer == len(self.activation)
            yield z, self.outputs(xp, z)[0] if last else a

    def logits(self, xp: Namespace, leaves: Leaves, x: Array) -> Array:
        """The last layer's values (n, k) before the output function, without dropout."""
        return logits(self, xp, self.layout.parts(xp, leaves), x)

    def predict(self, xp: Namespace, leaves: Leaves, x: Array) -> Array:
        """Outputs (n, k): probabilities under softmax and logistic, values otherwise."""
        return self.outputs(xp, self.logits(xp, leaves, x))[0]

    def losses(self, xp: Namespace, leaves: Leaves, x: Array, targets: Array) -> Array:
        """The loss of each sample (n,), without penalty or dropout."""
        return self.output_loss(xp, self.logits(xp, leaves, x), targets)[0]

    def outputs(self, xp: Namespace, z: Array) -> tuple[Array, Vjp]:
        """Outputs (n, k) of logits z (n, k), and the vjp down to z; of members (n members, k) their mean."""
        function = OUTPUTS[self.output]
        return function(xp, z) if self.members == 1 else mean_outputs(xp, function, z, self.members)

    def output_loss(self, xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
        """Losses (n,) of logits z (n, k), and the vjp down to z; of members (n members, k) their mean."""
        targets = self.encode(xp, targets, z.dtype, z.ndim)
        if self.members == 1:
            return output_loss(xp, self.output, self.loss, z, targets)
        targets = repeated(xp, targets, self.members)
        losses, vjp = output_loss(xp, self.output, self.loss, z, targets)
        return mean_losses(xp, losses, vjp, self.members)

    def outputs_and_losses(
        self, xp: Namespace, leaves: Leaves, x: Array, targets: Array
    ) -> tuple[Array, Array]:
        """What `predict` (n, k) and `losses` (n,) give, to the bit, in one pass."""
        z = self.logits(xp, leaves, x)
        if self.members > 1:
            return self.outputs(xp, z)[0], self.output_loss(xp, z, targets)[0]
        return output_and_losses(xp, self.output, self.loss, z, targets)

    def loss_and_grad(
        self,
        xp: Namespace,
        leaves: Leaves,
        x: Array,
        targets: Array,
        sample_weight: Array | None = None,
        *,
        alpha: Strength = 0.0,
        dropout_keys: Sequence[Array] | None = None,
    ) -> tuple[Array, Leaves]:
        """The batch's mean loss (0-d) and its gradient, in leaves like those given.

        The loss is sum_i w_i loss_i / W + alpha / (2 W) sum of squared weights (biases are spared), where w_i are
        the sample weights (one if there are none) and W their sum: scikit-learn's objective. If W is zero it
        counts as one, without the penalty: a batch whose weights are all zero has no loss and no gradient.
        Of a stack each member's loss, (k,), and the gradient of each.

        Parameters
        ----------
        xp : the arithmetic, `Backend.xp`.
        leaves : the parameters on its device: `training.to_leaves(mlp, backend, vector)` of a vector (p,).
        x : (n, i) of the leaves' dtype.
        targets : (n, k), or integer labels (n,) with cross_entropy.
        sample_weight : (n,) or None.
        alpha : strength of the L2 penalty; of a stack one for all, or k of them.
        dropout_keys : an int32 array, 0-d or of a stack (k,), for each of `dropout_layers`; None trains without
            dropout.
        """
        return loss_and_grad(self, xp, leaves, [(x, targets, sample_weight)], alpha, dropout_keys)

    def loss_and_grad_in_parts(
        self,
        xp: Namespace,
        leaves: Leaves,
        parts: Sequence[Part],
        *,
        alpha: Strength = 0.0,
        dropout_keys: Sequence[Array] | None = None,
    ) -> tuple[Array, Leaves]:
        """`loss_and_grad` of the batch that the parts (x, targets, sample_weight), one under the other, make up.

        The whole batch's to rounding, and to the bit under reproducible arithmetic, however it is cut.
        """
        return loss_and_grad(self, xp, leaves, parts, alpha, dropout_keys)

    def input_gradient(self, xp: Namespace, leaves: Leaves, x: Array, targets: Array) -> Array:
        """The gradient (n, i) of each sample's loss with respect to its inputs, without penalty or dropout."""
        return input_gradient(self, xp, leaves, x, targets, None)

    def output_gradient(
        self, xp: Namespace, leaves: Leaves, x: Array, output: int | Array
    ) -> Array:
        """The gradient (n, i) of an output with respect to the inputs, as for a saliency map.

        `output` is the output's place from 0, or an integer array (n,) of one for each sample, such as its label.
        """
        k = self.sizes[-1]
        places: Any = output
        what = f"a place from 0 to {k - 1}, or an integer array (n,) of one for each sample"
        if is_whole(places):
            if not 0 <= places < k:
                refuse("output", what, output)
            places = xp.full((x.shape[0],), int(places), dtype=xp.int32)
        elif tuple(getattr(places, "shape", ())) != (x.shape[0],):
            refuse("output", what, output)
        return input_gradient(self, xp, leaves, x, None, one_hot(xp, places, k, x.dtype))

    def gradients_by_sample(self, xp: Namespace, leaves: Leaves, x: Array, targets: Array) -> Array:
        """The gradient (n, p) of each sample's loss, without penalty or dropout; parameters as in a flat vector.

        Their mean over the samples is the gradient of `loss_and_grad`. They are worked out some rows at a time and
        take n times the memory of the parameters.
        """
        return gradients_by_sample(self, xp, leaves, x, targets)

    def check_batch(self, x: Host, targets: Host) -> None:
        """Raise `DataError` where host arrays are not what the network and its loss take."""
        check_batch(self.sizes, self.loss, x, targets)

    def check_shapes(self, x: Array, targets: Array) -> None:
        """Raise `DataError` where the shapes of arrays, of any library, are not what the network and its loss take."""
        check_shapes(self.sizes, self.loss, x, targets)

    def to_config(self) -> dict[str, Any]:
        """A JSON-able description, from which `from_config` makes an equal network."""
        return {
            name: [*map(plain, value)] if isinstance(value, tuple) else plain(value)
            for name, value in self.described().items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], source: str = "the description") -> MLP:
        """The network of a description made by `to_config`.

        Raises `ModelFileError`, which names `source`, the field and what it must be, for anything else. Nothing is
        allocated for the sizes.
        """
        with model_file(source):
            CONFIG(config, "config")
            hidden = len(config["sizes"]) - 2
            for name in ("activation", "dropout"):
                each = config.get(name)
                if isinstance(each, list) and len(each) != hidden:
                    raise RecordError(
                        f"config.{name} has {len(each)} entries and must have one for each of {hidden} hidden layers"
                    )
            try:
                known = {**CONFIG_FIELDS, **MORE_FIELDS}
                given = {name: config[name] for name in known if name in config}
                if "before" in given:
                    given["before"] = [*map(layer_of, given["before"])]
                return cls(**given)
            except UsageError as error:  # output, loss and sizes that do not go together
                raise RecordError(f"config is impossible: {error}") from None

    def encode(self, xp: Namespace, targets: Array, dtype: Any, ndim: int = 2) -> Array:
        """Targets (n, k) in the logits' dtype; integer labels become one-hot rows. `ndim` is 3 for a stack's."""
        if targets.ndim < ndim and self.loss == "cross_entropy":
            return one_hot(xp, targets, self.sizes[-1], dtype)
        return targets


def check_network(mlp: Any) -> None:
    """Raise `UsageError` for what is no `MLP`."""
    if not isinstance(mlp, MLP):
        refuse("mlp", "an MLP, such as MLP((784, 100, 10))", mlp)
