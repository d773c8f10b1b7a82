"""`Evaluation`: loss and scores of a validation set."""

from __future__ import annotations

from collections.abc import Sequence

from anyarray_mlp.backends import Backend
from anyarray_mlp.metrics import default_task, exact_mean, find_score
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.predicting import ForwardPass, LabelledRows, on_device
from anyarray_mlp.typing import Array, Leaves


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
        task = task or default_task(mlp)
        self.metrics = {name: find_score(name, task) for name in metrics}
        x, targets = held_out
        self.rows = LabelledRows(ForwardPass(mlp, backend, input_scale), x, targets)
        # In the precision of the losses.
        self.targets = backend.to_host(on_device(backend, targets))

    def __call__(self, leaves: Leaves) -> tuple[float, dict[str, float]]:
        """Mean loss, and the scores by name, of one forward pass."""
        outputs, losses = self.rows.measure(leaves)
        scores = {name: score(outputs, self.targets, None) for name, score in self.metrics.items()}
        return exact_mean(losses), scores
