"""What an estimator remembers between calls, so that training continues as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.typing import Host


class EpochOrder:
    """scikit-learn's order of samples: each epoch shuffles the order of the previous epoch."""

    def __init__(self, random_state: np.random.RandomState) -> None:
        self.random_state = random_state
        self.order = np.arange(0)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """The order of the next epoch."""
        if len(self.order) != n:
            # The narrowest dtype, because pickles contain it.
            self.order = np.arange(n, dtype=np.min_scalar_type(n))
        shuffled = np.arange(n)
        self.random_state.shuffle(shuffled)
        self.order = self.order[shuffled]
        return self.order.astype(np.int64)

    def state(self) -> dict[str, Any]:
        """Empty: the generator itself is kept."""
        return {}


@dataclass
class Progress:
    """The private state of a fitted estimator, all of it on the host.

    Attributes
    ----------
    random_state, order : the state of the random draws.
    dropout_seed : the seed of the dropped units.
    solver, moments, step, epoch : the optimiser's name and state.
    rate, rate_init : the learning rate, and the parameter from which it started.
    latest : parameters (p,) of the last epoch, if `coefs_` are those of an earlier and better epoch.
    best : those better parameters (p,), the best so far on the validation set.
    split : the number of rows from which some were held out, and the generator's state before that draw.
    """

    random_state: np.random.RandomState
    order: EpochOrder
    dropout_seed: int = 0
    solver: str = ""
    moments: tuple[Host, ...] = ()
    step: int = 0
    epoch: int = 0
    rate: float = 0.0
    rate_init: float = 0.0
    latest: Host | None = field(default=None, repr=False)
    best: Host | None = field(default=None, repr=False)
    split: tuple[int, np.random.RandomState] | None = field(default=None, repr=False)


class Rate:
    """The learning rate of the next steps, set between epochs."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, step: int) -> float:
        """The rate, independent of the step."""
        return self.value
