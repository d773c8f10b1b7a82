"""Methods that exist only for solvers that train in steps."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from sklearn.utils.metaestimators import available_if

STEP_SOLVERS = ("sgd", "adam")

Method = TypeVar("Method")


def with_steps_only(method: Method) -> Method:
    """Hide a method, as if it did not exist, if the estimator's solver does not train in steps."""
    return cast(Method, available_if(has_steps)(method))


def has_steps(estimator: Any) -> bool:
    """True for a solver that trains in steps; otherwise AttributeError, which hides the method."""
    if estimator.solver in STEP_SOLVERS:
        return True
    raise AttributeError(
        f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not stochastic."
    )
