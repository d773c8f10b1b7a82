"""`Evaluation`: loss and scores of a validation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.metrics import default_task, exact_sum, find_score
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.predicting import (
    as_inputs,
    dense,
    is_sparse,
    on_device,
    rows_at_once,
    spans,
)
from anyarray_mlp.typing import Array, Leaves, Namespace


class Evaluation:
    """Loss and scores of one fixed set, moved to the device once.

    `task` is what the metrics take the targets for; None for what the output is made for.
    """

    def __init__(
        self,
        mlp: MLP,
        backend: Backend,
        held_out: tuple[Array, Array],
        metrics: Sequence[str] = (),
        input_scale: float | None = None,
        task: str | None = None,
    ) -> None:
        self.backend = backend
        self.rows = rows_at_once(mlp, backend)
        task = task or default_task(mlp)
        self.metrics = {name: find_score(name, task) for name in metrics}
        x, targets = held_out
        self.x = x if is_sparse(x) else on_device(backend, x)
        self.targets = on_device(backend, targets)
        self.host_targets = backend.to_host(self.targets)

        def outputs_and_losses(xp: Namespace, leaves: Leaves, x: Array, targets: Array) -> Any:
            x = as_inputs(xp, x, leaves[0].dtype, input_scale)
            return mlp.predict(xp, leaves, x), mlp.losses(xp, leaves, x, targets)

        self.run = backend.jit(outputs_and_losses)

    def __call__(self, leaves: Leaves) -> tuple[float, dict[str, float]]:
        """Mean loss, and the scores by name."""
        parts = [
            self.run(leaves, self.part(start, stop), self.targets[start:stop, ...])
            for start, stop in spans(self.x.shape[0], self.rows)
        ]
        outputs, losses = (
            np.concatenate([self.backend.to_host(a) for a in column])
            for column in zip(*parts, strict=True)
        )
        scores = {
            name: score(outputs, self.host_targets, None) for name, score in self.metrics.items()
        }
        return exact_sum(losses) / len(losses), scores

    def part(self, start: int, stop: int) -> Array:
        """Some rows on the device; sparse ones are made dense as their turn comes."""
        return on_device(self.backend, dense(self.x[start:stop, ...]))
