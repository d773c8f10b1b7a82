"""Healthy training runs on many data sets, and the same runs with one fault planted in each."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import MLP, EarlyStopping
from anyarray_mlp.data import class_weights
from anyarray_mlp.network.initializers import normal
from benchmarks.diagnosis.data_sets import read

Array = NDArray[Any]
Generator = np.random.Generator


@dataclass
class Plan:
    """A run before it is run: data, network and options of `fit`. Planters change a copy."""

    data_set: str
    task: str
    x: Array
    targets: Array
    xv: Array
    tv: Array
    hidden: tuple[int, ...]
    activation: str
    output: str
    options: dict[str, Any]
    loss: str = "auto"
    dropout: float = 0.0
    fault: str = ""
    accept: tuple[str, ...] = ()
    initial: Callable[[MLP], Array] | None = None
    notes: list[str] = field(default_factory=list)

    def network(self) -> MLP:
        k = self.targets.shape[1] if self.targets.ndim == 2 else int(self.classes)
        sizes = (self.x.shape[1], *self.hidden, k)
        return MLP(
            sizes,
            activation=self.activation,
            output=self.output,
            loss=self.loss,
            dropout=self.dropout,
        )

    @property
    def classes(self) -> int:
        return int(max(self.targets.max(), self.tv.max())) + 1

    def fit_options(self) -> dict[str, Any]:
        options = {**self.options, "validation": (self.xv, self.tv)}
        if self.initial is not None:
            options["initial"] = self.initial(self.network())
        return options


#: Steps that a healthy run takes, and hidden units, where the usual 800 and 32 are not what the set needs.
STEPS = {
    "digits": 1500,
    "spirals": 6000,
    "moons": 1500,
    "abs_sine": 3000,
    "letters": 3000,
    "xor": 600,
    "iris": 1000,
    "wine": 500,
    "breast_cancer": 500,
}
WIDTH = {"spirals": 64, "letters": 64, "mnist": 64, "abs_sine": 48}
#: Narrow problems that one learns with adam at a brisk rate; the others get any optimiser.
BRISK = ("spirals", "moons", "abs_sine", "letters")
#: Sets of rare classes, which a network is told to weigh.
WEIGHTED = ("imbalanced",)
#: Small or noisy sets, which a network learns by heart unless it is stopped in time.
NOISY = (
    "heart",
    "diabetes",
    "wine_quality",
    "california",
    "iris",
    "wine",
    "breast_cancer",
    "imbalanced",
)


def generator(*key: Any) -> Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def healthy(name: str, seed: int) -> Plan:
    """A run that somebody who knows the trade would start: scaled data, a fitting network, enough steps."""
    rng = generator("healthy", name, seed)
    task, scaling, x, t = read(name)
    order = rng.permutation(len(x))[:2000]
    x, t = x[order], t[order]
    cut = int(0.75 * len(x))
    x, t, xv, tv = x[:cut], t[:cut], x[cut:], t[cut:]
    if scaling == "standard":
        mean, std = x.mean(axis=0), x.std(axis=0)
        x, xv = (x - mean) / std, (xv - mean) / std
    else:
        top = x.max()
        x, xv = x / top, xv / top
    output, t, tv = encode(task, t, tv)
    batch = int(rng.choice([8, 16, 32, 64]))
    steps_per_epoch = -(-len(x) // batch)
    steps = STEPS.get(name, 800)
    width = WIDTH.get(name, int(rng.choice([16, 32, 50])))
    depth = 2 if name in ("spirals", "abs_sine") else int(rng.integers(1, 3))
    activation = str(rng.choice(["relu", "relu", "tanh", "gelu"]))
    if name == "spirals":
        activation = "relu"
    kinds = [
        ("adam", 3e-3),
        ("adam", 1e-3),
        ("momentum", 0.02),
        ("rmsprop", 1e-3),
        ("nesterov", 0.02),
    ]
    optimizer, rate = kinds[rng.integers(len(kinds))]
    if name in BRISK:
        optimizer, rate = "adam", float(rng.choice([3e-3, 5e-3]))
    options: dict[str, Any] = {
        "optimizer": optimizer,
        "learning_rate_init": rate,
        "batch_size": batch,
        "epochs": max(10, steps // steps_per_epoch),
        "seed": seed,
        "alpha": 0.0 if name == "spirals" else float(rng.choice([0.0, 1e-4, 1e-2])),
    }
    if name in NOISY or rng.random() < 0.3:
        options["early_stopping"] = EarlyStopping(patience=10)
    if name in WEIGHTED:
        options["sample_weight"] = class_weights(t.reshape(-1).astype(int), "balanced")
    return Plan(name, task, x, t, xv, tv, (width,) * depth, activation, output, options)


def varied(name: str, seed: int) -> Plan:
    """A healthy run of another make: deeper, other activations, dropout, AdamW or L-BFGS, stopped in time."""
    plan = healthy(name, seed)
    rng = generator("varied", name, seed)
    width, depth = max(32, plan.hidden[0]), int(rng.integers(1, 5))
    activation = str(rng.choice(["relu", "leaky_relu", "elu", "silu", "softplus", "tanh"]))
    options = {**plan.options, "early_stopping": EarlyStopping(patience=20)}
    optimizer, rate = [("adam", 2e-3), ("adamw", 2e-3), ("nesterov", 0.01), ("lbfgs", 0.0)][
        rng.integers(4)
    ]
    options["optimizer"] = optimizer
    dropout = 0.0
    if optimizer == "lbfgs":
        del options["learning_rate_init"], options["batch_size"]
        options.update(epochs=200, alpha=1.0)
    else:
        options["learning_rate_init"] = rate
        dropout = float(rng.choice([0.0, 0.1, 0.2])) if len(plan.x) > 1000 else 0.0
    if optimizer == "nesterov":
        # It takes its time where the way is long.
        options["epochs"] *= 2
        depth = min(depth, 2)
    return replace(
        plan,
        hidden=(width,) * depth,
        activation=activation,
        options=options,
        dropout=dropout,
    )


def encode(task: str, t: Array, tv: Array) -> tuple[str, Array, Array]:
    if task == "classes":
        return "softmax", t, tv
    if task == "binary":
        return "logistic", (t > 0).astype(float)[:, None], (tv > 0).astype(float)[:, None]
    mean, std = t.mean(), t.std()
    return "identity", ((t - mean) / std)[:, None], ((tv - mean) / std)[:, None]


# --- planters: each takes a healthy plan and its generator, and returns the plan with one fault ---------------


def learning_rate_too_high(plan: Plan, rng: Generator) -> Plan:
    optimizer, rate = [
        ("adam", 1.0),
        ("momentum", 10.0),
        ("sgd", 50.0),
        ("adam", 0.5),
        ("rmsprop", 1.0),
    ][rng.integers(5)]
    return changed(plan, optimizer=optimizer, learning_rate_init=rate)


def learning_rate_too_low(plan: Plan, rng: Generator) -> Plan:
    optimizer, rate = [
        ("adam", 1e-6),
        ("adam", 3e-6),
        ("sgd", 1e-5),
        ("momentum", 3e-6),
        ("sgd", 1e-4),
    ][rng.integers(5)]
    return changed(plan, optimizer=optimizer, learning_rate_init=rate)


def too_few_epochs(plan: Plan, rng: Generator) -> Plan:
    steps_per_epoch = -(-len(plan.x) // plan.options["batch_size"])
    epochs = max(2, int(rng.integers(15, 30)) // steps_per_epoch)
    return changed(plan, optimizer="adam", learning_rate_init=1e-3, epochs=epochs)


def unscaled_inputs(plan: Plan, rng: Generator) -> Plan:
    _, _, raw, _ = read(plan.data_set)
    if plan.data_set in (
        "iris",
        "xor",
        "moons",
        "spirals",
        "abs_sine",
        "diabetes",
        "letters",
        "digits",
    ):
        scale = 10.0 ** rng.uniform(1.5, 4, size=plan.x.shape[1])
        offset = scale * rng.uniform(0, 3, size=plan.x.shape[1])
        return replace(plan, x=plan.x * scale + offset, xv=plan.xv * scale + offset)
    if plan.data_set == "mnist":
        return replace(plan, x=plan.x * 255.0, xv=plan.xv * 255.0)
    mean, std = raw.mean(axis=0), raw.std(axis=0)
    return replace(plan, x=plan.x * std + mean, xv=plan.xv * std + mean)


def unscaled_targets(plan: Plan, rng: Generator) -> Plan:
    scale, offset = 10.0 ** rng.uniform(2, 5), rng.uniform(0, 3)
    return replace(plan, targets=(plan.targets + offset) * scale, tv=(plan.tv + offset) * scale)


def output_cannot_reach_targets(plan: Plan, rng: Generator) -> Plan:
    if plan.task == "values":
        return replace(plan, output="logistic", loss="squared_error")
    if plan.data_set == "heart":
        grades = rng.integers(1, 5, size=len(plan.targets) + len(plan.tv)).astype(float)[:, None]
        n = len(plan.targets)
        t, tv = plan.targets * grades[:n], plan.tv * grades[n:]
        return replace(plan, targets=t, tv=tv, loss="squared_error")
    first = 1.0 if plan.classes == 2 else 0.0
    t, tv = (a.astype(float)[:, None] + first for a in (plan.targets, plan.tv))
    return replace(plan, targets=t, tv=tv, output="logistic", loss="squared_error")


def bad_initial_scale(plan: Plan, rng: Generator) -> Plan:
    kind = rng.integers(4)
    if kind == 0:
        return changed(plan, initializer="zeros")
    if kind == 1:
        return changed(plan, initializer=lambda generator, i, o: np.full((i, o), 0.5))
    if kind == 2:
        return changed(
            plan, initializer=lambda generator, i, o: 20.0 * normal(i**-0.5)(generator, i, o)
        )
    return changed(plan, initializer=normal(1e-5))


def vanishing_gradients(plan: Plan, rng: Generator) -> Plan:
    depth = int(rng.integers(6, 10))
    optimizer, rate = [("sgd", 0.1), ("momentum", 0.05), ("sgd", 0.5)][rng.integers(3)]
    plan = replace(plan, hidden=(16,) * depth, activation="logistic")
    return changed(plan, optimizer=optimizer, learning_rate_init=rate)


def exploding_gradients(plan: Plan, rng: Generator) -> Plan:
    depth = int(rng.integers(8, 12))
    gain = float(rng.uniform(2.0, 2.6)) * 2**0.5
    plan = replace(plan, hidden=(24,) * depth, activation="relu")
    optimizer, rate = [("sgd", 0.01), ("momentum", 0.01), ("adam", 1e-3)][rng.integers(3)]
    return changed(
        plan,
        optimizer=optimizer,
        learning_rate_init=rate,
        initializer=lambda generator, i, o: gain * normal(i**-0.5)(generator, i, o),
    )


def dead_units(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, activation="relu")
    depth = -float(rng.uniform(10, 40))
    share = float(rng.choice([0.9, 1.0]))
    layer = int(rng.integers(len(plan.hidden)))

    def initial(mlp: MLP) -> Array:
        vector = mlp.initialize(plan.options["seed"])
        bias = mlp.layout.split(vector)[mlp.layout.n_layers + layer]
        bias[: round(share * len(bias))] = depth
        return vector

    return replace(plan, initial=initial)


def saturated_units(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, activation=str(rng.choice(["tanh", "logistic"])))
    size = float(rng.uniform(15, 30))

    def initial(mlp: MLP) -> Array:
        vector = mlp.initialize(plan.options["seed"])
        layer = int(rng.integers(len(plan.hidden)))
        bias = mlp.layout.split(vector)[mlp.layout.n_layers + layer]
        bias[...] = size * rng.choice([-1.0, 1.0], size=len(bias))
        return vector

    return replace(plan, initial=initial)


def one_class_predicted(plan: Plan, rng: Generator) -> Plan:
    """The output's biases start far off, so that one class wins every row and stays ahead."""
    favoured = int(rng.integers(plan.classes)) if plan.output == "softmax" else 0

    def initial(mlp: MLP) -> Array:
        vector = mlp.initialize(plan.options["seed"])
        bias = mlp.layout.split(vector)[2 * mlp.layout.n_layers - 1]
        bias[favoured] = 60.0
        return vector

    plan = replace(plan, initial=initial)
    return changed(plan, optimizer="adam", learning_rate_init=1e-3)


