"""Processes that a script starts, as joblib does for `n_jobs`: estimators that are sent there are accelerated, too.

Only what goes between processes is marked. In files, estimators are scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

from joblib.externals.loky.backend import reduction as loky


def register(kinds: Sequence[type], placement: dict[str, str | None]) -> None:
    """Let the process that receives an estimator of these kinds install the acceleration first."""

    def reduced(estimator: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return received, (placement, *estimator.__reduce_ex__(4))

    for kind in kinds:
        ForkingPickler.register(kind, reduced)
        loky.register(kind, reduced)


def unregister(kinds: Sequence[type]) -> None:
    """Send estimators of these kinds as they are."""

    def reduced(estimator: Any) -> Any:
        return estimator.__reduce_ex__(4)

    for kind in kinds:
        ForkingPickler.register(kind, reduced)
        loky.register(kind, reduced)


def received(
    placement: dict[str, str | None], make: Any, arguments: Any, state: Any, *_: Any
) -> Any:
    """An estimator that another process sent, in a process that accelerates as that one does."""
    from anyarray_mlp.accelerate.methods import INSTALLED, replace_methods

    if not INSTALLED:
        replace_methods(**placement)
    estimator = make(*arguments)
    estimator.__setstate__(state)
    return estimator
