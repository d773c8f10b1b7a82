"""Where training stands: before the first step on the host, then on the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.values import refuse
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import Optimizer, State
from anyarray_mlp.training.predicting import to_leaves
from anyarray_mlp.training.records import TrainingState
from anyarray_mlp.typing import Host, Leaves


def fresh_state(
    mlp: MLP, optimizer: Optimizer | None, initial: Host | TrainingState
) -> TrainingState:
    """The state before the first step: moments of zero, or none without an optimiser (L-BFGS)."""
    n_moments = 0 if optimizer is None else optimizer.n_moments
    if isinstance(initial, TrainingState):
        shapes = {part.shape for part in (initial.parameters, *initial.moments)}
        if shapes != {(mlp.layout.size,)} or len(initial.moments) != n_moments:
            raise UsageError(
                f"The training state to continue from has {len(initial.moments)} moments of shapes {shapes}, but this "
                f"training needs {n_moments} moments for the {mlp.layout.size} parameters of sizes {mlp.sizes}: "
                "continue with the same network and optimizer."
            )
        return initial
    if not isinstance(initial, np.ndarray) or initial.dtype.kind not in "fiu":
        refuse("initial", "a vector of numbers (p,) or a TrainingState", initial)
    if initial.shape != (mlp.layout.size,):
        raise UsageError(
            f"Initial parameters must have shape ({mlp.layout.size},) for sizes {mlp.sizes}, got {initial.shape}."
        )
    if not is_finite(initial, rows=1 << 16):
        place = int(np.argmin(np.isfinite(initial)))
        raise UsageError(
            f"Initial parameters hold {initial[place]} at place {place}: give finite numbers."
        )
    moments = tuple(np.zeros(mlp.layout.size) for _ in range(n_moments))
    return TrainingState(np.asarray(initial), moments, 0, 0)


def to_vector(mlp: MLP, backend: Backend, leaves: Leaves) -> Host:
    """Leaves as a flat host vector (p,), copied."""
    return mlp.layout.to_vector(tuple(backend.to_host(leaf) for leaf in leaves))


class Progress:
    """Where training stands on the device; snapshots taken of an earlier step are refused."""

    def __init__(self, mlp: MLP, backend: Backend, state: TrainingState) -> None:
        self.mlp = mlp
        self.backend = backend
        self.theta = to_leaves(mlp, backend, state.parameters)
        self.moments = tuple(to_leaves(mlp, backend, moment) for moment in state.moments)
        self.step = state.step
        self.epoch = state.epoch

    def on_device(self, step: int) -> tuple[Leaves, State]:
        if step != self.step:
            raise UsageError(
                f"The snapshot of step {step} was asked for at step {self.step}: take it before the next epoch runs."
            )
        return self.theta, self.moments

    def snapshot(self, step: int, epoch: int, order: dict[str, Any]) -> TrainingState:
        self.on_device(step)
        return TrainingState(
            to_vector(self.mlp, self.backend, self.theta),
            tuple(to_vector(self.mlp, self.backend, moment) for moment in self.moments),
            step,
            epoch,
            order,
        )
