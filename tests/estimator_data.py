"""A few rows, and settings that fit them in no time, for tests of the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.RandomState(0)
X = RNG.randn(60, 5)
LABELS = RNG.randint(0, 3, 60)
VALUES = X @ RNG.randn(5)
SMALL: dict[str, Any] = {"hidden_layer_sizes": 6, "max_iter": 4, "random_state": 0}
