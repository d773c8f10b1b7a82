"""Milder versions of the planted faults, which may or may not do harm.

Whether one does is measured: the same run without the fault (same data, seed and network where the fault leaves
them) reaches a validation skill that is higher by `HARM`.
"""

from __future__ import annotations

from dataclasses import replace

from anyarray_mlp import MLP
from anyarray_mlp.network.initializers import normal
from benchmarks.diagnosis.planted_faults import (
    EVERY,
    Array,
    Generator,
    Plan,
    Planter,
    changed,
    generator,
    healthy,
)

#: Loss of validation skill that counts as harm.
HARM = 0.1


def learning_rate_too_high(plan: Plan, rng: Generator) -> Plan:
    kinds = [("adam", 0.1), ("momentum", 1.0), ("sgd", 5.0), ("rmsprop", 0.1)]
    optimizer, rate = kinds[rng.integers(len(kinds))]
    return changed(plan, optimizer=optimizer, learning_rate_init=rate)


def learning_rate_too_low(plan: Plan, rng: Generator) -> Plan:
    kinds = [("adam", 2e-5), ("sgd", 5e-4), ("momentum", 1e-4), ("rmsprop", 2e-5)]
    optimizer, rate = kinds[rng.integers(len(kinds))]
    return changed(plan, optimizer=optimizer, learning_rate_init=rate)


def too_few_epochs(plan: Plan, rng: Generator) -> Plan:
    return changed(plan, epochs=max(2, plan.options["epochs"] // 8))


def unscaled_inputs(plan: Plan, rng: Generator) -> Plan:
    scale, offset = rng.uniform(5, 20, size=(2, plan.x.shape[1]))
    return replace(plan, x=plan.x * scale + offset, xv=plan.xv * scale + offset)


def bad_initial_scale(plan: Plan, rng: Generator) -> Plan:
    gain = float(rng.choice([6.0, 8.0, 1e-3]))
    return changed(
        plan, initializer=lambda generator, i, o: gain * normal(i**-0.5)(generator, i, o)
    )


def vanishing_gradients(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, hidden=(16,) * 4, activation="logistic")
    return changed(plan, optimizer="sgd", learning_rate_init=0.1)


def exploding_gradients(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, hidden=(24,) * 7, activation="relu")
    return changed(
        plan,
        optimizer="momentum",
        learning_rate_init=0.003,
        initializer=lambda generator, i, o: 2.5 * normal(i**-0.5)(generator, i, o),
    )


def dead_units(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, activation="relu")

    def initial(mlp: MLP) -> Array:
        vector = mlp.initialize(plan.options["seed"])
        bias = mlp.layout.split(vector)[mlp.layout.n_layers]
        bias[: round(0.95 * len(bias))] = -8.0
        return vector

    return replace(plan, initial=initial)


def overfitting(plan: Plan, rng: Generator) -> Plan:
    n = int(rng.integers(100, 150))
    options = {**plan.options, "optimizer": "adam", "learning_rate_init": 1e-3, "alpha": 0.0}
    options.update(batch_size=16, epochs=150)
    options.pop("early_stopping", None)
    return replace(plan, x=plan.x[:n], targets=plan.targets[:n], hidden=(100,), options=options)


def underfitting(plan: Plan, rng: Generator) -> Plan:
    plan = replace(plan, hidden=(2,), activation="tanh")
    return changed(plan, optimizer="adam", learning_rate_init=1e-2)


def l2_too_strong(plan: Plan, rng: Generator) -> Plan:
    return changed(plan, alpha=float(rng.choice([0.1, 0.3, 1.0])) * plan.options["batch_size"])


def batch_too_large(plan: Plan, rng: Generator) -> Plan:
    return changed(plan, batch_size=max(1, len(plan.x) // 2), epochs=30)


def batch_too_small(plan: Plan, rng: Generator) -> Plan:
    return changed(plan, batch_size=1, epochs=5, optimizer="adam", learning_rate_init=0.01)


MILD: dict[str, Planter] = {
    planter.__name__: planter
    for planter in (
        learning_rate_too_high,
        learning_rate_too_low,
        too_few_epochs,
        unscaled_inputs,
        bad_initial_scale,
        vanishing_gradients,
        exploding_gradients,
        dead_units,
        overfitting,
        underfitting,
        l2_too_strong,
        batch_too_large,
        batch_too_small,
    )
}


def mildly_planted(fault: str, seed: int, sets: list[str]) -> tuple[Plan, Plan]:
    """A healthy run on some set and the same with a mild fault; early stopping is left out of both."""
    names = [name for name in EVERY if name in sets]
    name = names[generator("mild", fault).permutation(len(names))[seed % len(names)]]
    twin = healthy(name, seed)
    twin.options.pop("early_stopping", None)
    rng = generator("mild", fault, name, seed)
    plan = MILD[fault](replace(twin, options=dict(twin.options)), rng)
    return twin, replace(plan, fault=fault, accept=(fault,))
