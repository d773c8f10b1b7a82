"""What every contender is timed on: the same network, data, batches and optimiser (Adam, float32)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    """A network of `sizes`, trained on batches of `batch` rows; `steps` steps make one timed round."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str
    steps: int

    @property
    def rows(self) -> int:
        """Rows of the data: enough for a round, but at most 60,000, the size of MNIST."""
        return min(self.steps * self.batch, 60_000 // self.batch * self.batch)

    def data(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Inputs (rows, i) and labels (rows,) drawn with a fixed seed; labels follow a random linear map."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        scores = x @ rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)
        return x, np.argmax(scores, axis=1)

    def batches(self) -> NDArray[np.int64]:
        """Row indices (steps, batch) of one round, shuffled."""
        rng = np.random.default_rng(1)
        order = [
            rng.permutation(self.rows) for _ in range(-(-self.steps * self.batch // self.rows))
        ]
        return np.concatenate(order)[: self.steps * self.batch].reshape(self.steps, self.batch)

    def parameters(self) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """Initial weights and biases."""
        from anyarray_mlp import MLP

        mlp = MLP(self.sizes, activation=self.activation)
        parts = [part.astype(np.float32) for part in mlp.layout.split(mlp.initialize(0))]
        n = mlp.layout.n_layers
        return parts[:n], parts[n:]


#: On the CPU; `steps` make a round of some tenths of a second.
CPU = (
    Workload("2-10-2, batch 4, tanh", (2, 10, 2), 4, "tanh", 4096),
    Workload("64-128-10, batch 32, relu", (64, 128, 10), 32, "relu", 2048),
    Workload("784-128-64-10, batch 128, logistic", (784, 128, 64, 10), 128, "logistic", 256),
    Workload("784-300-75-10, batch 128, relu", (784, 300, 75, 10), 128, "relu", 128),
    Workload("784-1024-1024-10, batch 1024, relu", (784, 1024, 1024, 10), 1024, "relu", 6),
)
#: On a GPU: the same, with longer rounds, and one that should run near the peak of the device.
GPU = (
    *(Workload(w.name, w.sizes, w.batch, w.activation, max(w.steps, 512)) for w in CPU),
    Workload("784-4096-4096-10, batch 8192, relu", (784, 4096, 4096, 10), 8192, "relu", 64),
)
