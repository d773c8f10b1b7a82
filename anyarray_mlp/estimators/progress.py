"""What an estimator remembers between calls, so that training goes on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.typing import Host


class EpochOrder:
    """scikit-learn's order of samples: each epoch shuffles the order of the epoch before."""

    def __init__(self, random_state: np.random.RandomState) -> None:
        self.random_state = random_state
        self.order = np.arange(0)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """The order of the next epoch."""
        if len(self.order) != n:
            # As narrow as may be: pickles keep it.
            self.order = np.arange(n, dtype=np.min_scalar_type(n))
        shuffled = np.arange(n)
        self.random_state.shuffle(shuffled)
        self.order = self.order[shuffled]
        return self.order.astype(np.int64)

    def state(self) -> dict[str, Any]:
        """Nothing: the generator itself is kept."""
        return {}


@dataclass
class Progress:
    """The hidden side of a fitted estimator, all of it on the host.

    Attributes
    ----------
    random_state, order : where the draws stand.
    dropout_seed : what the dropped units are drawn with.
    solver, moments, step, epoch : the optimiser's name and state.
    rate, rate_init : the learning rate, and the parameter that it came from.
    latest : parameters (p,) of the last epoch, where `coefs_` are an earlier and better epoch's.
    best : those parameters (p,), the best so far on the validation set.
    split : the number of rows that some were held out of, and the generator as it was before that draw.
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
    """The learning rate of the coming steps, set anew between epochs."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, step: int) -> float:
        """The rate, whatever the step."""
        return self.value
