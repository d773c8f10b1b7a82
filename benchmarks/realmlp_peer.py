"""Does RealMLP here follow its authors' code? `PYTHONPATH=. PYTHON_WITH_PYTABKIT benchmarks/realmlp_peer.py`

Both train the same network from the same parameters on the same batches, in float64: periodic embedding, scaling layer,
three dense layers under the neural tangent kernel's parametrisation, parametric activations, Adam with coslog4, factors
of rates, weight decay that fades. The layers, the optimizer and the schedules are pytabkit's; the loop over the batches
is written here. Without dropout, whose random numbers differ, and with an epsilon of 1e-30, since Adam's epsilon counts
in another unit in each parametrisation. Prints the largest relative difference of the losses of the steps.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from pytabkit.models.nn_models.activations import ParametricActivationLayer, mish
from pytabkit.models.nn_models.base import (
    BiasLayer,
    ScaleLayer,
    Variable,
    WeightLayer,
    set_hp_context,
)
from pytabkit.models.nn_models.nn import PLREmbeddingsLayerCosBias
from pytabkit.models.optim.optimizers import AdamOptimizer
from pytabkit.models.training.coord import HyperparamManager
from pytabkit.models.training.scheduling import LearnerProgress

from anyarray_mlp import MLP, select_backend, train
from anyarray_mlp.network import Periodic, Scale, adamw, with_factors
from anyarray_mlp.training.published import REALMLP_RATES, fitted_start, realmlp_factors

ROWS, INPUTS, BATCH, EPSILON = 512, 6, 64, 1e-30
HIDDEN = (64, 64, 64)


class Learner:
    """What pytabkit's schedules ask how far the run is."""

    def __init__(self, epochs: int) -> None:
        self.progress = LearnerProgress()
        self.progress.max_epochs = epochs


def theirs(
    mlp: MLP,
    start: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    classes: bool,
    epochs: int,
    rate: float,
) -> list[float]:
    """The losses of the steps of pytabkit's layers and optimizer."""
    part = dict(zip(mlp.layout.names, mlp.layout.split(start), strict=True))
    manager = HyperparamManager(
        lr=rate,
        lr_sched="coslog4",
        wd=0.02,
        wd_sched="flat_cos",
        mom=0.9,
        sq_mom=0.95,
        opt_eps=EPSILON,
    )

    def variable(name: str, array: np.ndarray) -> Any:
        kind = name.partition(".")[0]
        factors = {"lr": REALMLP_RATES.get(kind, 1.0), "wd": 0.0 if kind == "biases" else 1.0}
        return Variable(torch.tensor(array), hyper_factors=factors)

    with set_hp_context(manager):
        embedding = PLREmbeddingsLayerCosBias(
            None,
            weight_1=variable("frequencies", part["frequencies.0"][:, None, :]),
            bias_1=variable("phases", part["phases.0"][:, None, :]),
            weight_2=variable("mixing", part["mixing.0"]),
            bias_2=variable("offsets", part["offsets.0"][:, None, :]),
            plr_act_name="linear",
            plr_use_densenet=True,
        )
        layers: list[Any] = [embedding, ScaleLayer(variable("scales", part["scales.0"][None, :]))]
        function = torch.selu if classes else mish
        for place in range(mlp.layout.n_layers):
            w, b = part[f"weights.{place}"], part[f"biases.{place}"]
            root = len(w) ** 0.5
            layers.append(WeightLayer(variable("weights", w * root), factor=1.0 / root))
            layers.append(BiasLayer(variable("biases", b[None, :])))
            if f"alphas.{place}" in part:
                alphas = variable("alphas", part[f"alphas.{place}"][None, :])
                layers.append(ParametricActivationLayer(function, alphas))
        parameters = [p for layer in layers for p in layer.parameters()]
        optimizer = AdamOptimizer([{"params": [p]} for p in parameters], manager)
    learner, losses = Learner(epochs), []
    rows, targets = torch.tensor(x), torch.tensor(y)
    for step in range(epochs * (ROWS // BATCH)):
        manager.update_hypers(learner)
        begin = step * BATCH % ROWS
        a, t = rows[begin : begin + BATCH], targets[begin : begin + BATCH]
        for layer in layers:
            a = layer.forward_cont(a)
        loss = torch.nn.functional.cross_entropy(a, t) if classes else ((a - t) ** 2).mean() * 0.5
        loss.backward()
        optimizer.step(loss=loss)
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        learner.progress.epoch_float = (step + 1) / (ROWS // BATCH)
    return losses


def ours(
    mlp: MLP, start: np.ndarray, x: np.ndarray, y: np.ndarray, epochs: int, rate: float
) -> list[float]:
    """The losses of the steps here."""
    steps = epochs * (ROWS // BATCH)
    optimizer = adamw(beta_2=0.95, epsilon=EPSILON, weight_decay=0.02, fades_over=steps)
    run = train(
        mlp, x, y, epochs=epochs, batch_size=BATCH, shuffle=False, initial=start,
        optimizer=with_factors(optimizer, mlp, *realmlp_factors(mlp)),
        learning_rate="coslog4", learning_rate_init=rate, backend=select_backend(dtype="float64"),
    )  # fmt: skip
    return [float(loss) for epoch in run for loss in epoch.step_losses]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, INPUTS))
    value = np.sin(x[:, :1] * 2.0) + x[:, 1:2] * x[:, 2:3] + 0.1 * rng.standard_normal((ROWS, 1))
    value = (value - value.mean()) / value.std()
    labels = np.digitize(value[:, 0], [-0.5, 0.5])
    for classes, y, outputs, rate in ((True, labels, 3, 0.04), (False, value, 1, 0.2)):
        mlp = MLP(
            (INPUTS, *HIDDEN, outputs), "selu" if classes else "mish", "softmax" if classes else "identity",
            before=[Periodic(), Scale()], parametric=True,
        )  # fmt: skip
        start = fitted_start(mlp, x, 0)
        seconds, curves = [], []
        for run in (
            lambda: ours(mlp, start, x, y, epochs, rate),  # noqa: B023
            lambda: theirs(mlp, start, x, y, classes, epochs, rate),  # noqa: B023
        ):
            began = time.process_time()
            curves.append(np.array(run()))
            seconds.append(time.process_time() - began)
        a, b = curves
        apart = np.abs(a - b) / np.maximum(np.abs(b), 1e-12)
        print(
            f"{'classes' if classes else 'values'}: {len(a)} steps, losses {b[0]:.4f} to {b[-1]:.4f}, apart by "
            f"{apart.max():.1e} at most (in the first epoch {apart[: ROWS // BATCH].max():.1e}); CPU "
            f"{seconds[0]:.1f} s here, {seconds[1]:.1f} s there"
        )


if __name__ == "__main__":
    main()
