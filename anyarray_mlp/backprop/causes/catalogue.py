"""The catalogue: every cause that `check_backprop` can name."""

from __future__ import annotations

from anyarray_mlp.backprop.causes.backward import OF_BACKWARD
from anyarray_mlp.backprop.causes.cause import Cause
from anyarray_mlp.backprop.causes.forward import OF_FORWARD
from anyarray_mlp.backprop.causes.update import OF_UPDATE

CATALOGUE: dict[str, Cause] = {**OF_UPDATE, **OF_BACKWARD, **OF_FORWARD}