def class_imbalance(plan: Plan, rng: Generator) -> Plan:
    """One class keeps 3 % of its rows, and its rows are blurred so that it is not learned for free."""
    classes = plan.targets.reshape(-1).astype(int)
    rare = 1 if plan.task == "binary" else int(rng.integers(plan.classes))
    keep = (classes != rare) | (rng.random(len(classes)) < 0.03)
    first = np.flatnonzero(classes == rare)[:3]
    keep[first] = True
    x, xv = (a + plan.x.std() * rng.standard_normal(a.shape) for a in (plan.x, plan.xv))
    if plan.task == "classes" and plan.classes > 2:
        # two classes: the rare one against the rest
        t, tv = ((a == rare).astype(np.int64) for a in (plan.targets, plan.tv))
    else:
        t, tv = plan.targets, plan.tv
    return replace(plan, x=x[keep], targets=t[keep], xv=xv, tv=tv)


def overfitting(plan: Plan, rng: Generator) -> Plan:
    n = int(rng.integers(50, 90))
    x, t = plan.x[:n], plan.targets[:n]
    t = t.copy()
    wrong = rng.choice(n, n // 5, replace=False)
    t[wrong] = t[rng.permutation(wrong)]
    options = {**plan.options, "optimizer": "adam", "learning_rate_init": 3e-3, "alpha": 0.0}
    options.update(batch_size=16, epochs=300)
    options.pop("early_stopping", None)
    return replace(plan, x=x, targets=t, hidden=(200, 100), activation="relu", options=options)


def underfitting(plan: Plan, rng: Generator) -> Plan:
    hidden = () if plan.data_set in ("xor", "moons", "spirals") and rng.random() < 0.5 else (1,)
    plan = replace(plan, hidden=hidden, activation="tanh")
    plan.options.pop("early_stopping", None)
    return changed(
        plan, optimizer="adam", learning_rate_init=1e-2, epochs=2 * plan.options["epochs"]
    )


def shuffled_labels(plan: Plan, rng: Generator) -> Plan:
    return replace(
        plan,
        targets=plan.targets[rng.permutation(len(plan.targets))],
        tv=plan.tv[rng.permutation(len(plan.tv))],
    )


def wrong_validation_labels(plan: Plan, rng: Generator) -> Plan:
    return replace(plan, tv=(plan.tv + 1) % plan.classes)


def leaking_column(plan: Plan, rng: Generator) -> Plan:
    def leak(x: Array, t: Array) -> Array:
        values = t.reshape(len(t), -1)[:, :1].astype(float)
        values = values + 0.01 * rng.standard_normal(values.shape)
        return np.concatenate([x, values], axis=1)

    return replace(plan, x=leak(plan.x, plan.targets), xv=leak(plan.xv, plan.tv))


def constant_column(plan: Plan, rng: Generator) -> Plan:
    value, count = float(rng.choice([0.0, 1.0])), int(rng.integers(1, 4))
    x, xv = (
        np.concatenate([a, np.full((len(a), count), value)], axis=1) for a in (plan.x, plan.xv)
    )
    return replace(plan, x=x, xv=xv)


def duplicate_column(plan: Plan, rng: Generator) -> Plan:
    column = int(np.argmax(plan.x.std(axis=0)))
    factor = float(rng.choice([1.0, 2.0]))
    x, xv = (np.concatenate([a, factor * a[:, [column]]], axis=1) for a in (plan.x, plan.xv))
    return replace(plan, x=x, xv=xv)


def batch_too_large(plan: Plan, rng: Generator) -> Plan:
    plan.options.pop("early_stopping", None)
    return changed(
        plan,
        batch_size=len(plan.x),
        epochs=int(rng.integers(10, 30)),
        optimizer="adam",
        learning_rate_init=1e-3,
    )


def batch_too_small(plan: Plan, rng: Generator) -> Plan:
    optimizer, rate = [("momentum", 0.05), ("adam", 0.03), ("momentum", 0.1)][rng.integers(3)]
    plan.options.pop("early_stopping", None)
    return changed(plan, batch_size=1, epochs=3, optimizer=optimizer, learning_rate_init=rate)


def sentinel_values(plan: Plan, rng: Generator) -> Plan:
    """A tenth of a column's entries is -999 or the like, and the column is standardised with them."""
    column = int(np.argmax([len(np.unique(values)) for values in plan.x.T]))
    x, xv = plan.x.copy(), plan.xv.copy()
    width = x[:, column].max() - x[:, column].min()
    value = x[:, column].min() - float(rng.uniform(3, 50)) * width
    for a in (x, xv):
        a[rng.random(len(a)) < 0.1, column] = value
    mean, std = x[:, column].mean(), x[:, column].std()
    for a in (x, xv):
        a[:, column] = (a[:, column] - mean) / std
    return replace(plan, x=x, xv=xv)


def target_outliers(plan: Plan, rng: Generator) -> Plan:
    """A few targets a thousand times too large, as by mistyping, before they are standardised."""
    t = plan.targets.copy()
    wrong = rng.choice(np.flatnonzero(np.abs(t[:, 0]) > 0.5), max(1, len(t) // 300), replace=False)
    t[wrong] *= 1000.0
    mean, std = t.mean(), t.std()
    return replace(plan, targets=(t - mean) / std, tv=(plan.tv - mean) / std)


def identifier_column(plan: Plan, rng: Generator) -> Plan:
    """The row's number as a column, standardised as the others are."""
    n = len(plan.x)
    number = rng.permutation(n + len(plan.xv)).astype(float)[:, None]
    number = (number - number.mean()) / number.std()
    x, xv = (np.concatenate(p, axis=1) for p in ((plan.x, number[:n]), (plan.xv, number[n:])))
    return replace(plan, x=x, xv=xv)


def missing_class(plan: Plan, rng: Generator) -> Plan:
    keep = plan.targets != int(rng.integers(plan.classes))
    return replace(plan, x=plan.x[keep], targets=plan.targets[keep])


def validation_unlike_training(plan: Plan, rng: Generator) -> Plan:
    """Validation rows as they were before scaling."""
    scale, offset = float(10.0 ** rng.uniform(1, 2)), float(rng.uniform(0, 3))
    if plan.data_set in ("digits", "mnist"):
        offset = 0.0
    return replace(plan, xv=(plan.xv + offset) * scale)


def repeated_rows(plan: Plan, rng: Generator) -> Plan:
    """Half of the validation rows are training rows."""
    half = len(plan.xv) // 2
    rows = rng.choice(len(plan.x), half, replace=False)
    xv, tv = plan.xv.copy(), plan.tv.copy()
    xv[:half], tv[:half] = plan.x[rows], plan.targets[rows]
    return replace(plan, xv=xv, tv=tv)


def unshuffled_rows(plan: Plan, rng: Generator) -> Plan:
    order = np.argsort(plan.targets.reshape(-1), kind="stable")
    plan = replace(plan, x=plan.x[order], targets=plan.targets[order])
    return changed(plan, shuffle=False)


def dropout_too_strong(plan: Plan, rng: Generator) -> Plan:
    plan.options.pop("early_stopping", None)
    plan = replace(plan, dropout=float(rng.uniform(0.9, 0.97)))
    return changed(plan, optimizer="adam", learning_rate_init=2e-3)


def l2_too_strong(plan: Plan, rng: Generator) -> Plan:
    strength = float(10.0 ** rng.uniform(0.3, 1.5))
    plan.options.pop("early_stopping", None)
    return changed(plan, alpha=strength * plan.options["batch_size"])


def validation_too_small(plan: Plan, rng: Generator) -> Plan:
    n = int(rng.integers(3, 9))
    plan.options["early_stopping"] = EarlyStopping(patience=20)
    return replace(plan, xv=plan.xv[:n], tv=plan.tv[:n])


def plateau(plan: Plan, rng: Generator) -> Plan:
    """XOR at a saddle: two logistic hidden units, squared error, plain gradient descent (seeds 1 and 2)."""
    t, tv = (a.astype(float).reshape(len(a), 1) for a in (plan.targets, plan.tv))
    plan = replace(
        plan,
        targets=t,
        tv=tv,
        output="logistic",
        loss="squared_error",
        hidden=(4,),
        activation="logistic",
    )
    plan.options.pop("early_stopping", None)
    return changed(
        plan,
        optimizer="sgd",
        learning_rate_init=float(rng.choice([0.1, 0.2])),
        epochs=40,
        initializer=normal(0.3),
    )


Planter = Callable[[Plan, Generator], Plan]
CLASSES = ("digits", "iris", "breast_cancer", "spirals", "mnist", "xor", "wine", "moons", "letters")
VALUES = ("diabetes", "abs_sine", "wine_quality", "california")
EVERY = (*CLASSES, "heart", *VALUES)
#: Each fault, where it can be planted, and which causes besides its own may rightly come first.
FAULTS: dict[str, tuple[Planter, tuple[str, ...], tuple[str, ...]]] = {
    "learning_rate_too_high": (learning_rate_too_high, EVERY, ()),
    "learning_rate_too_low": (learning_rate_too_low, EVERY, ()),
    "too_few_epochs": (too_few_epochs, EVERY, ()),
    "unscaled_inputs": (unscaled_inputs, EVERY, ()),
    "unscaled_targets": (unscaled_targets, VALUES, ()),
    "output_cannot_reach_targets": (output_cannot_reach_targets, EVERY, ()),
    "bad_initial_scale": (bad_initial_scale, EVERY, ()),
    "vanishing_gradients": (vanishing_gradients, EVERY, ()),
    "exploding_gradients": (exploding_gradients, EVERY, ()),
    "dead_units": (dead_units, EVERY, ()),
    "saturated_units": (saturated_units, EVERY, ()),
    "one_class_predicted": (one_class_predicted, CLASSES, ("bad_initial_scale",)),
    "class_imbalance": (
        class_imbalance,
        ("breast_cancer", "heart", "digits", "wine", "moons", "letters"),
        (),
    ),
    "overfitting": (
        overfitting,
        (
            "heart",
            "diabetes",
            "wine_quality",
            "california",
            "breast_cancer",
            "digits",
            "letters",
            "moons",
        ),
        ("missing_class",),
    ),
    "underfitting": (underfitting, ("spirals", "digits", "mnist", "xor", "letters", "moons"), ()),
    "shuffled_labels": (shuffled_labels, tuple(n for n in EVERY), ()),
    "wrong_validation_labels": (
        wrong_validation_labels,
        ("digits", "iris", "mnist", "wine", "letters"),
        (),
    ),
    "sentinel_values": (
        sentinel_values,
        ("diabetes", "breast_cancer", "heart", "spirals", "wine_quality", "wine", "california"),
        (),
    ),
    "target_outliers": (target_outliers, VALUES, ()),
    "identifier_column": (identifier_column, EVERY, ()),
    "missing_class": (missing_class, ("digits", "iris", "mnist", "wine", "letters"), ()),
    "validation_unlike_training": (validation_unlike_training, EVERY, ()),
    "repeated_rows": (
        repeated_rows,
        (
            "digits",
            "breast_cancer",
            "heart",
            "diabetes",
            "spirals",
            "wine",
            "letters",
            "california",
        ),
        (),
    ),
    "unshuffled_rows": (unshuffled_rows, EVERY, ()),
    "dropout_too_strong": (dropout_too_strong, EVERY, ()),
    "leaking_column": (leaking_column, tuple(n for n in EVERY if n != "abs_sine"), ()),
    "constant_column": (
        constant_column,
        tuple(n for n in EVERY if n not in ("digits", "mnist")),
        (),
    ),
    "duplicate_column": (duplicate_column, tuple(n for n in EVERY), ()),
    "batch_too_large": (
        batch_too_large,
        (
            "digits",
            "breast_cancer",
            "mnist",
            "spirals",
            "wine_quality",
            "letters",
            "california",
            "moons",
        ),
        (),
    ),
    "batch_too_small": (
        batch_too_small,
        (
            "digits",
            "breast_cancer",
            "mnist",
            "heart",
            "wine_quality",
            "letters",
            "california",
            "diabetes",
        ),
        (),
    ),
    "l2_too_strong": (l2_too_strong, EVERY, ()),
    "validation_too_small": (validation_too_small, EVERY, ()),
    "plateau": (plateau, ("xor",), ()),
}


def planted(fault: str, name: str, seed: int) -> Plan:
    """The healthy run of a data set and seed with a fault in it."""
    planter, _, accept = FAULTS[fault]
    plan = planter(healthy(name, seed), generator(fault, name, seed))
    return replace(plan, fault=fault, accept=(fault, *accept))


def changed(plan: Plan, **options: Any) -> Plan:
    return replace(plan, options={**plan.options, **options})
